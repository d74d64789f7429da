"""The pool of parser children: no file harms another one, and nothing outlives its use."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from rag_app.errors import DamagedFile, ParserCrashed, ParserMemory, ParserTimeout
from rag_app.ingestion import sandbox
from rag_app.ingestion.parse import parse
from rag_app.ingestion.sandbox import ParserPool, default_memory_bytes

CHILD = "rag_app.ingestion.parser_child"


def children() -> list[psutil.Process]:
    found = []
    for each in psutil.Process().children(recursive=True):
        try:
            if CHILD in each.cmdline() and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
        except psutil.NoSuchProcess:
            continue
    return found


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  # processes of the system send no event
            await asyncio.sleep(0.02)


@pytest.fixture
async def pool() -> AsyncIterator[ParserPool]:
    async with ParserPool(1) as pool:
        yield pool
    assert children() == []


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "note.md"
    path.write_text(
        "# Title\n\nSome words about harbours and ferries, in English.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    return path


@pytest.fixture
def slow_file(tmp_path: Path) -> Path:
    path = tmp_path / "slow.csv"
    path.write_text("a,b,c\n" + "one word,two words,three words\n" * 150_000)
    return path


async def test_a_child_gives_what_the_parser_gives(pool: ParserPool, note: Path) -> None:
    assert await pool.parse(note, filename="note.md") == parse(note, filename="note.md")


async def test_a_refusal_keeps_its_type_and_words_and_the_child(pool: ParserPool, note: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.pdf"
    bad.write_bytes(b"%PDF-1.7\n")
    with pytest.raises(DamagedFile, match="damaged"):
        await pool.parse(bad, filename="bad.pdf")
    first = children()
    await pool.parse(note, filename="note.md")
    assert [each.pid for each in children()] == [each.pid for each in first]


async def test_a_timeout_kills_the_child_and_the_next_document_is_read(
    pool: ParserPool, note: Path, slow_file: Path
) -> None:
    await pool.parse(note, filename="note.md")
    (child,) = children()
    with pytest.raises(ParserTimeout):
        await pool.parse(slow_file, filename="slow.csv", timeout_s=0.05)
    assert child.pid not in [each.pid for each in children()]
    assert (await pool.parse(note, filename="note.md")).title == "Title"


async def test_too_much_memory_is_its_own_reason(note: Path) -> None:
    async with ParserPool(1, memory_bytes=20_000_000) as pool:
        with pytest.raises(ParserMemory):
            await pool.parse(note, filename="note.md")
    assert children() == []


async def test_a_crash_in_a_fresh_child_is_told(pool: ParserPool, note: Path) -> None:
    work = asyncio.create_task(pool.parse(note, filename="note.md"))
    await until(children)
    children()[0].send_signal(signal.SIGSEGV)
    with pytest.raises(ParserCrashed):
        await work
    assert (await pool.parse(note, filename="note.md")).title == "Title"


async def test_a_crash_in_a_used_child_is_tried_again(pool: ParserPool, note: Path, slow_file: Path) -> None:
    await pool.parse(note, filename="note.md")
    (child,) = children()
    work = asyncio.create_task(pool.parse(slow_file, filename="slow.csv"))
    await until(lambda: pool.idle_children == 0)
    child.send_signal(signal.SIGSEGV)
    assert (await work).metadata["rows"] == "150001"
    assert child.pid not in [each.pid for each in children()]


async def test_a_kill_from_outside_says_nothing_about_the_file(pool: ParserPool, note: Path) -> None:
    work = asyncio.create_task(pool.parse(note, filename="note.md"))
    await until(children)
    children()[0].kill()
    assert (await work).title == "Title"


async def test_kills_from_outside_are_not_endured_for_ever(pool: ParserPool, note: Path) -> None:
    work = asyncio.create_task(pool.parse(note, filename="note.md"))
    killed: set[int] = set()
    while not work.done():
        for each in children():
            if each.pid not in killed:
                killed.add(each.pid)
                each.kill()
        await asyncio.sleep(0.005)
    with pytest.raises(ParserCrashed, match="ended from outside 3 times"):
        await work
    assert len(killed) == 3


async def test_a_kill_by_the_kernel_for_want_of_memory_is_told_in_the_end(
    pool: ParserPool, note: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = iter(range(100))
    monkeypatch.setattr(sandbox, "_kills_for_memory", lambda: next(counted))
    work = asyncio.create_task(pool.parse(note, filename="note.md"))
    while not work.done():
        for each in children():
            each.kill()
        await asyncio.sleep(0.005)
    with pytest.raises(ParserMemory):
        await work


async def test_a_cancelled_request_leaves_no_child(pool: ParserPool, note: Path, slow_file: Path) -> None:
    await pool.parse(note, filename="note.md")
    work = asyncio.create_task(pool.parse(slow_file, filename="slow.csv"))
    await until(lambda: pool.idle_children == 0)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert children() == []
    assert (await pool.parse(note, filename="note.md")).title == "Title"


async def test_idle_children_are_dropped(note: Path) -> None:
    async with ParserPool(1, idle_s=0.05) as pool:
        await pool.parse(note, filename="note.md")
        await until(lambda: not children())
        assert (await pool.parse(note, filename="note.md")).title == "Title"


async def test_many_documents_at_once_use_no_more_children_than_allowed(note: Path) -> None:
    async with ParserPool(2) as pool:
        parsed = await asyncio.gather(*(pool.parse(note, filename="note.md") for _ in range(12)))
        assert {each.title for each in parsed} == {"Title"}
        assert len(children()) <= 2


def run(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "forbidden",
    [
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.system('true')",
        "open('/tmp/rag_app_parser_writes', 'wb').write(b'x' * 100000)",
        "files = [open('/dev/null') for _ in range(100)]",
    ],
)
def test_a_child_may_neither_connect_nor_start_programs_nor_write(forbidden: str) -> None:
    # SIGXFSZ is ignored by Python, so that writing raises instead of killing.
    done = run(f"from {CHILD} import _limit\n_limit(10**9)\n{forbidden}")
    assert done.returncode != 0
    assert any(word in done.stderr for word in ("PermissionError", "OSError", "File too large", "Too many open files"))


def test_a_child_is_the_first_victim_when_memory_runs_out() -> None:
    done = run(f"from {CHILD} import _limit\n_limit(10**9)\nprint(open('/proc/self/oom_score_adj').read())")
    assert done.stdout.strip() == "1000"


def test_a_child_does_not_load_the_rest_of_the_product() -> None:
    done = run(f"import sys, {CHILD}\n{CHILD}._import_parsers()\nprint(sorted(sys.modules))")
    assert done.returncode == 0, done.stderr
    assert not [
        name for name in ("litellm", "reflex", "sqlalchemy", "pydantic", "trafilatura") if f"'{name}'" in done.stdout
    ]


def test_a_child_dies_with_its_parent(note: Path) -> None:
    code = f"""
import asyncio, os, signal
from pathlib import Path
from rag_app.ingestion.sandbox import ParserPool
async def main():
    pool = ParserPool(1)
    await pool.parse(Path({str(note)!r}), filename="note.md")
    print(pool._idle[0]._process.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    done = run(code)
    assert done.returncode == -signal.SIGKILL
    pid = int(done.stdout)
    try:
        psutil.Process(pid).wait(10)
    except psutil.NoSuchProcess:
        return
    assert not psutil.pid_exists(pid)


def test_memory_is_limited_to_a_quarter_of_the_machine() -> None:
    assert default_memory_bytes() <= 1_000_000_000
    assert default_memory_bytes() <= psutil.virtual_memory().total / 4 + os.sysconf("SC_PAGE_SIZE")
