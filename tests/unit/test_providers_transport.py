"""What model servers pack is unpacked in bounded pieces, on the way that every call to them takes."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import numpy as np
import pytest

from rag_app.errors import FetchFailed, ProviderError
from rag_app.providers import transport
from rag_app.providers.circuit import SWITCHBOARD
from rag_app.providers.credentials import Credentials
from rag_app.providers.embeddings import embed
from rag_app.providers.library import close_clients
from rag_app.providers.transport import BoundedTransport
from rag_app.settings import get_settings

ROWS = {"object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": [0.6, 0.8]}]}
BOMB = gzip.compress(b" " * (transport.MOST_BYTES + 1), 1)


@asynccontextmanager
async def answering(coding: str, body: bytes) -> AsyncIterator[str]:
    """A model server that answers everything so; its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: {coding}\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


@pytest.mark.parametrize(
    ("coding", "body", "problem"),
    [
        ("gzip", BOMB, "more than"),
        ("identity", b" " * (transport.MOST_BYTES + 1), "more than"),
        ("gzip, gzip", gzip.compress(BOMB), "not asked for"),
        ("gzip", gzip.compress(json.dumps(ROWS).encode()), ""),
    ],
    ids=["packed", "unpacked", "packed twice", "small"],
)
async def test_no_answer_of_a_provider_is_a_bomb(
    coding: str, body: bytes, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAG_ALLOWED_PRIVATE_HOSTS", "127.0.0.1")
    get_settings.cache_clear()
    SWITCHBOARD.reset()
    async with answering(coding, body) as address:
        credentials = Credentials("compatible", api_key="sk-x", base_url=address)
        asked = embed(["salt"], model="compatible/m", credentials=credentials, purpose="document")
        if problem:
            with pytest.raises(ProviderError, match=problem):
                await asked
        else:
            assert np.allclose(await asked, [[0.6, 0.8]])
        await close_clients()
    get_settings.cache_clear()


class Packed(httpx.AsyncByteStream):
    """Two events, packed as they are made."""

    closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        packer = zlib.compressobj(wbits=31)
        for event in (b"data: one\n\n", b"data: two\n\n"):
            yield packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH)

    async def aclose(self) -> None:
        self.closed = True


async def test_a_packed_stream_comes_as_it_is_made_and_is_closed() -> None:
    stream = Packed()

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["accept-encoding"] == "gzip"
        return httpx.Response(200, headers={"content-encoding": "gzip", "x-kept": "yes"}, stream=stream)

    inner = httpx.MockTransport(answer)
    async with httpx.AsyncClient(transport=BoundedTransport(inner)) as client:
        async with client.stream("GET", "http://models.test/") as response:
            assert [each async for each in response.aiter_bytes()] == [b"data: one\n\n", b"data: two\n\n"]
            assert response.headers["x-kept"] == "yes" and "content-encoding" not in response.headers
        assert stream.closed
    async with httpx.AsyncClient(transport=BoundedTransport(inner, most_bytes=15)) as client:
        with pytest.raises(FetchFailed, match="more than 15 bytes"):
            await client.get("http://models.test/")
