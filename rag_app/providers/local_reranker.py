"""Rerankers that run on this machine, each in a child process that starts when it is first needed."""

import asyncio
import contextlib
import importlib.util
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rag_app.errors import ProviderError, ProviderTimeout
from rag_app.providers.reranker_files import PREFIX, folder_of, is_there
from rag_app.telemetry import log

_ROOT = Path(__file__).resolve().parents[2]
# Only what a Python child needs: no keys, no addresses, no settings.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONHOME", "TZ")
_LONGEST_REPLY = 1_000_000
_IDLE_S = 600.0


def is_local(model: str) -> bool:
    """Whether this is the name of a reranker that runs here."""
    return model.startswith(PREFIX)


async def rerank(
    query: str, texts: Sequence[str], *, model: str, data_dir: Path, timeout_s: float
) -> list[float | None]:
    """One score per text, higher is better.

    The first call also loads the model; when that takes longer than `timeout_s` it goes on for the next call. Raises
    ProviderTimeout, and ProviderError when its files or its runtime are missing or the child has died.
    """
    if not is_there(data_dir, model):
        name = model.removeprefix(PREFIX)
        raise ProviderError(f"The reranker {name} is not downloaded: python -m rag_app reranker {name}")
    if importlib.util.find_spec("onnxruntime") is None:
        raise ProviderError("Local rerankers need the optional requirements-rerank.txt.")
    child = _children.setdefault(folder_of(data_dir, model), _Child(folder_of(data_dir, model)))
    try:
        async with asyncio.timeout(timeout_s):
            return await child.scores(query, texts)
    except TimeoutError as problem:
        raise ProviderTimeout(f"The reranker {model} did not answer within {timeout_s:g} seconds.") from problem


async def close_rerankers() -> None:
    """End all children; the next call starts them again."""
    for child in list(_children.values()):
        await child.close()
    _children.clear()


class _Child:
    """One model in its process. An answer carries the number of its question: a late one is not taken for another."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._number = 0
        self._end: asyncio.TimerHandle | None = None

    async def scores(self, query: str, texts: Sequence[str]) -> list[float | None]:
        async with self._turn:
            process = await self._running()
            self._number += 1
            asked = {"id": self._number, "query": query, "texts": list(texts)}
            found = await self._asked(process, json.dumps(asked).encode() + b"\n")
            self._rest()
        if len(found) != len(texts) or not all(math.isfinite(each) for each in found):
            raise ProviderError("The local reranker returned something that is no ranking.")
        return list(found)

    async def close(self) -> None:
        process, self._process = self._process, None
        if self._end:
            self._end.cancel()
        if process and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "rag_app.providers.reranker_child",
                str(self._folder.resolve()),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                cwd=_ROOT,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                limit=_LONGEST_REPLY,
            )
            log.info("reranker_started", model=self._folder.name)
        return self._process

    async def _asked(self, process: asyncio.subprocess.Process, line: bytes) -> list[float]:
        into, out = process.stdin, process.stdout
        if into is None or out is None:
            raise ProviderError("The local reranker cannot be spoken to.")
        try:
            into.write(line)
            await into.drain()
            while reply := await out.readline():
                answer = json.loads(reply)
                if answer["id"] == self._number:
                    return [float(each) for each in answer["scores"]]
        except (ConnectionError, ValueError, KeyError, TypeError) as problem:
            raise ProviderError("The local reranker broke off.") from problem
        raise ProviderError("The local reranker ended; its model may be damaged.")

    def _rest(self) -> None:
        """End it after a while without questions; it holds some hundred megabytes."""
        if self._end:
            self._end.cancel()
        self._end = asyncio.get_running_loop().call_later(_IDLE_S, self._stop)

    def _stop(self) -> None:
        if self._process and self._process.returncode is None and not self._turn.locked():
            self._process.kill()


_children: dict[Path, _Child] = {}
