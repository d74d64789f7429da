"""An installation whose processes are forked one by one and die at tripwires; its database can be killed too."""

import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from rag_app.database.embedded import EmbeddedPostgres
from rag_app.database.engine import without_driver
from rag_app.database.migration import upgrade
from rag_app.services import accounts, api_keys, setup
from rag_app.services.context import Context, open_context
from rag_app.services.models import ProviderEntry, add_provider
from rag_app.services.permissions import Actor
from rag_app.settings import Settings, get_settings
from tests.tripwires import Wire

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 90.0
LOOK_EVERY_S = 0.02


@dataclass
class Born:
    """A forked process of the product."""

    pid: int
    number: int
    _folder: Path
    _nursery: "Nursery"
    ended: int | None = None

    def poll(self) -> int | None:
        """How it ended (negative: by that signal); None while it lives."""
        if self.ended is None:
            self.ended = self._nursery.ask(poll=self.pid)["status"]
        return self.ended

    def said(self) -> list[dict[str, Any]]:
        """The lines it left."""
        path = self._folder / f"{self.number}.said"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def is_at_wire(self) -> bool:
        """Whether its wire was touched."""
        return any("at" in line for line in self.said())

    @property
    def steps(self) -> int:
        """How many steps it has made."""
        path = self._folder / f"{self.number}.steps"
        content = path.read_bytes() if path.exists() else b""
        return int(struct.unpack("Q", content)[0]) if len(content) == 8 else 0

    def go_on(self) -> None:
        """Let it go on from where it stands."""
        (self._folder / f"{self.number}.go").touch()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        while self.poll() is None:
            time.sleep(0.002)


class Nursery:
    """Where they are forked."""

    def __init__(self, folder: Path, environment: dict[str, str], *, providers: bool) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        arguments = [sys.executable, "-m", "tests.nursery", *(["--providers"] if providers else [])]
        self._process = subprocess.Popen(
            arguments, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._read()

    def _read(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise AssertionError("the nursery ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, **what: Any) -> dict[str, Any]:
        """One question and its answer."""
        with self._lock:
            if self._process.stdin is None:
                raise AssertionError("the nursery ended")
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()
            return self._read()

    def fork(self, role: str, wire: Wire | None = None, **order: Any) -> Born:
        """A new process in this role: work, send, migrate."""
        number = next(self._numbers)
        order |= {"role": role, "number": number, "folder": str(self.folder), "log": str(self.folder / "log")}
        pid = self.ask(fork={**order, "wire": wire.as_dict() if wire else None})["pid"]
        return Born(int(pid), number, self.folder, self)

    def close(self) -> None:
        """End it, and all that it forked."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


@dataclass
class Site:
    """An installation without its processes: database, folder, key; and what it is asked about itself."""

    data_dir: Path
    server: EmbeddedPostgres
    nursery: Nursery
    context: Context
    actor: Actor
    key: str
    _watching: "psycopg.Connection[tuple[Any, ...]] | None" = field(default=None, repr=False)

    def connect(self) -> "psycopg.Connection[tuple[Any, ...]]":
        """A connection past the product. Waits until the database takes it."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return psycopg.connect(without_driver(self.server.url), autocommit=True, connect_timeout=5)
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def watch(self) -> "psycopg.Connection[tuple[Any, ...]]":
        """The connection that looks at states; opened anew when it was lost."""
        if self._watching is None or self._watching.closed:
            self._watching = self.connect()
        return self._watching

    def forget_workers(self) -> None:
        """No worker lives: their last signs of life are put back, as if the time had passed after which they count."""
        with contextlib.suppress(psycopg.Error):
            self.watch().execute("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 minute'")

    async def kill_database(self, *, whole: bool, dice: random.Random) -> None:
        """SIGKILL the server and start it again, or only one of its processes, at which it starts all anew itself."""
        if whole:
            process = self.server.process
            if process is None:
                raise AssertionError("the database does not run")
            process.kill()
            await asyncio.to_thread(process.wait)
            await asyncio.to_thread(self.server.start)
            return
        with self.connect() as connection:
            query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            pids = sorted(row[0] for row in connection.execute(query).fetchall())
            with contextlib.suppress(psycopg.OperationalError):
                os.kill(dice.choice(pids), signal.SIGKILL)
                connection.execute("SELECT pg_sleep(5)")  # it is cut off as soon as the server notices


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    get_settings.cache_clear()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        get_settings.cache_clear()


@contextlib.asynccontextmanager
async def open_site(folder: Path, *, provider_port: int = 0, provider_url: str = "") -> AsyncIterator[Site]:
    """A new installation; with a provider of embeddings when one is given."""
    data_dir = folder / "data"
    values = {
        "RAG_DATA_DIR": str(data_dir),
        "RAG_PUBLIC_URL": "http://testserver",
        "RAG_LOG_LEVEL": "WARNING",
        "RAG_ALLOWED_PRIVATE_HOSTS": f"127.0.0.1:{provider_port}" if provider_port else "",
        "OPENBLAS_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    with _environment(values):
        server = EmbeddedPostgres(data_dir)
        url = await asyncio.to_thread(server.start)
        await asyncio.to_thread(upgrade, url)
        nursery = Nursery(folder / "nursery", {**os.environ}, providers=bool(provider_port))
        try:
            async with open_context(Settings(), url=url, pool_size=4) as context:
                actor, key = await _enter(context)
                if provider_url:
                    entry = ProviderEntry(provider="compatible", base_url=provider_url, api_key="sk-double-0123456789")
                    await add_provider(context, actor, entry)
                site = Site(data_dir, server, nursery, context, actor, key)
                try:
                    yield site
                finally:
                    if site._watching is not None:
                        site._watching.close()
        finally:
            nursery.close()
            await asyncio.to_thread(server.stop)


async def _enter(context: Context) -> tuple[Actor, str]:
    """The first owner and an API key of theirs."""
    await setup.create_first_owner(context, email="owner@example.com", password="four unrelated words", name="Owner")
    actor = await accounts.operator(context)
    _, key = await api_keys.create_key(context, actor, name="faults", scopes=())
    return actor, key
