"""Answers as server-sent events: numbered, with a comment when nothing happens, resumable."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from starlette.responses import StreamingResponse

from rag_app.services.run_registry import Numbered

QUIET_S = 10.0
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def event_stream(events: AsyncGenerator[Numbered, None], first: Numbered | None) -> StreamingResponse:
    """The response that sends `first` and what follows it."""
    return StreamingResponse(_lines(events, first), media_type="text/event-stream", headers=HEADERS)


async def _lines(events: AsyncGenerator[Numbered, None], first: Numbered | None) -> AsyncIterator[bytes]:
    async with aclosing(events):
        if first is None:
            return
        yield _line(first)
        upcoming: asyncio.Future[Numbered] | None = None
        try:
            while True:
                upcoming = asyncio.ensure_future(anext(events))
                while not (await asyncio.wait({upcoming}, timeout=QUIET_S))[0]:
                    yield b": still here\n\n"
                yield _line(upcoming.result())
        except StopAsyncIteration:
            return
        finally:
            if upcoming and not upcoming.done():
                upcoming.cancel()
                await asyncio.gather(upcoming, return_exceptions=True)


def _line(event: Numbered) -> bytes:
    number, kind, data = event
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
