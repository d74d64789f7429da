"""The supervisor keeps its children up, ends with all of them, and says in one line why it cannot start."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from rag_app.database.embedded import running_url

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 40.0


class House:
    """One `up` in a process of its own."""

    def __init__(self, data_dir: Path, port: int, **settings: str) -> None:
        self.port = port
        self.data_dir = data_dir
        self._output = data_dir.with_name(f"{data_dir.name}-{time.monotonic_ns()}.log")
        environment = {**os.environ, "RAG_DATA_DIR": str(data_dir), "RAG_PORT": str(port), **settings}
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.standin"], cwd=ROOT, env=environment, stdout=output, stderr=output
            )

    @property
    def said(self) -> str:
        """Everything it and its children wrote."""
        return self._output.read_text()

    @property
    def refusal(self) -> str:
        """What an operator reads who did not ask for details."""
        assert self.process.wait(PATIENCE_S) == 1
        return "".join(line for line in self.said.splitlines(keepends=True) if " DEBUG " not in line)

    def wait_until_open(self) -> None:
        """Wait for the line an operator waits for."""
        wait_for(lambda: "rag_app is ready" in self.said or self.process.poll() is not None)
        assert self.process.poll() is None, self.said

    def child(self, name: str) -> int:
        """The number of the newest child of that name."""
        return int(re.findall(rf'child_started child="?{name}"? pid=(\d+)', self.said)[-1])

    def get(self, path: str) -> str:
        """The body of an answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        return answer.decode().partition("\r\n\r\n")[2]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop and wait for its end. Returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def house(tmp_path: Path, port: int) -> Iterator[House]:
    made = House(tmp_path / "data", port)
    made.wait_until_open()
    yield made
    with suppress(subprocess.TimeoutExpired):
        made.stop()
    made.process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_everything_and_leaves_a_clean_database(house: House, number: signal.Signals) -> None:
    children = [house.child("web server"), house.child("database")]
    assert house.get("/") == "ok\n"
    assert house.stop(number) == 0
    assert not any(is_alive(pid) for pid in children)
    assert "lifespan.shutdown" in house.said
    last_words = (house.data_dir / "postgres" / "log").read_text().splitlines()[-1]
    assert last_words.endswith("database system is shut down")


def test_a_killed_web_process_comes_back_and_nobody_is_turned_away(house: House) -> None:
    first = house.child("web server")
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: not is_alive(first))
    assert house.get("/") == "ok\n"  # the port never closed: this connection waited for the next process
    assert house.child("web server") != first
    assert 'child_restarted child="web server" ended_with=SIGKILL' in house.said


def test_a_killed_database_comes_back(house: House) -> None:
    first = house.child("database")
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: house.child("database") != first)
    assert running_url(house.data_dir) is not None
    assert "child_restarted child=database ended_with=SIGKILL" in house.said


def test_a_second_one_on_the_same_folder_is_refused(house: House) -> None:
    second = House(house.data_dir, house.port)
    assert second.refusal.count("\n") == 1
    assert f"already in use (process {house.process.pid})" in second.refusal
    assert house.get("/") == "ok\n"


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as servers do that would share it in silence
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        refused = House(tmp_path / "data", taken)
        expected = f"ERROR Port {taken} is taken by another program: stop it, or start with --port {taken + 1}.\n"
        assert refused.refusal == expected


def test_an_unreachable_database_is_one_clear_line(tmp_path: Path, port: int) -> None:
    address = f"postgresql://nobody@127.0.0.1:{port}/none"
    refused = House(tmp_path / "data", port, RAG_DATABASE_URL=address, RAG_SECRET_KEY="k" * 40)
    assert re.fullmatch(r"ERROR The database cannot be reached: .+\n", refused.refusal), refused.refusal


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's promise is Linux'")
def test_after_kill_9_the_next_one_just_works(house: House) -> None:
    children = [house.child("web server"), house.child("database")]
    house.process.kill()
    house.process.wait()
    following = House(house.data_dir, house.port)
    try:
        following.wait_until_open()
        assert following.get("/") == "ok\n"
        assert not any(is_alive(pid) for pid in children)
    finally:
        assert following.stop() == 0


def test_a_running_answer_is_finished_and_nobody_new_comes_in(house: House) -> None:
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(house.get, "/slow/3")
        time.sleep(0.5)
        house.process.terminate()
        wait_for(lambda: "stopping" in house.said)
        time.sleep(0.3)
        with pytest.raises(OSError):
            house.get("/")
        assert answer.result().count("line") == 12
    assert house.process.wait(PATIENCE_S) == 0
    assert "saved" not in house.said


def test_an_answer_longer_than_the_drain_is_cut_but_may_save(tmp_path: Path, port: int) -> None:
    house = House(tmp_path / "data", port, RAG_DRAIN_S="1")
    house.wait_until_open()
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(house.get, "/slow/600")
        time.sleep(0.5)
        assert house.stop() == 0
        with suppress(OSError):
            assert answer.result().count("line") < 40
    assert "saved what there was" in house.said
    assert "requests_cut requests=1" in house.said


def test_an_open_websocket_is_told_to_come_back(house: House) -> None:
    with connect(f"ws://127.0.0.1:{house.port}/") as websocket:
        house.process.terminate()
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(timeout=PATIENCE_S)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert house.process.wait(PATIENCE_S) == 0
    assert "requests_cut" not in house.said  # it did not hold up the stop


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("only root on a real machine may mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_one_clear_line(small_disk: Path, tmp_path: Path, port: int) -> None:
    (tmp_path / "data").symlink_to(small_disk)
    refused = House(tmp_path / "data", port)
    assert re.fullmatch(r"ERROR The disk of .+ is full .+ Nothing was lost\.\n", refused.refusal), refused.refusal


def test_a_read_only_folder_is_one_clear_line(small_disk: Path, tmp_path: Path, port: int) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    (tmp_path / "data").symlink_to(small_disk)
    refused = House(tmp_path / "data", port)
    assert re.fullmatch(r"ERROR The data folder .+ cannot be written .+RAG_DATA_DIR.+\n", refused.refusal), (
        refused.refusal
    )
