"""Keeps one child process running: starts it, starts it again with growing pauses when it ends, stops it in time."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from rag_app.errors import StartError
from rag_app.telemetry import log

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 30.0
SETTLED_AFTER_S = 10.0
GIVE_UP_AFTER = 5
SUSPENDED_S = 20.0  # as long as a worker may say nothing before its work is given to another
LOOK_EVERY_S = 2.0
EXIT_HOPELESS = 78  # a child that ends so has said why, and would end so again


class Keeper:
    """One child that shall run. `start` starts it and returns the process; it may block, so it runs in a thread.

    One that somebody suspends (SIGSTOP) for long does nothing and ends for nobody: unless it `may_pause` it is killed.
    """

    def __init__(self, name: str, start: Callable[[], subprocess.Popen[bytes]], *, may_pause: bool = False) -> None:
        self.name = name
        self._may_pause = may_pause
        self.process: subprocess.Popen[bytes] | None = None
        self._start = start
        self._starting: asyncio.Future[subprocess.Popen[bytes]] | None = None
        self._retired = asyncio.Event()
        self._settled = False

    def settle(self) -> None:
        """The child has shown that it works; from now on it is started again for as long as it takes."""
        self._settled = True

    async def keep(self) -> None:
        """Run the child until `stop`. Raises StartError when it cannot be started at all."""
        failures = 0
        while not self._retired.is_set():
            began = time.monotonic()
            self._starting = asyncio.ensure_future(asyncio.to_thread(self._start))
            # A start that is under way is finished even when we are cancelled, so that stop() finds its process.
            self.process = await asyncio.shield(self._starting)
            log.debug("child_started", child=self.name, pid=self.process.pid)
            code = await self._end_of(self.process)
            _sweep(self.process.pid)
            if self._retired.is_set():
                return
            if time.monotonic() - began > SETTLED_AFTER_S:
                failures = 0
                self.settle()
            failures += 1
            if code == EXIT_HOPELESS or (failures >= GIVE_UP_AFTER and not self._settled):
                raise StartError(f"The {self.name} cannot run (exit code {code}); what it said stands above.")
            pause = min(FIRST_PAUSE_S * 2 ** (failures - 1), LONGEST_PAUSE_S)
            log.error("child_restarted", child=self.name, ended_with=_ending(code), pause_s=pause)
            await asyncio.sleep(pause)

    async def _end_of(self, process: subprocess.Popen[bytes]) -> int:
        end = asyncio.ensure_future(asyncio.to_thread(process.wait))
        suspended_s = 0.0
        while not end.done():
            await asyncio.wait({end}, timeout=LOOK_EVERY_S)
            suspended_s = suspended_s + LOOK_EVERY_S if _is_suspended(process.pid) else 0.0
            if suspended_s >= SUSPENDED_S and not self._may_pause:
                log.error("child_suspended", child=self.name, for_s=suspended_s)
                process.kill()
                suspended_s = 0.0
        return end.result()

    async def stop(self, timeout_s: float) -> None:
        """Ask the child to end; after the timeout it is killed together with its own children."""
        self._retired.set()
        if self._starting is not None:
            with contextlib.suppress(StartError):
                self.process = await self._starting
        process = self.process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, timeout_s)
        except subprocess.TimeoutExpired:
            log.warning("child_killed", child=self.name, waited_s=timeout_s)
        _sweep(process.pid)
        await asyncio.to_thread(process.wait)


def _is_suspended(pid: int) -> bool:
    """Whether the process was stopped by a signal; False where the system does not tell, or a debugger holds it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "T"
    except (OSError, IndexError):
        return False


def _sweep(group: int) -> None:
    """Kill what is left of the child's process group (each child leads its own)."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
