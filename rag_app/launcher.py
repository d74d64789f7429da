"""The web process: Granian with the prebuilt front end, and an orderly end in which running answers finish."""

import argparse
import asyncio
import contextlib
import importlib
import inspect
import os
import signal
import sys
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

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Hand on to the application and remember the request while it runs."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("the server runs each request in a task of its own")
        self._requests.add(task)
        try:
            if scope["type"] == "websocket":
                await self._websocket(scope, receive, send)
            else:
                await self._app(scope, receive, send)
        finally:
            self._requests.discard(task)

    def close(self) -> None:
        """From now on websockets end; requests go on."""
        self._closing.set()

    def cancel(self) -> int:
        """Cancel what still runs, so that it can save what it has. Returns how many there were."""
        for task in self._requests:
            task.cancel()
        return len(self._requests)

    async def _websocket(self, scope: Message, receive: Receive, send: Send) -> None:
        async def receive_or_close() -> Message:
            message = asyncio.ensure_future(receive())
            closing = asyncio.ensure_future(self._closing.wait())
            await asyncio.wait({message, closing}, return_when=asyncio.FIRST_COMPLETED)
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
    drain.close()
    server.end()
    await asyncio.wait({serving}, timeout=drain_s)
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
    parser.add_argument("--app", default=DEFAULT_APP, help="module:name of the ASGI application")
    options = parser.parse_args(arguments)
    try:
        settings = get_settings()
        configure_logging(settings.log_level, settings.log_format)
        return _run(options.app, options.listen_fd, settings)
    except RagError as problem:
        log.error("web_cannot_start", code=problem.code, problem=problem.message)
        return EXIT_HOPELESS if isinstance(problem, SettingsError) else 1


def _run(target: str, descriptor: int, settings: Settings) -> int:
    use_prebuilt_front_end()
    app = load(target)
    asyncio.run(serve(app, descriptor, drain_s=settings.drain_s))
    # What does not end by itself now (a stuck thread) shall not hold up the stop.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
