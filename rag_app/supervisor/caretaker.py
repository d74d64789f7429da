"""Opens and closes the house: claim, port, database, schema, web and worker, in this order; and back."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rag_app.database.claim import FolderClaim
from rag_app.database.cluster import explain
from rag_app.database.embedded import EmbeddedPostgres
from rag_app.database.lifeline import Child, spawn
from rag_app.errors import StartError
from rag_app.settings import PREFIX, Settings
from rag_app.supervisor.children import Keeper
from rag_app.supervisor.doorway import answers, listen
from rag_app.telemetry import log

ROOT = Path(__file__).resolve().parents[2]
SMALLEST_FREE_SPACE = 64 * 1024 * 1024
PROBE_EVERY_S = 0.1
# Beyond what the web process grants to running answers: its own last second, and the way out.
WAY_OUT_S = 1.2


async def up(settings: Settings, *, worker: bool = True, app: str = "") -> None:
    """Run the whole product until SIGINT or SIGTERM. Raises StartError, one line with the fix, when it cannot run.

    `app` serves another ASGI application (`module:name`) than the product's own.
    """
    stopping = asyncio.Event()
    house = House(settings, with_worker=worker, app=app)

    def stop() -> None:
        if stopping.is_set():
            house.hurry()  # somebody asked twice
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    running = asyncio.ensure_future(house.run())
    stopped = asyncio.ensure_future(stopping.wait())
    await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not running.done():
        log.info("stopping")
        running.cancel()
        await asyncio.wait({running})
    await house.close()
    if not running.cancelled():
        running.result()


class Gate:
    """Holds the web process back, once it is ready to serve, until database and schema are there."""

    def __init__(self) -> None:
        self.entry, self._bar = os.pipe()  # reading the entry ends when nobody holds the other side open any more

    def open(self) -> None:
        """Let the web process serve, this one and all that replace it."""
        if self._bar >= 0:
            os.close(self._bar)
            self._bar = -1

    def close(self) -> None:
        """Give the descriptors back."""
        self.open()
        if self.entry >= 0:
            os.close(self.entry)
            self.entry = -1


class House:
    """Everything that runs, and the order in which it comes and goes."""

    def __init__(self, settings: Settings, *, with_worker: bool, app: str = "") -> None:
        self._app = ["--app", app] if app else []
        self._settings = settings
        self._claim = FolderClaim(settings.data_dir.absolute() / "lock")
        self._database = EmbeddedPostgres(settings.data_dir) if settings.embedded else None
        self._environment = environment_of(settings)
        self._door: socket.socket | None = None
        self._gate = Gate()
        self._web = Keeper("web server", self._start_web)
        self._worker = Keeper("worker", self._start_worker) if with_worker else None
        self._postgres = Keeper("database", self._start_database, may_pause=True) if self._database else None
        self._schema: subprocess.Popen[bytes] | None = None
        self._tasks: list[asyncio.Future[None]] = []

    async def run(self) -> None:
        """Open the house and keep it open. Ends only by an error or when cancelled."""
        began = time.monotonic()
        claim_folder(self._settings, self._claim)
        self._door = listen(self._settings.host, self._settings.port)
        self._keep(self._web)  # its many imports take longest; it serves nobody before the gate opens
        if self._postgres:
            await asyncio.to_thread(self._start_database)
            self._keep(self._postgres)
        link = await self._bring_up_to_date()
        self._gate.open()
        if self._worker:
            self._keep(self._worker)
        self._tasks.append(asyncio.ensure_future(self._greet_when_ready(link, began)))
        # Each of them runs for good; the first error is the end of all.
        await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Stop everything: first nobody new comes in, then the children end, the database last."""
        if self._door:
            self._door.close()
        for task in self._tasks:
            task.cancel()
        if self._schema and self._schema.poll() is None:
            self._schema.kill()
        patience_s = self._settings.drain_s + WAY_OUT_S
        await asyncio.gather(*(keeper.stop(patience_s) for keeper in (self._web, self._worker) if keeper))
        if self._database:
            await asyncio.to_thread(self._database.stop)
        self._gate.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._claim.release()

    def hurry(self) -> None:
        """Kill what has not ended yet, except the database, which needs no time."""
        for keeper in (self._web, self._worker):
            if keeper and keeper.process:
                keeper.process.kill()

    def _keep(self, keeper: Keeper) -> None:
        self._tasks.append(asyncio.ensure_future(keeper.keep()))

    async def _bring_up_to_date(self) -> str | None:
        arguments = [sys.executable, "-m", "rag_app.supervisor.schema"]
        child = Child(arguments, environment=self._environment, stdout=subprocess.PIPE, death_signal=signal.SIGKILL)
        self._schema = spawn(child)
        said, _ = await asyncio.to_thread(self._schema.communicate)
        try:
            answer = json.loads(said)
        except ValueError as problem:
            raise StartError("The schema could not be brought up to date; the reason stands above.") from problem
        if "error" in answer:
            raise StartError(answer["error"])
        link: str | None = answer["setup_link"]
        return link

    async def _greet_when_ready(self, link: str | None, began: float) -> None:
        host, port = self._settings.host, self._settings.port
        while not await answers(host, port, "/ready"):  # noqa: ASYNC110  another process gets ready, no event of ours
            await asyncio.sleep(PROBE_EVERY_S)
        self._web.settle()
        log.info("ready", seconds=time.monotonic() - began)
        lines = [f"rag_app is ready: {address_of(self._settings)}"]
        if link:
            lines.append(f"Create the owner's account (this link works once): {link}")
        sys.stdout.write("\n" + "\n".join(lines) + "\n\n")
        sys.stdout.flush()

    def _start_database(self) -> subprocess.Popen[bytes]:
        if self._database is None:
            raise StartError("There is no embedded database to start.")
        self._database.start()
        if self._database.process is None:
            raise StartError("The embedded database ended at once.")
        return self._database.process

    def _start_web(self) -> subprocess.Popen[bytes]:
        if self._door is None:
            raise StartError("The port is not open.")
        door, gate = self._door.fileno(), self._gate.entry
        fixed = [sys.executable, "-m", "rag_app.launcher", "--listen-fd", str(door), "--gate-fd", str(gate)]
        return self._spawn([*fixed, *self._app], door, gate)

    def _start_worker(self) -> subprocess.Popen[bytes]:
        return self._spawn([sys.executable, "-m", "rag_app", "worker"])

    def _spawn(self, arguments: Sequence[str], *descriptors: int) -> subprocess.Popen[bytes]:
        return spawn(
            Child(arguments, environment=self._environment, death_signal=signal.SIGKILL, descriptors=descriptors)
        )


def claim_folder(settings: Settings, claim: FolderClaim) -> None:
    """Make the data folder and claim it. Raises StartError when it is in use, not writable, or its disk is full."""
    folder = settings.data_dir.absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        claim.take()
        free = shutil.disk_usage(folder).free
    except OSError as problem:
        raise StartError(explain(problem, folder)) from problem
    if free < SMALLEST_FREE_SPACE:
        raise StartError(
            f"The disk of {folder} is full ({free // 1_000_000} MB free): free at least "
            f"{SMALLEST_FREE_SPACE // 1_000_000} MB and start again. Nothing was lost."
        )


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment in which a child reads the same settings, whatever folder or command line they came from."""
    given = {PREFIX + name.upper(): str(getattr(settings, name)) for name in settings.model_fields_set}
    given[PREFIX + "DATA_DIR"] = str(settings.data_dir.absolute())
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
    return {**os.environ, **given, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def address_of(settings: Settings) -> str:
    """Where a person on this machine opens the console."""
    host = {"0.0.0.0": "localhost", "::": "localhost", "127.0.0.1": "localhost"}.get(settings.host, settings.host)
    return settings.public_url or f"http://{f'[{host}]' if ':' in host else host}:{settings.port}/"
