"""Holds every answer against the OpenAPI description: is the status promised, and does the body have its shape?"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import jsonschema_rs
from fastapi import FastAPI
from starlette.routing import compile_path

from rag_app.api.app import PREFIX

Hook = Callable[[httpx.Response], Awaitable[None]]
# What no operation promises because it never gets that far: the method or the address itself is refused.
_BEFORE_ALL = {405}
_compiled: list[tuple[dict[str, Any], dict[str, jsonschema_rs.Validator]]] = []


def keeps_promises(api: FastAPI) -> Hook:
    """A hook for a client of that application: raises for an answer that the description does not promise."""
    schema = api.openapi()
    operations = [(compile_path(path)[0], path, found) for path, found in schema["paths"].items()]
    # Fixed addresses come before those with a parameter that would match them too.
    operations.sort(key=lambda each: each[1].count("{"))

    async def check(response: httpx.Response) -> None:
        path = response.request.url.path
        if not path.startswith(PREFIX):
            return
        found: dict[str, Any] = next((each for pattern, _, each in operations if pattern.match(path)), {})
        operation = found.get(response.request.method.lower())
        if operation is None or response.status_code in _BEFORE_ALL:
            return
        promised = operation["responses"].get(str(response.status_code))
        call = f"{response.request.method} {path}"
        assert promised is not None, f"{call} answered {response.status_code}, which is not described"
        await _check_body(response, promised, schema, call)

    return check


def _holding(shape: dict[str, Any], schema: dict[str, Any]) -> jsonschema_rs.Validator:
    """What holds a body against a shape of that description; compiled once, which takes longer than most answers."""
    made = next((made for known, made in _compiled if known is schema), None)
    if made is None:
        made = {}
        _compiled.append((schema, made))
    key = json.dumps(shape)
    if key not in made:
        made[key] = jsonschema_rs.validator_for({**shape, "components": schema["components"]})
    return made[key]


async def _check_body(response: httpx.Response, promised: dict[str, Any], schema: dict[str, Any], call: str) -> None:
    kind = response.headers.get("content-type", "").split(";", 1)[0]
    if kind == "text/event-stream" or response.status_code == 204:
        return
    shape = promised.get("content", {}).get(kind, {}).get("schema")
    if kind == "application/json":
        assert shape is not None, f"{call} answered {response.status_code} with JSON that is not described"
        await response.aread()
        _holding(shape, schema).validate(response.json())
