"""Runs the peers of the speed table in an environment of their own, made once and kept among the temporary files."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import _speed_data as data
from rag_app.database.embedded import EmbeddedPostgres

PACKAGES = (
    "langchain-classic==1.0.8", "langchain-community==0.4.2", "langchain-postgres==0.0.19", "langchain-chroma==1.1.0",
    "chromadb==1.5.9", "rank-bm25==0.2.2", "pypdf==7.1.0", "beautifulsoup4", "psycopg[binary]",
    "wordllama==0.4.0.post1",
)  # fmt: skip
PEERS = {"langchain": "LangChain + pgvector, BM25 and vectors", "chroma": "Chroma, vectors alone"}
LIMIT_S = 1_800
PROGRAM = Path(__file__).with_name("_speed_peer_program.py")


def run(work: str, given: Any) -> dict[str, dict[str, float]]:
    """What each peer does of a work: "pdf" or "html" with paths, "search" with a count of texts and questions."""
    python = _environment()
    if python is None:
        print("skipped: the peers (their packages could not be installed)")
        return {}
    if work == "search":
        given = {"texts": list(data.texts(given["count"])), "questions": given["questions"]}
    found = {}
    for peer, name in PEERS.items():
        with _database(peer) as url:
            request = json.dumps({"peer": peer, "work": work, "url": url, "given": given})
            done = subprocess.run(
                [python, str(PROGRAM)], input=request, capture_output=True, text=True, timeout=LIMIT_S,
                env={**os.environ, "ANONYMIZED_TELEMETRY": "False"},
            )  # fmt: skip
        if done.returncode:
            print(f"{name} failed: {done.stderr.strip()[-300:]}")
            continue
        for line in done.stderr.splitlines():
            print(f"{name}: {line[:200]}")
        found[name] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def _database(peer: str) -> Iterator[str]:
    if peer != "langchain":
        yield ""
        return
    with tempfile.TemporaryDirectory(prefix="rag-bench-") as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedPostgres(Path(folder) / "data")
        try:
            yield server.start().replace("postgresql+psycopg_async", "postgresql+psycopg")
        finally:
            server.stop()


def _environment() -> str | None:
    """The interpreter that has the peers' packages."""
    folder = Path(tempfile.gettempdir()) / "rag-bench-peers"
    python, mark = folder / "v" / "bin" / "python", folder / "packages"
    if mark.is_file() and mark.read_text("utf-8") == "\n".join(PACKAGES):
        return str(python)
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder / "v")], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PACKAGES], check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    mark.write_text("\n".join(PACKAGES), encoding="utf-8")
    return str(python)
