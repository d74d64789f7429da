"""The OpenAPI description: complete, exact about refusals, and readable as a page without anything from elsewhere."""

import re
from typing import Any

import httpx
import jsonschema_rs
import pytest
from fastapi import FastAPI

from rag_app.api.app import PREFIX
from rag_app.api.description import HALF_OPEN, OPEN
from rag_app.api.errors import STATUS
from tests.api.cast import Cast
from tests.api.promises import keeps_promises

REFUSAL = {"$ref": "#/components/schemas/ErrorAnswer"}


@pytest.fixture
def operations(api: FastAPI) -> dict[str, dict[str, Any]]:
    """Every operation by its method and path."""
    return {
        f"{method.upper()} {path}": found
        for path, methods in api.openapi()["paths"].items()
        for method, found in methods.items()
    }


def test_every_operation_says_what_it_does(operations: dict[str, dict[str, Any]]) -> None:
    assert len(operations) > 50
    assert [call for call, found in operations.items() if not found.get("description") or not found["tags"]] == []


def test_every_operation_has_a_name_of_its_own(operations: dict[str, dict[str, Any]]) -> None:
    names = [found["operationId"] for found in operations.values()]
    assert len(set(names)) == len(names)


def test_every_refusal_has_the_one_shape(operations: dict[str, dict[str, Any]]) -> None:
    for call, found in operations.items():
        refusals = {status: each for status, each in found["responses"].items() if int(status) >= 400}
        assert {"400", "422", "500"} <= set(refusals), call
        for status, each in refusals.items():
            assert each["content"]["application/json"]["schema"] == REFUSAL, (call, status)
            assert int(status) in {400, *STATUS.values()}, (call, status)


def test_every_good_answer_has_a_shape(operations: dict[str, dict[str, Any]]) -> None:
    for call, found in operations.items():
        good = {status: each for status, each in found["responses"].items() if int(status) < 400}
        assert good, call
        for status, each in good.items():
            assert status == "204" or any(kind.get("schema") for kind in each["content"].values()), call


def test_bodies_refuse_what_they_do_not_know(api: FastAPI, operations: dict[str, dict[str, Any]]) -> None:
    schemas = api.openapi()["components"]["schemas"]
    checked = 0
    for call, found in operations.items():
        shape = found.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        shape = next((each for each in shape.get("anyOf", []) if "$ref" in each), shape)  # a body that may be missing
        shape = schemas[shape["$ref"].rsplit("/", 1)[1]] if "$ref" in shape else shape
        if shape:
            assert shape["additionalProperties"] is False, call
            checked += 1
    assert checked > 15


def test_it_says_who_may_call(api: FastAPI, operations: dict[str, dict[str, Any]]) -> None:
    assert set(api.openapi()["components"]["securitySchemes"]) == {"bearer", "cookie"}
    for call, found in operations.items():
        ways = found["security"]
        assert (ways == []) is (call in OPEN), call
        assert ({} in ways) is (call in HALF_OPEN), call
    assert set(OPEN | HALF_OPEN) <= set(operations)


def test_every_reference_leads_somewhere(api: FastAPI) -> None:
    schema = api.openapi()
    found = set(re.findall(r"'\$ref': '#/components/schemas/([^']+)'", str(schema)))
    assert found == set(schema["components"]["schemas"])


async def test_the_description_is_served_and_the_page_needs_nothing_from_elsewhere(cast: Cast) -> None:
    visitor = await cast.client()
    described = await visitor.get(f"{PREFIX}/openapi.json")
    assert described.status_code == 200 and described.json()["openapi"].startswith("3.")
    page = await visitor.get(f"{PREFIX}/docs")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    assert "<script" not in page.text and not re.search(r"(src|href)=.?https?:", page.text)
    assert "script-src" not in page.headers["content-security-policy"]
    for path in described.json()["paths"]:
        assert f"<code>{path}</code>" in page.text


async def test_the_watch_over_answers_sees_what_is_not_promised(api: FastAPI) -> None:
    check = keeps_promises(api)
    request = httpx.Request("GET", f"http://testserver{PREFIX}/health")
    await check(httpx.Response(200, json={"status": "ok"}, request=request))
    with pytest.raises(AssertionError, match="not described"):
        await check(httpx.Response(418, json={}, request=request))
    with pytest.raises(jsonschema_rs.ValidationError):
        await check(httpx.Response(200, json={"status": 7}, request=request))
