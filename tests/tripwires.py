"""Tripwires inside a process of the product: at a named step it ends itself with SIGKILL, or stands still there.

A step is a statement on its way to the database, a commit, a call of the operating system, or a piece of the body of
an upload. Nothing in the product knows of them; they are laid around its drivers, in a process that was forked for it.
"""

import asyncio
import json
import mmap
import os
import signal
import struct
import sys
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import psycopg

from rag_app.ingestion import chunk
from rag_app.ingestion.sandbox import _Child

Kind = Literal["statement", "commit", "call", "any"]
Act = Literal["die", "hold", "kill the parser"]
_COUNT = struct.Struct("Q")


@dataclass(frozen=True)
class Wire:
    """Where it lies: the `nth` time that something whose name or text holds `what` is about to happen, or has."""

    kind: Kind
    what: str = ""
    when: Literal["before", "after", "during"] = "before"
    nth: int = 1
    act: Act = "die"
    delay_s: float = 0.0  # of "during": how long after the beginning

    def as_dict(self) -> dict[str, Any]:
        """For its way into another process."""
        return asdict(self)


class Trap:
    """The wire of this process, what it says to those who laid it, and how many steps it has seen."""

    def __init__(self, folder: Path, number: int, wire: Wire | None) -> None:
        self.wire = wire
        self._said = folder / f"{number}.said"
        self._go = folder / f"{number}.go"
        self._seen = 0
        self._lock = threading.Lock()
        self._done: dict[int, list[str]] = defaultdict(list)  # connection -> statements of its transaction
        with (folder / f"{number}.steps").open("wb") as file:
            file.write(bytes(_COUNT.size))
        with (folder / f"{number}.steps").open("r+b") as file:
            self._steps = mmap.mmap(file.fileno(), _COUNT.size)

    def say(self, **what: Any) -> None:
        """Leave a line; it is there also when the process dies in the next moment."""
        line = (json.dumps(what) + "\n").encode()
        descriptor = os.open(self._said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, line)
        os.close(descriptor)

    def step(self, kind: Kind, what: str, when: str) -> None:
        """Something is about to happen, or has happened."""
        with self._lock:
            if when == "before":
                _COUNT.pack_into(self._steps, 0, _COUNT.unpack_from(self._steps)[0] + 1)
            wire = self.wire
            if wire is None or wire.when != when or wire.kind not in (kind, "any") or wire.what not in what:
                return
            self._seen += 1
            if self._seen != wire.nth:
                return
        self.spring(what)

    def spring(self, what: str) -> None:
        """The wire is touched."""
        self.say(at=what[:200])
        if self.wire is not None and self.wire.act == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        while not self._go.exists():  # the whole process stands still, as if it were suspended
            time.sleep(0.002)
        self.wire = None

    def statement(self, connection: object, text: str, when: str) -> None:
        """A statement goes out, or was answered."""
        if when == "before":
            self._done[id(connection)].append(text)
        self.step("statement", text, when)

    def commit(self, connection: object, when: str) -> None:
        """A transaction ends."""
        text = "\n".join(self._done.get(id(connection), []))
        if text:
            self.step("commit", text, when)
        if when == "after":
            self._done.pop(id(connection), None)


def lay(trap: Trap) -> None:
    """Lay the wires of this process."""
    _around_database(trap)
    for name in ("fsync", "replace"):
        _put(os, name, _stepped(trap, name, getattr(os, name)))
    _around_cutting(trap)
    _around_parser(trap)


def _around_cutting(trap: Trap) -> None:
    """Wherever the function has been imported to."""
    cut = chunk.cut
    stepped = _stepped(trap, "cut", cut)
    for name, module in list(sys.modules.items()):
        if name.startswith("rag_app.") and getattr(module, "cut", None) is cut:
            _put(module, "cut", stepped)


def _put(owner: object, name: str, function: Callable[..., Any]) -> None:
    setattr(owner, name, function)


def _stepped(trap: Trap, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        trap.step("call", name, "before")
        done = function(*arguments, **named)
        trap.step("call", name, "after")
        return done

    return call


def _around_database(trap: Trap) -> None:
    for cursor, name in ((psycopg.AsyncCursor, "execute"), (psycopg.AsyncCursor, "executemany")):
        _put(cursor, name, _awaited_statement(trap, getattr(cursor, name)))
    plain = psycopg.Cursor.execute

    def execute(self: Any, query: Any, *arguments: Any, **named: Any) -> Any:
        trap.statement(self.connection, str(query), "before")
        done = plain(self, query, *arguments, **named)
        trap.statement(self.connection, str(query), "after")
        return done

    _put(psycopg.Cursor, "execute", execute)
    copying = psycopg.AsyncCursor.copy

    @asynccontextmanager
    async def copy(self: Any, statement: Any, *arguments: Any, **named: Any) -> AsyncIterator[Any]:
        trap.statement(self.connection, str(statement), "before")
        async with copying(self, statement, *arguments, **named) as opened:
            yield opened
        trap.statement(self.connection, str(statement), "after")

    _put(psycopg.AsyncCursor, "copy", copy)
    committing, committed = psycopg.AsyncConnection.commit, psycopg.Connection.commit

    async def commit(self: Any) -> None:
        trap.commit(self, "before")
        await committing(self)
        trap.commit(self, "after")

    def commit_plain(self: Any) -> None:
        trap.commit(self, "before")
        committed(self)
        trap.commit(self, "after")

    _put(psycopg.AsyncConnection, "commit", commit)
    _put(psycopg.Connection, "commit", commit_plain)


def _awaited_statement(trap: Trap, function: Callable[..., Any]) -> Callable[..., Any]:
    async def execute(self: Any, query: Any, *arguments: Any, **named: Any) -> Any:
        trap.statement(self.connection, str(query), "before")
        done = await function(self, query, *arguments, **named)
        trap.statement(self.connection, str(query), "after")
        return done

    return execute


def _around_parser(trap: Trap) -> None:
    exchanging = _Child._exchange

    async def exchange(self: Any, request: dict[str, Any]) -> dict[str, Any]:
        wire = trap.wire
        if wire is None or wire.when != "during":
            return await exchanging(self, request)
        work = asyncio.create_task(exchanging(self, request))
        await asyncio.wait({work}, timeout=wire.delay_s)
        if not work.done() and trap.wire is not None:
            if wire.act == "kill the parser":
                trap.wire = None
                trap.say(at="the parser reads")
                os.kill(self._process.pid, signal.SIGKILL)
            else:
                trap.spring("the parser reads")
        try:
            return await work
        finally:
            work.cancel()

    _put(_Child, "_exchange", exchange)
