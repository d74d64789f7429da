"""A provider that LiteLLM reaches without the openai package, over the same guarded sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from rag_app.errors import ProviderError
from rag_app.providers.circuit import SWITCHBOARD
from rag_app.providers.completion_types import CompletionRequest
from rag_app.providers.completions import Patience, complete
from rag_app.providers.credentials import Credentials
from rag_app.providers.library import close_clients
from rag_app.settings import get_settings

KEY = "sk-ant-secret"
QUICK = Patience(first_token_s=5, between_tokens_s=5, backoff_s=0.01)
ASKED = CompletionRequest(
    "anthropic/claude-haiku-4-5", ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"})
)
START: dict[str, object] = {"id": "m", "type": "message", "role": "assistant", "content": [], "stop_reason": None}
EVENTS: list[dict[str, object]] = [
    {"type": "message_start", "message": {**START, "usage": {"input_tokens": 10, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " there."}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
]
Respond = Callable[[asyncio.StreamWriter], None]


def chunk(event: dict[str, object]) -> bytes:
    data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def events(*wanted: dict[str, object], complete_body: bool = True) -> Respond:
    def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"".join(map(chunk, wanted)) + (b"0\r\n\r\n" if complete_body else b""))

    return respond


def refusal(status: int, message: str, headers: str = "") -> Respond:
    body = json.dumps({"type": "error", "error": {"type": "some_error", "message": message}})
    head = f"HTTP/1.1 {status} No\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return lambda writer: writer.write((head + body).encode())


@asynccontextmanager
async def provider(respond: Respond, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Credentials, list[bytes]]]:
    """A server that answers every request in the same way, and the heads of the requests."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.partition(b":")[2]))
        respond(writer)
        await writer.drain()
        writer.close()

    monkeypatch.setenv("RAG_ALLOWED_PRIVATE_HOSTS", "127.0.0.1")
    get_settings.cache_clear()
    SWITCHBOARD.reset()
    await close_clients()  # those that a test before has left still follow its settings
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield Credentials("anthropic", api_key=KEY, base_url=f"http://127.0.0.1:{port}"), heads
        await close_clients()
    get_settings.cache_clear()


async def test_an_answer_streams_with_its_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    async with provider(events(*EVENTS), monkeypatch) as (credentials, heads):
        chunks = [chunk async for chunk in complete(ASKED, credentials, patience=QUICK)]
    assert "".join(chunk.text for chunk in chunks) == "Hello there."
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == ["stop"]
    (usage,) = [chunk.usage for chunk in chunks if chunk.usage]
    assert (usage.prompt_tokens, usage.completion_tokens) == (10, 5)
    assert KEY.encode() in heads[0]


@pytest.mark.parametrize(
    ("respond", "words", "requests"),
    [
        (refusal(401, f"invalid x-api-key {KEY}"), "The key was refused by Anthropic", 1),
        (refusal(400, "prompt is too long: 210000 tokens > 200000 maximum"), "is too long for anthropic/claude", 1),
        (refusal(429, "slow down", "Retry-After: 40\r\n"), "Try again in 40 seconds", 1),
        (refusal(529, "Overloaded"), "has a problem of its own", 3),
        (refusal(307, "", "Location: http://127.0.0.1:9/\r\n"), "redirects elsewhere", 1),
    ],
)
async def test_refusals_have_plain_words(
    respond: Respond, words: str, requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with provider(respond, monkeypatch) as (credentials, heads):
        with pytest.raises(ProviderError) as caught:
            await anext(complete(ASKED, credentials, patience=QUICK))
    assert words in caught.value.message
    assert KEY not in f"{caught.value.message} {caught.value.details}"
    assert len(heads) == requests


async def test_a_cut_in_the_middle_keeps_what_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    async with provider(events(*EVENTS[:3], complete_body=False), monkeypatch) as (credentials, _):
        answer = complete(ASKED, credentials, patience=QUICK)
        assert (await anext(answer)).text == "Hello"
        with pytest.raises(ProviderError, match="broke off in the middle of the answer"):
            await anext(answer)
