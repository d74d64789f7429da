"""The program of a parser child: limits itself, then reads files one by one as it is told over its pipes."""

import contextlib
import ctypes
import json
import os
import resource
import struct
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from rag_app.errors import ParserMemory, RagError
from rag_app.ingestion.archive_session import ArchiveSession
from rag_app.ingestion.language import detect
from rag_app.ingestion.ocr import Recogniser
from rag_app.ingestion.parse import parse
from rag_app.ingestion.parsed_wire import packed, recognised_page, refusal

_LENGTH = struct.Struct(">I")
_CLONE_NEWNET = 0x40000000
_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_SIGKILL = 9
_OPEN_FILES = 64
_STAND_BACK = 10  # steps of niceness: people who search or chat meanwhile come first
_FORBIDDEN_EVENTS = (
    "socket.",
    "subprocess.",
    "os.exec",
    "os.system",
    "os.fork",
    "os.posix_spawn",
    "os.spawn",
    "ctypes.dlopen",
)


_SESSIONS: list[ArchiveSession] = []  # at most one: the archive that is open
_RECOGNISERS: list[Recogniser] = []  # at most one: in a child that reads pictures of text
_ANALYSES: list[Callable[[dict[str, Any]], dict[str, Any]]] = []  # at most one: in a child that opens no files


def main() -> None:
    """Serve requests from stdin until it closes. Each answer is one length-prefixed JSON object on stdout."""
    memory_bytes = int(sys.argv[1])
    # Replies keep their own descriptor: whatever a parser prints goes to stderr, never between two replies.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.excepthook = partial(_last_words, replies)
    kind = sys.argv[2] if len(sys.argv) > 2 else ""
    if kind == "texts":
        _import_analysis()
    else:
        _import_parsers()
    if kind == "ocr":
        _RECOGNISERS.append(Recogniser())
    _limit(memory_bytes)
    os.nice(_STAND_BACK)
    requests = sys.stdin.buffer
    while (request := _read(requests)) is not None:
        _limit_cpu(int(request["cpu_s"]))
        _write(replies, _answer(request))


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        answer = _done(request)
    except MemoryError:
        answer = {"error": ParserMemory.code, "message": ParserMemory().message}
    except RagError as problem:
        answer = refusal(problem)
    return {**answer, "parse_ms": (time.perf_counter() - started) * 1000}


def _done(request: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked; an archive stays open from one request to the next."""
    if request["do"] == "unpack":
        _SESSIONS[:] = [ArchiveSession(request)]
        return _SESSIONS[0].look()
    if request["do"] == "next member":
        return _SESSIONS[0].next()
    if request["do"] == "more of it":
        return _SESSIONS[0].more()
    if request["do"] == "recognise":
        page = _RECOGNISERS[0].read(Path(request["path"]), int(request["page"]), request["password"])
        return {"height": page.height, "lines": page.lines}
    if request["do"] == "texts":
        return _ANALYSES[0](request)
    _SESSIONS.clear()
    parsed = parse(
        Path(request["path"]),
        filename=request["filename"],
        media_type=request["media_type"],
        password=request["password"],
        recognised={int(number): recognised_page(page) for number, page in request["recognised"].items()},
    )
    return {"document": packed(parsed)}


def _last_words(
    replies: BinaryIO, kind: type[BaseException], problem: BaseException, trace: TracebackType | None
) -> None:
    """What no parser foresaw ends the child; where it happened is told, what the file holds is not."""
    del problem
    place = traceback.extract_tb(trace)[-1] if trace is not None else None
    where = f"{Path(place.filename).name}:{place.lineno}" if place is not None else ""
    _write(replies, {"crash": f"{kind.__name__} {where}".strip()})


def _import_parsers() -> None:
    """What must be loaded before the limits forbid loading libraries."""
    import lxml.etree
    import pypdfium2
    import selectolax.lexbor

    del lxml, pypdfium2, selectolax
    _load_languages()


def _import_analysis() -> None:
    """Likewise, for a child that only ever analyses texts."""
    from rag_app.ingestion.analysis import answer_to
    from rag_app.providers import local_embedder

    local_embedder.warm()
    _load_languages()
    _ANALYSES.append(answer_to)


def _load_languages() -> None:
    """Not by English, which is told without the model: that is unpacked through a file, which the limits forbid."""
    detect("Das Modell liegt verpackt in einer Datei, die sich später nicht mehr auspacken ließe.")


def _limit(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    # Counts private memory only; the parent also watches what is really resident.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes * 2, memory_bytes * 2))
    if sys.platform == "linux":
        _isolate()
    sys.addaudithook(_refuse)


def _isolate() -> None:
    """Dies with its parent, is the first to go when memory runs out, and has no network where the kernel allows."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() == 1 and os.environ.get("RAG_PARSER_PARENT") != "1":
        raise SystemExit(0)  # the parent died before it could be watched
    if libc.unshare(_CLONE_NEWNET) != 0:
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)


def _refuse(event: str, _: tuple[Any, ...]) -> None:
    if event.startswith(_FORBIDDEN_EVENTS):
        raise PermissionError(f"{event} is not allowed while reading a document")


def _limit_cpu(seconds: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + seconds + 1
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def _read(stream: BinaryIO) -> dict[str, Any] | None:
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    request: dict[str, Any] = json.loads(stream.read(length))
    return request


def _write(stream: BinaryIO, answer: dict[str, Any]) -> None:
    data = json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode("utf-8", errors="replace")
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


if __name__ == "__main__":
    main()
