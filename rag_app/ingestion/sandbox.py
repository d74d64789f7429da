"""Runs the parsers in a pool of limited child processes, so that no file can harm the worker or another document."""

import asyncio
import contextlib
import json
import os
import struct
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rag_app.errors import DocumentFailed, NotReady, ParserCrashed, ParserMemory, ParserTimeout
from rag_app.ingestion.parsed import ParsedDocument, RecognisedPage
from rag_app.ingestion.parsed_wire import document, raise_refusal, recognised_page

MAX_MEMORY_BYTES = 1_000_000_000
_MEMORY_SHARE = 0.25
_MAX_REPLY_BYTES = 400_000_000
_FILES_PER_CHILD = 1_000
_GROWTH_BYTES = 300_000_000
_IDLE_S = 60.0
_WATCH_S = 0.05
_MOST_KILLS = 3  # by others, while one file is read
_START_S = 60.0
_LENGTH = struct.Struct(">I")
_PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
_ROOT = Path(__file__).resolve().parents[2]
# Only what a Python child needs: no keys, no addresses, no settings.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONHOME", "TZ")


@dataclass(frozen=True, slots=True)
class Aids:
    """What helps to read a file: its password, and what was recognised on pages that are pictures."""

    password: str | None = field(default=None, repr=False)
    recognised: Mapping[int, RecognisedPage] = field(default_factory=dict)


