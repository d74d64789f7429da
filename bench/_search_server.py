"""The product's own server in a temporary data folder, asked over REST as any program would."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from bench._installation import ROOT, free_port

READY_LIMIT_S = 120.0
INGEST_LIMIT_S = 3600.0
TEXTS_PER_REQUEST = 200


class Client:
    """The few calls that a measurement of search needs."""

    def __init__(self, address: str, key: str) -> None:
        self._http = httpx.Client(
            base_url=f"{address}/api/v1", headers={"Authorization": f"Bearer {key}"}, timeout=120, trust_env=False
        )

    def create(self, name: str) -> str:
        """A new knowledge base; its id."""
        return str(self._call("POST", "/knowledge-bases", {"name": name})["id"])

    def add(self, knowledge_base: str, documents: Sequence[dict[str, Any]]) -> None:
        """Add texts and wait until all of them are searchable. Raises RuntimeError when one is not."""
        for start in range(0, len(documents), TEXTS_PER_REQUEST):
            texts = [
                {"external_id": each["id"], "title": each.get("title") or "", "text": each["text"]}
                for each in documents[start : start + TEXTS_PER_REQUEST]
            ]
            items = self._call("POST", f"/knowledge-bases/{knowledge_base}/documents", {"texts": texts})["items"]
            if refused := [item for item in items if item["error"]]:
                raise RuntimeError(f"refused: {refused[0]}")
        self.wait(knowledge_base)

    def upload(self, knowledge_base: str, paths: Sequence[Path]) -> None:
        """Send files, one request each, as a browser does. Raises RuntimeError when one is refused."""
        for path in paths:
            with path.open("rb") as file:
                url = f"/knowledge-bases/{knowledge_base}/documents"
                answer = self._http.post(url, files={"files": (path.name, file)})
            if answer.status_code != httpx.codes.ACCEPTED:
                raise RuntimeError(f"{path.name}: {answer.status_code} {answer.text[:300]}")

    def documents(self, knowledge_base: str) -> list[dict[str, Any]]:
        """The documents of a knowledge base (at most 200)."""
        items: list[dict[str, Any]] = self._call("GET", f"/knowledge-bases/{knowledge_base}/documents?limit=200")[
            "items"
        ]
        return items

    def wait(self, knowledge_base: str) -> None:
        """Wait until no document is on its way. Raises RuntimeError when one failed."""
        deadline = time.monotonic() + INGEST_LIMIT_S
        while True:
            counts = self._call("GET", f"/knowledge-bases/{knowledge_base}")["documents"]
            if not counts["queued"] and not counts["working"]:
                break
            if time.monotonic() > deadline:
                raise RuntimeError(f"still waiting: {counts}")
            time.sleep(0.2)
        if counts["failed"]:
            raise RuntimeError(f"failed documents: {counts}")

    def search(self, knowledge_base: str, question: str, *, mode: str, limit: int) -> dict[str, Any]:
        """The whole answer of a search."""
        body = {"query": question, "mode": mode, "limit": limit}
        return self._call("POST", f"/knowledge-bases/{knowledge_base}/search", body)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = self._http.request(method, path, json=body)
        if answer.status_code >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        found: dict[str, Any] = answer.json()
        return found


@contextmanager
def running_server() -> Iterator[Client]:
    """A server with an owner and a key; everything is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="rag-bench-"))
    folder.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAG_")}
    environment["RAG_DATA_DIR"] = str(folder / "data")
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "rag_app", "up", "--port", str(port)],
        cwd=ROOT,
        env=environment,
        stdout=(folder / "log").open("wb"),
        stderr=subprocess.STDOUT,
    )
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}", process, folder / "log")
        owner = ["setup", "--email", "owner@example.com", "--password-stdin"]
        _command(environment, owner, given=secrets.token_urlsafe(16) + "\n")
        key = _command(environment, ["key", "create", "--name", "bench"]).strip()
        yield Client(f"http://127.0.0.1:{port}", key)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + READY_LIMIT_S
    while True:
        try:
            if httpx.get(f"{address}/ready", timeout=2, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server did not get ready:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.1)


def _command(environment: dict[str, str], arguments: Sequence[str], *, given: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-m", "rag_app", *arguments],
        cwd=ROOT,
        env=environment,
        input=given,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{arguments[0]} failed: {done.stderr.strip()[-500:]}")
    return done.stdout
