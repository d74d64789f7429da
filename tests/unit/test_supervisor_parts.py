"""The parts of the supervisor by themselves: keeping a child, opening the port, handing settings on."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rag_app.database.cluster import explain
from rag_app.database.lifeline import Child, spawn
from rag_app.errors import StartError
from rag_app.launcher import load
from rag_app.settings import Settings, load_settings
from rag_app.supervisor import children
from rag_app.supervisor.caretaker import address_of, environment_of
from rag_app.supervisor.children import EXIT_HOPELESS, Keeper
from rag_app.supervisor.doorway import answers, listen


class Nursery:
    """Starts children that run the given lines, one after the other; the last line is used again and again."""

    def __init__(self, *programs: str) -> None:
        self._programs = list(programs)
        self.started = 0

    def start(self) -> subprocess.Popen[bytes]:
        """The next child."""
        program = self._programs[min(self.started, len(self._programs) - 1)]
        self.started += 1
        return spawn(Child([sys.executable, "-c", program]))


async def until(condition: Callable[[], bool]) -> None:
    while True:
        if condition():
            return
        await asyncio.sleep(0.05)


SLEEP = "import time; time.sleep(600)"


async def test_a_child_that_ends_is_started_again() -> None:
    nursery = Nursery("import sys; sys.exit(3)", "", SLEEP)
    keeper = Keeper("child", nursery.start)
    keeping = asyncio.ensure_future(keeper.keep())
    async with asyncio.timeout(30):
        await until(lambda: nursery.started == 3)
        await keeper.stop(5.0)
        await keeping
    assert keeper.process is not None
    assert keeper.process.returncode is not None


@pytest.mark.parametrize("may_pause", [False, True])
async def test_a_child_that_is_suspended_is_replaced(monkeypatch: pytest.MonkeyPatch, may_pause: bool) -> None:
    monkeypatch.setattr(children, "SUSPENDED_S", 0.2)
    monkeypatch.setattr(children, "LOOK_EVERY_S", 0.05)
    nursery = Nursery(SLEEP)
    keeper = Keeper("worker", nursery.start, may_pause=may_pause)
    keeping = asyncio.ensure_future(keeper.keep())
    try:
        async with asyncio.timeout(30):
            await until(lambda: keeper.process is not None)
            assert keeper.process is not None
            keeper.process.send_signal(signal.SIGSTOP)
            if may_pause:
                await asyncio.sleep(0.6)
                assert nursery.started == 1
                keeper.process.send_signal(signal.SIGCONT)
            else:
                await until(lambda: nursery.started == 2)
    finally:
        if keeper.process is not None:
            keeper.process.send_signal(signal.SIGCONT)
        await keeper.stop(5.0)
        await keeping


async def test_a_child_that_says_it_is_hopeless_is_not_started_again() -> None:
    nursery = Nursery(f"import sys; sys.exit({EXIT_HOPELESS})")
    with pytest.raises(StartError, match=f"worker cannot run .exit code {EXIT_HOPELESS}"):
        await Keeper("worker", nursery.start).keep()
    assert nursery.started == 1


async def test_one_that_never_worked_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag_app.supervisor.children.FIRST_PAUSE_S", 0.001)
    nursery = Nursery("import sys; sys.exit(1)")
    with pytest.raises(StartError):
        await Keeper("web server", nursery.start).keep()
    assert nursery.started == 5


async def test_one_that_has_worked_is_never_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag_app.supervisor.children.FIRST_PAUSE_S", 0.001)
    nursery = Nursery(*["import sys; sys.exit(1)"] * 7, SLEEP)
    keeper = Keeper("web server", nursery.start)
    keeper.settle()
    keeping = asyncio.ensure_future(keeper.keep())
    async with asyncio.timeout(30):
        await until(lambda: nursery.started == 8)
        await keeper.stop(5.0)
        await keeping


async def test_a_deaf_child_is_killed_with_its_own_children(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    deaf = (
        "import pathlib, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"own = subprocess.Popen([sys.executable, '-c', {SLEEP!r}])\n"
        f"pathlib.Path({str(mark)!r}).write_text(str(own.pid))\n" + SLEEP
    )
    keeper = Keeper("child", Nursery(deaf).start)
    keeping = asyncio.ensure_future(keeper.keep())
    async with asyncio.timeout(30):
        await until(lambda: mark.exists() and bool(mark.read_text()))
        await keeper.stop(0.2)
        await keeping
        await until(lambda: not _is_alive(int(mark.read_text())))
    assert keeper.process is not None
    assert keeper.process.returncode == -9


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


async def test_the_port_is_ours_alone() -> None:
    first = listen("127.0.0.1", 0)
    port = first.getsockname()[1]
    with first, pytest.raises(StartError, match=f"Port {port} is taken"):
        await asyncio.to_thread(listen, "127.0.0.1", port)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(StartError, match="cannot be opened"):
        listen("192.0.2.1", 20000)


@pytest.mark.parametrize(("status", "expected"), [("200 OK", True), ("503 Busy", False)])
async def test_only_200_counts_as_ready(status: str, expected: bool) -> None:
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(reply, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        assert await answers("127.0.0.1", port, "/ready") is expected
    assert await answers("127.0.0.1", port, "/ready") is False


def test_children_read_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ours = Settings(data_dir=Path("somewhere"), port=4321, drain_s=1.5, log_format="json")
    environment, ours_at = environment_of(ours), ours.data_dir.absolute()
    for name in [name for name in os.environ if name.startswith("RAG_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        if name.startswith("RAG_"):
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)  # a relative folder must not follow the child around
    theirs = load_settings()
    assert theirs.data_dir == ours_at
    assert (theirs.port, theirs.drain_s, theirs.log_format) == (4321, 1.5, "json")


@pytest.mark.parametrize(
    ("host", "public", "expected"),
    [
        ("127.0.0.1", "", "http://localhost:8000/"),
        ("0.0.0.0", "", "http://localhost:8000/"),
        ("::1", "", "http://[::1]:8000/"),
        ("0.0.0.0", "https://rag.example.com", "https://rag.example.com"),
    ],
)
def test_the_printed_address_can_be_opened(host: str, public: str, expected: str) -> None:
    assert address_of(Settings(host=host, public_url=public)) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, "is full: free some space"),
        (errno.EROFS, "cannot be written .+ set RAG_DATA_DIR"),
        (errno.EACCES, "cannot be written .+ set RAG_DATA_DIR"),
        (errno.ENAMETOOLONG, "cannot be used"),
    ],
)
def test_trouble_with_the_folder_comes_with_its_fix(number: int, expected: str) -> None:
    said = explain(OSError(number, os.strerror(number)), Path("data"))
    assert "\n" not in said
    with pytest.raises(StartError, match=expected):
        raise StartError(said)


class Factory:
    """What is no ASGI application itself but gives one when called, as Reflex' App."""

    def __call__(self) -> object:
        """The application."""
        from tests.standin import app

        return app


factory = Factory()


def test_an_application_is_served_as_it_is_and_a_factory_is_called() -> None:
    from tests import standin

    assert load("tests.standin:app") is standin.app
    assert load("tests.unit.test_supervisor_parts:factory") is standin.app
