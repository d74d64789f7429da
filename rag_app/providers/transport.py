"""Carries the calls of model clients, and bounds what an answer comes to once it is unpacked.

Such clients unpack whatever is named, in one go and as often as it is named: a few kilobytes become gigabytes.
"""

from collections.abc import AsyncIterator

import httpx

from rag_app.content_coding import ACCEPTED, Unpacker
from rag_app.errors import FetchFailed

MOST_BYTES = 32_000_000  # an answer of 96 embeddings of 4,096 figures is 9 MB, one of 100,000 tokens in pieces 25 MB
_UNPACKED = frozenset({b"content-encoding", b"content-length"})  # what they say of an answer is true of it packed


class BoundedTransport(httpx.AsyncBaseTransport):
    """Another transport whose answers are unpacked here, piece by piece, and end where they become too long."""

    def __init__(self, inner: httpx.AsyncBaseTransport, *, most_bytes: int = MOST_BYTES) -> None:
        self._inner, self._most = inner, most_bytes

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send. Raises FetchFailed for an answer that is packed in a way that was not asked for, or too long."""
        request.headers["accept-encoding"] = ACCEPTED
        response = await self._inner.handle_async_request(request)
        host = request.url.host
        try:
            unpacker = Unpacker(response.headers.get("content-encoding", ""), host)
        except FetchFailed:
            await response.aclose()
            raise
        is_packed = "content-encoding" in response.headers
        headers = [each for each in response.headers.raw if not (is_packed and each[0].lower() in _UNPACKED)]
        stream = _Unpacked(response, unpacker, FetchFailed(f"{host} sent more than {self._most:,} bytes."), self._most)
        return httpx.Response(response.status_code, headers=headers, stream=stream, extensions=response.extensions)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()


class _Unpacked(httpx.AsyncByteStream):
    def __init__(self, packed: httpx.Response, unpacker: Unpacker, too_much: FetchFailed, most: int) -> None:
        self._packed, self._unpacker, self._too_much, self._most = packed, unpacker, too_much, most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._packed.aiter_raw():
            for piece in self._unpacker.pieces(chunk):
                size += len(piece)
                if size > self._most:
                    raise self._too_much
                yield piece

    async def aclose(self) -> None:
        await self._packed.aclose()
