"""The frame around each request, when the caller does not stay to its end."""

import pytest
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from rag_app.api.frame import Frame


async def reading(scope: Scope, receive: Receive, send: Send) -> None:
    await Request(scope, receive, send).body()


async def test_who_leaves_in_the_middle_of_a_body_is_no_crash(caplog: pytest.LogCaptureFixture) -> None:
    said: list[Message] = [
        {"type": "http.request", "body": b"half", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return said.pop(0)

    async def send(message: Message) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "method": "POST", "path": "/api/v1/x", "query_string": b"", "headers": []}
    with caplog.at_level("INFO", logger="rag_app"):
        await Frame(reading)(scope, receive, send)
    assert [record.getMessage() for record in caplog.records] == ["caller_left"]
