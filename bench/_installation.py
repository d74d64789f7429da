"""A fresh installation in an empty folder, driven from outside: scripts/run, /ready, commands, memory."""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FIRST_RUN_LIMIT_S = 900.0
SAMPLE_EVERY_S = 0.25


def free_port() -> int:
    """A port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Installation:
    """A clone of the committed project with its own home, caches and data."""

    def __init__(self, folder: Path) -> None:
        self.clone = folder / "rag_app"
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        home = folder / "home"
        home.mkdir()
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("RAG_", "REFLEX_", "VIRTUAL"))
        }
        caches = {"PIP_CACHE_DIR": str(home / "pip"), "BUN_INSTALL_CACHE_DIR": str(home / "bun"), "HOME": str(home)}
        self.environment = {**kept, **caches}
        subprocess.run(["git", "clone", "-q", str(ROOT), str(self.clone)], check=True)

    def start(self) -> float:
        """`scripts/run` until /ready answers 200; the seconds it took. Raises RuntimeError with its last words."""
        began = time.monotonic()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["scripts/run", "--port", str(self.port)],
                cwd=self.clone,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        while not self.is_ready():
            if self._process.poll() is not None or time.monotonic() - began > FIRST_RUN_LIMIT_S:
                raise RuntimeError(f"it did not get ready:\n{self._log.read_text()[-3000:]}")
            time.sleep(0.05)
        return time.monotonic() - began

    def is_ready(self) -> bool:
        """True when /ready answers 200."""
        try:
            with urllib.request.urlopen(f"{self.address}/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def stop(self) -> float:
        """SIGTERM until everything has ended; the seconds it took."""
        began = time.monotonic()
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)
        return time.monotonic() - began

    def command(self, *arguments: str, given: str = "") -> str:
        """Run `python -m rag_app …`; its standard output."""
        done = subprocess.run(
            [".venv/bin/python", "-m", "rag_app", *arguments],
            cwd=self.clone,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{arguments[0]} failed: {done.stderr.strip()[-500:]}")
        return done.stdout

    def create_owner(self) -> None:
        """Create the first owner without a browser."""
        self.command(
            "setup", "--email", "owner@example.com", "--password-stdin", given=secrets.token_urlsafe(16) + "\n"
        )

    def processes(self) -> list[int]:
        """All processes of the installation: `scripts/run` and everything below it."""
        return [self._process.pid, *descendants(self._process.pid)] if self._process else []


def descendants(root: int) -> Iterator[int]:
    """The processes below one, at any depth."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fields = Path(f"/proc/{name}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(name))
    waiting = [root]
    while waiting:
        for child in children.get(waiting.pop(), []):
            yield child
            waiting.append(child)


def processes_below(pid: int) -> list[int]:
    """A process and all that it started."""
    return [pid, *descendants(pid)]


def memory_mb(processes: list[int]) -> dict[str, float]:
    """Proportional memory (PSS) in MB by what each process is; they add up to what the machine gives."""
    found: dict[str, float] = {}
    for pid in processes:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text()
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        size = re.search(r"^Pss:\s+(\d+) kB", lines, re.MULTILINE)
        kind = _kind(command)
        found[kind] = found.get(kind, 0.0) + (int(size[1]) / 1024 if size else 0.0)
    return found


def _kind(command: str) -> str:
    marks = (("postgres", "database"), ("launcher", "web"), ("parser_child", "parsers"), ("worker", "worker"))
    for mark, kind in (*marks, (" up ", "supervisor")):
        if mark in command:
            return kind
    return "other"


class PeakMeter:
    """Watches the memory of an installation while the block runs; `peak` is the highest sum in MB."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak = 0.0
        self.parts: dict[str, float] = {}

    def __enter__(self) -> "PeakMeter":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(SAMPLE_EVERY_S):
            parts = memory_mb(self._installation.processes())
            if sum(parts.values()) > self.peak:
                self.peak, self.parts = sum(parts.values()), parts


def received_mb() -> float:
    """What all network interfaces but loopback have received since the machine started, in MB."""
    lines = Path("/proc/net/dev").read_text().splitlines()[2:]
    counted = (line.split(":", 1) for line in lines)
    return sum(int(rest.split()[0]) for name, rest in counted if name.strip() != "lo") / 1e6


def wheels_mb(installation: Installation, folder: Path) -> float:
    """Size of all locked Python packages as they are downloaded, in MB (fetched once more, to be weighed)."""
    arguments = ["download", "-q", "--no-deps", "--no-cache-dir", "--require-hashes", "-r", "requirements.txt"]
    subprocess.run(
        [".venv/bin/python", "-m", "pip", *arguments, "-d", str(folder)],
        cwd=installation.clone,
        env=installation.environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return sum(file.stat().st_size for file in folder.iterdir()) / 1e6


def write_result(name: str, figures: dict[str, object]) -> None:
    """Put the figures beside the table, as bench/results/<name>.json."""
    target = ROOT / "bench" / "results" / f"{name}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(figures, indent=2) + "\n")
