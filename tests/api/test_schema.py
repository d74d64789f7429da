"""The whole OpenAPI description, attacked with made-up requests: every answer is one that the description promises."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from rag_app.api.app import create_api
from rag_app.services import accounts, setup
from rag_app.services.api_keys import create_key
from rag_app.services.context import open_context
from rag_app.settings import Settings
from tests.api.cast import ORIGIN, OWNER, PASSWORD

Found = TypeVar("Found")
EXAMPLES = 6
_SENT = ("method", "url", "headers", "params", "json", "data", "content", "files")
CHECKS = [schemathesis.checks.not_a_server_error, content_type_conformance, response_schema_conformance,
          status_code_conformance]  # fmt: skip
load_all_checks()


class Machine:
    """The API in an event loop of its own, for callers that are not asynchronous."""

    def __init__(self, settings: Settings) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._opening = open_context(settings)
        self.api: FastAPI = self.wait(self._open())

    def wait(self, work: Coroutine[Any, Any, Found]) -> Found:
        """Run some work in the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _open(self) -> FastAPI:
        context = await self._opening.__aenter__()
        await setup.create_first_owner(context, email=OWNER, password=PASSWORD, name="Ada")
        _, key = await create_key(context, await accounts.operator(context), name="test")
        api = create_api(context)
        headers = {"Authorization": f"Bearer {key}", "Origin": ORIGIN}
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url=ORIGIN, headers=headers)
        return api

    def send(self, case: schemathesis.Case[Any]) -> httpx.Response:
        """The answer to a made-up request."""
        given = case.as_transport_kwargs(base_url=ORIGIN)
        wanted = {name: given[name] for name in _SENT if given.get(name) is not None}
        if "files" in wanted:
            wanted["files"] = [(name, _as_file(part)) for name, part in wanted["files"]]
        if isinstance(wanted.get("data"), str | bytes):
            wanted["content"] = wanted.pop("data")
        return self.wait(self._sent(wanted))

    async def _sent(self, wanted: dict[str, Any]) -> httpx.Response:
        request = self._client.build_request(**wanted)
        await request.aread()  # a form is made while it is sent; the checks want to see it
        return await self._client.send(request)

    def close(self) -> None:
        """Stop it all."""
        self.wait(self._client.aclose())
        self.wait(self._opening.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _as_file(part: Any) -> Any:
    """The part of a form as httpx takes it; numbers are written out."""
    name, content, *rest = part if isinstance(part, tuple) else (None, part)
    return (name, content if isinstance(content, str | bytes) else str(content), *rest)


@pytest.fixture
def machine(settings: Settings) -> Iterator[Machine]:
    """A running API with an owner."""
    made = Machine(settings)
    yield made
    made.close()


@pytest.mark.slow
def test_every_answer_is_one_that_is_promised(machine: Machine) -> None:
    schema = schemathesis.openapi.from_dict(machine.api.openapi())
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) > 40
    problems: list[str] = []
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _attack(machine, operation, mode, problems)
    assert not problems, "\n\n".join(problems)


def _attack(machine: Machine, operation: Any, mode: GenerationMode, problems: list[str]) -> None:
    @seed(1)
    @hypothesis_settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def tried(case: schemathesis.Case[Any]) -> None:
        case.validate_response(machine.send(case), checks=CHECKS)

    try:
        tried()
    except Unsatisfiable:  # nothing about this route can be wrong
        return
    except BaseExceptionGroup as found:
        problems.append(f"{operation.label}: {found.exceptions[0]}"[:1500])
    except Exception as found:  # all are collected, so that one run shows them all
        problems.append(f"{operation.label}: {type(found).__name__} {found}"[:1500])
