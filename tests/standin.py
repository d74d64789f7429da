"""A tiny web application and a program that runs it under the supervisor, for tests of the supervisor itself."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """`/slow/N` writes a line four times a second for N seconds; a websocket stays open; everything else is `ok`."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "websocket":
        await _websocket(receive, send)
    else:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        if scope["path"].startswith("/slow/"):
            await _slow(int(scope["path"].removeprefix("/slow/")), send)
        await send({"type": "http.response.body", "body": b"ok\n"})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        print(message["type"], flush=True)
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _websocket(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def _slow(seconds: int, send: Send) -> None:
    try:
        for _ in range(seconds * 4):
            await send({"type": "http.response.body", "body": b"line\n", "more_body": True})
            await asyncio.sleep(0.25)
    except asyncio.CancelledError:
        print("saved what there was", flush=True)
        raise


def main() -> int:
    """Run `up` with the application above, without a worker. Prints what an operator would read."""
    from rag_app.errors import RagError
    from rag_app.settings import load_settings
    from rag_app.supervisor import up
    from rag_app.telemetry import configure_logging

    configure_logging("DEBUG")
    try:
        asyncio.run(up(load_settings(), worker=False, app="tests.standin:app"))
    except RagError as problem:
        print(f"ERROR {problem.message}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
