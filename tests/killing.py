"""The product in processes of its own, to be killed at points that were aimed at and verified."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import httpx
import psycopg

from rag_app.database.embedded import running_url
from rag_app.database.engine import without_driver
from tests.pile import Paper

ROOT = Path(__file__).resolve().parents[1]
V1 = "/api/v1"
PATIENCE_S = 90.0
SENDERS = 3
Role = Literal["supervisor", "web", "worker", "database"]


def wait_until(
    condition: Callable[[], bool], what: str, *, patience_s: float = PATIENCE_S, every_s: float = 0.02
) -> None:
    """Wait for something to become true. Raises AssertionError with `what` when it does not."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"it did not happen: {what}")
        time.sleep(every_s)


class Product:
    """One `python -m rag_app up` on a data folder and a port of its own."""

    def __init__(self, folder: Path, port: int, *, settings: Mapping[str, str] | None = None) -> None:
        self.data_dir = folder / "data"
        self.port = port
        self.key = ""
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAG_")}
        own = {"RAG_DATA_DIR": str(self.data_dir), "RAG_PORT": str(port), "RAG_DRAIN_S": "1"}
        self._environment = {**kept, **own, **(settings or {})}

    @property
    def said(self) -> str:
        """Everything it and its children wrote."""
        return self._log.read_text(errors="replace")

    def start(self) -> None:
        """Start it and return at once; see `wait_until_ready`."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "rag_app", "up"], cwd=ROOT, env=self._environment, stdout=log, stderr=log
            )

    def wait_until_ready(self) -> None:
        """Wait until requests are served."""

        def is_ready() -> bool:
            if self._process is None or self._process.poll() is not None:
                raise AssertionError(f"it ended:\n{self.said[-3000:]}")
            with suppress(httpx.HTTPError):
                return httpx.get(f"http://127.0.0.1:{self.port}/ready", timeout=5).status_code == 200
            return False

        wait_until(is_ready, "the product is ready", every_s=0.1)

    def enter(self) -> None:
        """Create the owner and an API key, by command."""
        self._command("setup", "--email", "owner@example.com", "--password-stdin", given=secrets.token_urlsafe(16))
        self.key = self._command("key", "create", "--name", "faults").strip()

    def _command(self, *arguments: str, given: str = "") -> str:
        done = subprocess.run(
            [sys.executable, "-m", "rag_app", *arguments],
            cwd=ROOT,
            env=self._environment,
            input=given + "\n",
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        if done.returncode != 0:
            raise AssertionError(f"{arguments[0]}: {done.stderr}")
        return done.stdout

    def stop(self, *, patience_s: float = 30) -> None:
        """Stop it in good order; what does not end is killed."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)

    # --- its processes

    def pid(self, role: Role) -> int:
        """The number of the living process in this role. Raises AssertionError when there is none."""
        if self._process is None:
            raise AssertionError("it was not started")
        if role == "supervisor":
            return self._process.pid
        marks = {"web": b"rag_app.launcher", "worker": b"rag_app\0worker", "database": b"postgres\0-D"}
        for pid in _children(self._process.pid):
            with suppress(OSError):
                if marks[role] in Path(f"/proc/{pid}/cmdline").read_bytes() and is_alive(pid):
                    return pid
        raise AssertionError(f"there is no {role}")

    def wait_for(self, role: Role, *, other_than: int = 0) -> int:
        """The number of a living process in this role."""

        def is_there() -> bool:
            with suppress(AssertionError):
                return self.pid(role) != other_than
            return False

        wait_until(is_there, f"a new {role}")
        return self.pid(role)

    def kill(self, role: Role) -> int:
        """SIGKILL exactly this process and return its number once it is gone."""
        pid = self.pid(role)
        os.kill(pid, signal.SIGKILL)
        if self._process is not None and role == "supervisor":
            self._process.wait(10)
        wait_until(lambda: not is_alive(pid), f"{role} is dead")
        return pid

    @contextmanager
    def suspended(self, role: Role) -> Iterator[None]:
        """The process stands still inside the block."""
        pid = self.pid(role)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    # --- its doors

    def client(self) -> httpx.Client:
        """A program with the API key."""
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}{V1}",
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=PATIENCE_S,
        )

    def connect(self) -> "psycopg.Connection[tuple[Any, ...]]":
        """A connection past the product. Waits until the database takes it."""
        found: list[psycopg.Connection[tuple[Any, ...]]] = []

        def is_open() -> bool:
            url = running_url(self.data_dir)
            if url is not None:
                with suppress(psycopg.OperationalError):
                    found.append(psycopg.connect(without_driver(url), autocommit=True, connect_timeout=5))
            return bool(found)

        wait_until(is_open, "the database takes connections")
        return found[0]

    def new_base(self, name: str) -> str:
        """The id of a new knowledge base."""
        with self.client() as client:
            answer = client.post("/knowledge-bases", json={"name": name})
            assert answer.status_code == 201, answer.text
            return str(answer.json()["id"])

    def upload(self, base: str, paper: Paper, *, key: str | None = None) -> httpx.Response:
        """Send one file. Raises httpx.HTTPError when no answer came."""
        headers = {"Idempotency-Key": key} if key else {}
        with self.client() as client:
            files = {"files": (paper.filename, paper.content)}
            return client.post(f"/knowledge-bases/{base}/documents", files=files, headers=headers)

    def originals(self, folder: str = "*") -> list[Path]:
        """The files in the store of originals."""
        return list((self.data_dir / "originals").glob(f"{folder}/*"))


class Delivery:
    """Sends a pile from some threads, and again what got no answer, until everything was accepted."""

    def __init__(self, product: Product, base: str, papers: list[Paper], *, keys: bool = False) -> None:
        self._product, self._base = product, base
        self._waiting = list(papers)
        self._keys = keys
        self._lock = threading.Lock()
        self.accepted: dict[str, str] = {}  # file name -> id of the document
        self.statuses: list[int] = []
        self.unanswered = 0
        self.problems: list[str] = []
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(SENDERS)]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Wait until everything was accepted."""
        for thread in self._threads:
            thread.join(PATIENCE_S)
        if self.problems or any(thread.is_alive() for thread in self._threads):
            raise AssertionError(f"not everything was accepted: {self.problems[:3]}")

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting or self.problems:
                    return
                paper = self._waiting.pop(0)
            self._deliver(paper, f"{self._base}-{paper.filename}" if self._keys else None)

    def _deliver(self, paper: Paper, key: str | None) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                answer = self._product.upload(self._base, paper, key=key)
            except httpx.HTTPError:
                self.unanswered += 1
                time.sleep(0.2)
                continue
            self.statuses.append(answer.status_code)
            if answer.status_code == 202:
                [item] = answer.json()["items"]
                self.accepted[paper.filename] = item["id"]
                return
            if answer.status_code not in (409, 503):
                break
            time.sleep(0.2)
        self.problems.append(f"{paper.filename}: {self.statuses[-3:]}")


def is_alive(pid: int) -> bool:
    """True while the process runs, or is stopped; not when it is dead or a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def _children(parent: int) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):
                if int(Path(f"/proc/{name}/stat").read_text().rsplit(")", 1)[1].split()[1]) == parent:
                    found.append(int(name))
    return found


@contextmanager
def running_product(folder: Path) -> Iterator[Product]:
    """An installation of its own with an owner and a key, ready; stopped afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    made = Product(folder, port)
    made.start()
    try:
        made.wait_until_ready()
        made.enter()
        yield made
    finally:
        made.stop()
