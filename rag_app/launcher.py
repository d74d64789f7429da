"""The web process: Granian with the prebuilt front end, and an orderly end in which running answers finish."""

import argparse
import asyncio
import contextlib
import gc
import importlib
import inspect
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from granian import _granian
from granian.constants import Interfaces
from granian.server.embed import Server

from rag_app.errors import RagError, SettingsError
from rag_app.settings import Settings, get_settings
from rag_app.telemetry import configure_logging, log

ROOT = Path(__file__).resolve().parents[1]
DEFAULT_APP = "rag_app.rag_app:app"
EXIT_HOPELESS = 78  # EX_CONFIG: starting again would end the same way
LAST_SECONDS = 1.0
GOODBYE_S = 1.0
FLUSH_S = 0.1
BACKLOG = 1024
SERVICE_RESTART = 1012  # websocket close code: come back in a moment

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Message, Receive, Send], Awaitable[None]]


class Drain:
    """An ASGI wrapper that knows what runs, so that a stop can close websockets at once and wait for answers."""

    def __init__(self, app: Asgi) -> None:
        self._app = app
        self._closing = asyncio.Event()
        self._requests: set[asyncio.Task[Any]] = set()
        self._websockets: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Hand on to the application and remember the request while it runs."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("the server runs each request in a task of its own")
        is_websocket = scope["type"] == "websocket"
        running = self._websockets if is_websocket else self._requests
        running.add(task)
        try:
            await (self._websocket if is_websocket else self._app)(scope, receive, send)
        finally:
            running.discard(task)

    async def close_websockets(self) -> None:
        """End all websockets, now and from now on; requests go on. Takes as long as they need, at most GOODBYE_S."""
        self._closing.set()
        if self._websockets:
            await asyncio.wait(self._websockets, timeout=GOODBYE_S)
            await asyncio.sleep(FLUSH_S)  # the last frames leave through threads of the server that tell nobody

    def cancel(self) -> int:
        """Cancel what still runs, so that it can save what it has. Returns how many there were."""
        running = [*self._requests, *self._websockets]
        for task in running:
            task.cancel()
        return len(running)

    async def _websocket(self, scope: Message, receive: Receive, send: Send) -> None:
        async def receive_or_close() -> Message:
            message = asyncio.ensure_future(receive())
            closing = asyncio.ensure_future(self._closing.wait())
            try:
                await asyncio.wait({message, closing}, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                message.cancel()  # left waiting, it would keep the server from closing the socket
                raise
            finally:
                closing.cancel()
            if message.done():
                return message.result()
            message.cancel()
            with contextlib.suppress(RuntimeError):  # the other side may be gone already
                await send({"type": "websocket.close", "code": SERVICE_RESTART})
            return {"type": "websocket.disconnect", "code": SERVICE_RESTART}

        await self._app(scope, receive_or_close, send)


class _Server(Server):
    """Granian inside this process, on a socket that is already bound: it would share a taken port in silence."""

    def __init__(self, app: Asgi, descriptor: int) -> None:
        super().__init__(app, interface=Interfaces.ASGI, backlog=BACKLOG, log_enabled=False)
        self._descriptor = descriptor
        self._ssp: Any
        self._shd: Any
        self._sfd: Any

    def _init_shared_socket(self) -> None:
        holder: Any = _granian.SocketHolder  # its stub leaves out the constructor
        self._ssp, self._shd, self._sfd = None, holder(self._descriptor, False, BACKLOG), self._descriptor

    def end(self) -> None:
        """Take no new connections; the serving task ends once the running ones have."""
        self.interrupt_signal = True
        self.main_loop_interrupt.set()


async def serve(app: Asgi, descriptor: int, *, drain_s: float) -> None:
    """Serve on a listening socket until SIGTERM or SIGINT; running answers then get `drain_s` seconds to finish."""
    drain = Drain(app)
    server = _Server(drain, descriptor)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    serving = asyncio.ensure_future(server.serve())
    await asyncio.wait({serving, asyncio.ensure_future(stopping.wait())}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()
        return
    began = time.monotonic()
    await drain.close_websockets()
    server.end()
    await asyncio.wait({serving}, timeout=max(0.0, began + drain_s - time.monotonic()))
    if not serving.done():
        log.warning("requests_cut", requests=drain.cancel())
        await asyncio.wait({serving}, timeout=LAST_SECONDS)


def load(target: str) -> Asgi:
    """The ASGI application `module:name`. What is none itself (Reflex' App) gives one when called."""
    module, name = target.split(":")
    found: Any = getattr(importlib.import_module(module), name)
    is_asgi = inspect.iscoroutinefunction(found) or inspect.iscoroutinefunction(type(found).__call__)
    made: Asgi = found if is_asgi else found()
    return made


def use_prebuilt_front_end() -> None:
    """Tell Reflex to serve the build as it is. Only works before its first import."""
    os.environ["REFLEX_ENV_MODE"] = "prod"
    os.environ["REFLEX_TELEMETRY_ENABLED"] = "false"
    os.environ["REFLEX_CHECK_LATEST_VERSION"] = "false"
    os.environ["REFLEX_WEB_WORKDIR"] = str(ROOT / ".web")
    os.environ["__REFLEX_SKIP_COMPILE"] = "true"
    os.environ["__REFLEX_MOUNT_FRONTEND_COMPILED_APP"] = "true"


def main(arguments: list[str] | None = None) -> int:
    """Run the web process. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m rag_app.launcher", description=__doc__)
    parser.add_argument("--listen-fd", type=int, required=True, help="a listening socket that the parent opened")
    parser.add_argument("--gate-fd", type=int, help="serve only once this pipe is closed; until then get ready")
    parser.add_argument("--app", default=DEFAULT_APP, help="module:name of the ASGI application")
    options = parser.parse_args(arguments)
    try:
        settings = get_settings()
        configure_logging(settings.log_level, settings.log_format)
        return _run(options, settings)
    except RagError as problem:
        log.error("web_cannot_start", code=problem.code, problem=problem.message)
        return EXIT_HOPELESS if isinstance(problem, SettingsError) else 1


def _run(options: argparse.Namespace, settings: Settings) -> int:
    use_prebuilt_front_end()
    app = load(options.app)
    gc.freeze()  # what was loaded stays: looking through it again would hold up an answer for a tenth of a second
    if options.gate_fd is not None:
        os.read(options.gate_fd, 1)
    asyncio.run(serve(app, options.listen_fd, drain_s=settings.drain_s))
    # What does not end by itself now (a stuck thread) shall not hold up the stop.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