_NO_AIDS = Aids()
Ask = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class ParserPool:
    """A pool of parser children, started when needed and dropped when idle. Use `close` at the end.

    `size` children work at the same time at most (default: one per core; they stand back behind whatever serves
    people). `memory_bytes` limits the resident memory of each (default: the smaller of 1 GB and a quarter of the
    machine).
    """

    def __init__(self, size: int | None = None, *, memory_bytes: int | None = None, idle_s: float = _IDLE_S) -> None:
        self._size = size or os.cpu_count() or 2
        self._slots = asyncio.Semaphore(self._size)
        self._memory_bytes = memory_bytes or default_memory_bytes()
        self._idle_s = idle_s
        self._idle: list[_Child] = []
        self._reaper: asyncio.Task[None] | None = None
        self._closed = False
        self._kind: tuple[str, ...] = ()
        self._kin: dict[str, ParserPool] = {}

    async def __aenter__(self) -> "ParserPool":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def parse(
        self,
        path: Path,
        *,
        filename: str,
        media_type: str | None = None,
        timeout_s: float = 60,
        aids: Aids = _NO_AIDS,
    ) -> ParsedDocument:
        """Like `parse.parse`, in a child. Raises its errors, and ParserTimeout, ParserMemory or ParserCrashed.

        A crash is tried once more in a fresh child if the child had read other files before: they may be to blame.
        A child that somebody else ended says nothing about the file, so a fresh one reads it.
        """
        request: dict[str, Any] = {"path": os.path.abspath(path), "filename": filename, "media_type": media_type}
        recognised = {str(number): asdict(page) for number, page in aids.recognised.items()}
        request |= {"do": "parse", "password": aids.password, "recognised": recognised}
        return document(await self._answer(request, timeout_s))

    async def recognise(self, path: Path, *, page: int, password: str | None, timeout_s: float) -> RecognisedPage:
        """The letters on the picture of a PDF page, read in a child of its own kind; one page at a time.

        Raises like `parse`. The OCR extra must be installed.
        """
        request = {"do": "recognise", "path": str(path.resolve()), "page": page, "password": password}
        answer = await self._of_kind("ocr", 1)._answer(request, timeout_s)
        raise_refusal(answer)
        return recognised_page(answer)

    async def analyse(self, request: dict[str, Any], *, timeout_s: float) -> dict[str, Any]:
        """The answer of `analysis.answer_to`, by a child that has never opened a file. Raises like `parse`."""
        answer = await self._of_kind("texts", self._size)._answer(request, timeout_s)
        raise_refusal(answer)
        return answer

    def _of_kind(self, kind: str, size: int) -> "ParserPool":
        """The pool of children that do one kind of work and no other."""
        if kind not in self._kin:
            pool = self._kin[kind] = ParserPool(size, memory_bytes=self._memory_bytes, idle_s=self._idle_s)
            pool._kind = (kind,)
        return self._kin[kind]

    @contextlib.asynccontextmanager
    async def session(self, *, timeout_s: float) -> AsyncIterator[Ask]:
        """One child for several requests that belong together; each may take `timeout_s`.

        Asking raises what the child refuses, and like `parse` what happens to it; NotReady if somebody else ended it.
        """

        async def ask(request: dict[str, Any]) -> dict[str, Any]:
            try:
                answer = await child.ask(request, timeout_s=timeout_s, memory_bytes=self._memory_bytes)
            except _Killed as problem:
                raise NotReady("The program that reads files was ended from outside.") from problem
            raise_refusal(answer)
            return answer

        async with self._slots:
            child = await self._take()
            async with self._lent(child):
                yield ask

    async def _answer(self, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        async with self._slots:
            child, kills = await self._take(), 0
            while True:
                experienced = child.served > 0
                try:
                    return await self._ask(child, request, timeout_s)
                except _Killed as problem:
                    kills += 1
                    if kills == _MOST_KILLS:
                        raise problem.verdict() from problem
                except ParserCrashed:
                    if not experienced:
                        raise
                child = await self._start()

    async def close(self) -> None:
        """End all idle children; children at work end with their request."""
        self._closed = True
        for pool in self._kin.values():
            await pool.close()
        if self._reaper is not None:
            self._reaper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reaper
            self._reaper = None
        while self._idle:
            await self._idle.pop().kill()

    @property
    def idle_children(self) -> int:
        """How many children wait for work."""
        return len(self._idle)

    async def _take(self) -> "_Child":
        while self._idle:
            child = self._idle.pop()
            if child.is_alive:
                return child
            await child.kill()
        return await self._start()

    async def _start(self) -> "_Child":
        return await _Child.start(self._memory_bytes, self._kind)

    async def _ask(self, child: "_Child", request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        async with self._lent(child):
            return await child.ask(request, timeout_s=timeout_s, memory_bytes=self._memory_bytes)

    @contextlib.asynccontextmanager
    async def _lent(self, child: "_Child") -> AsyncIterator[None]:
        """Takes the child back after the block; one that did not answer well is killed."""
        kept = False
        try:
            yield
            kept = not self._closed and child.served < _FILES_PER_CHILD and not child.has_grown
        finally:
            if kept:
                child.idle_since = time.monotonic()
                self._idle.append(child)
                self._watch_idle()
            else:
                await asyncio.shield(child.kill())

    def _watch_idle(self) -> None:
        if self._reaper is None or self._reaper.done():
            self._reaper = asyncio.create_task(self._drop_idle())

    async def _drop_idle(self) -> None:
        while self._idle:
            await asyncio.sleep(max(0.01, self._idle[0].idle_since + self._idle_s - time.monotonic()))
            old = [child for child in self._idle if time.monotonic() - child.idle_since >= self._idle_s]
            self._idle = [child for child in self._idle if child not in old]
            for child in old:
                await child.kill()


class _Killed(Exception):
    """The child got a SIGKILL that is not ours."""

    def __init__(self, *, memory_ran_out: bool) -> None:
        super().__init__()
        self._memory_ran_out = memory_ran_out

    def verdict(self) -> DocumentFailed:
        """What to say of the file when this happens again and again."""
        if self._memory_ran_out:
            return ParserMemory()
        return ParserCrashed(f"The program that reads files was ended from outside {_MOST_KILLS} times: try again.")


class _Child:
    """One child process and its pipes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._first_bytes = 0
        self.served = 0
        self.idle_since = 0.0

    @classmethod
    async def start(cls, memory_bytes: int, kind: Sequence[str]) -> "_Child":
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        # One thread per library: the pool is the parallelism, and arenas of idle threads cost memory.
        environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2",
                        "PYTHONPATH": str(_ROOT), "PYTHONDONTWRITEBYTECODE": "1",
                        "TOKENIZERS_PARALLELISM": "false"}  # fmt: skip
        if os.getpid() == 1:
            environment["RAG_PARSER_PARENT"] = "1"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "rag_app.ingestion.parser_child", str(memory_bytes), *kind,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            env=environment, cwd="/",
        )  # fmt: skip
        return cls(process)

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    @property
    def has_grown(self) -> bool:
        """Whether it keeps much more memory than after its first file."""
        return self._resident_bytes() - self._first_bytes > _GROWTH_BYTES

    async def ask(self, request: dict[str, Any], *, timeout_s: float, memory_bytes: int) -> dict[str, Any]:
        """Send one request and wait for its answer. After any error but a refusal the child must be killed."""
        kills_before = _kills_for_memory()
        watch = asyncio.create_task(self._watch(memory_bytes))
        work = asyncio.create_task(self._exchange({**request, "cpu_s": int(timeout_s) + 5}))
        try:
            allowed = timeout_s if self.served else timeout_s + _START_S / 4
            done, _ = await asyncio.wait({watch, work}, timeout=allowed, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                raise ParserTimeout()
            if watch in done and work not in done:
                raise ParserMemory()
            answer = work.result()
            if "crash" in answer:
                raise ParserCrashed(where=str(answer["crash"])[:200])
        except (OSError, EOFError, ValueError) as problem:
            raise await self._death(kills_before) from problem
        finally:
            for task in (watch, work):
                task.cancel()
            await asyncio.gather(watch, work, return_exceptions=True)
        self.served += 1
        self._first_bytes = self._first_bytes or self._resident_bytes()
        return answer

    async def kill(self) -> None:
        """End the process and free its pipes."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()
        transport = getattr(self._process, "_transport", None)
        if transport is not None:  # else its pipes wait for the garbage collector
            transport.close()

    async def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise EOFError
        data = json.dumps(request).encode()
        stdin.write(_LENGTH.pack(len(data)) + data)
        await stdin.drain()
        (length,) = _LENGTH.unpack(await stdout.readexactly(_LENGTH.size))
        if length > _MAX_REPLY_BYTES:
            raise ValueError("reply too long")
        reply = await stdout.readexactly(length)
        answer: dict[str, Any] = await asyncio.to_thread(json.loads, reply)
        return answer

    async def _watch(self, memory_bytes: int) -> None:
        """Returns once the child holds more memory than it may."""
        while self._resident_bytes() <= memory_bytes:  # noqa: ASYNC110  # the kernel sends no event for this
            await asyncio.sleep(_WATCH_S)

    async def _death(self, kills_before: int) -> Exception:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), 2)
        status = self._process.returncode
        if status == -24:  # SIGXCPU
            return ParserTimeout()
        if status == -9:
            return _Killed(memory_ran_out=_kills_for_memory() > kills_before)
        return ParserCrashed()

    def _resident_bytes(self) -> int:
        """Resident memory; 0 where the system does not tell (then the child's own limit must do)."""
        try:
            with open(f"/proc/{self._process.pid}/statm", "rb") as file:
                return int(file.read().split()[1]) * _PAGE_SIZE
        except (OSError, IndexError):
            return 0


def _kills_for_memory() -> int:
    """How many processes the kernel has killed because memory ran out; 0 where it does not tell."""
    try:
        with open("/proc/vmstat", encoding="ascii") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("oom_kill ")), 0)
    except OSError:
        return 0


def default_memory_bytes() -> int:
    """The smaller of 1 GB and a quarter of the machine's memory."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * _PAGE_SIZE
    except (ValueError, OSError):
        return MAX_MEMORY_BYTES
    return int(min(MAX_MEMORY_BYTES, total * _MEMORY_SHARE))
