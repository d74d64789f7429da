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

    def __init__(self, address: str, key: str, folder: Path, *, pid: int = 0) -> None:
        self.folder = folder
        self.pid = pid  # of the supervisor
        self._http = httpx.Client(
            base_url=f"{address}/api/v1", headers={"Authorization": f"Bearer {key}"}, timeout=120, trust_env=False
        )

    def create(self, name: str) -> str:
        """A new knowledge base; its id."""
        return str(self.call("POST", "/knowledge-bases", {"name": name})["id"])

    def add(self, knowledge_base: str, documents: Sequence[dict[str, Any]]) -> None:
        """Add texts and wait until all of them are searchable. Raises RuntimeError when one is not."""
        for start in range(0, len(documents), TEXTS_PER_REQUEST):
            texts = [
                {"external_id": each["id"], "title": each.get("title") or "", "text": each["text"]}
                for each in documents[start : start + TEXTS_PER_REQUEST]
            ]
            items = self.call("POST", f"/knowledge-bases/{knowledge_base}/documents", {"texts": texts})["items"]
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
        items: list[dict[str, Any]] = self.call("GET", f"/knowledge-bases/{knowledge_base}/documents?limit=200")[
            "items"
        ]
        return items

    def wait(self, knowledge_base: str, *, every_s: float = 0.2) -> None:
        """Wait until no document is on its way. Raises RuntimeError when one failed."""
        deadline = time.monotonic() + INGEST_LIMIT_S
        while True:
            counts = self.call("GET", f"/knowledge-bases/{knowledge_base}")["documents"]
            if not counts["queued"] and not counts["working"]:
                break
            if time.monotonic() > deadline:
                raise RuntimeError(f"still waiting: {counts}")
            time.sleep(every_s)
        if counts["failed"]:
            raise RuntimeError(f"failed documents: {counts}")

    def search(self, knowledge_base: str, question: str, *, mode: str, limit: int) -> dict[str, Any]:
        """The whole answer of a search."""
        body = {"query": question, "mode": mode, "limit": limit}
        return self.call("POST", f"/knowledge-bases/{knowledge_base}/search", body)

    def send_texts(self, knowledge_base: str, texts: Sequence[dict[str, str]]) -> None:
        """Send up to 1,000 texts. Raises RuntimeError when one is refused."""
        items = self.call("POST", f"/knowledge-bases/{knowledge_base}/documents", {"texts": list(texts)})["items"]
        if refused := [item for item in items if item["error"]]:
            raise RuntimeError(f"refused: {refused[0]}")

    def has_vector_index(self, knowledge_base: str) -> bool:
        """Whether the index that is searched has its HNSW."""
        found = self.call("GET", f"/knowledge-bases/{knowledge_base}/indexes")["items"]
        return any(each["state"] == "active" and each["has_hnsw"] for each in found)

    def passages(self, knowledge_base: str) -> int:
        """How many passages a knowledge base has."""
        return int(self.call("GET", f"/knowledge-bases/{knowledge_base}")["passages"])

    def upload_and_wait(self, knowledge_base: str, path: Path) -> float:
        """Send one file as a person does; the seconds until it is searchable."""
        began = time.perf_counter()
        self.upload(knowledge_base, [path])
        address = f"/knowledge-bases/{knowledge_base}/documents?q={path.stem}"
        while not any(each["status"] == "ready" for each in self.call("GET", address)["items"]):
            if time.perf_counter() - began > INGEST_LIMIT_S:
                raise RuntimeError(f"{path.name} does not get ready")
            time.sleep(0.05)
        return time.perf_counter() - began

    def add_source(self, knowledge_base: str, address: str, *, max_pages: int) -> str:
        """A website as quickly as it may be read; its first run begins. Its id."""
        settings = {"pages_per_second": 50, "max_pages": max_pages}
        body = {"kind": "website", "address": address, "settings": settings}
        return str(self.call("POST", f"/knowledge-bases/{knowledge_base}/sources", body)["id"])

    def start_run(self, source: str) -> None:
        """Read a source again."""
        self.call("POST", f"/sources/{source}/run", {})

    def last_run(self, source: str) -> dict[str, Any] | None:
        """The newest run of a source."""
        found: dict[str, Any] | None = self.call("GET", f"/sources/{source}")["last_run"]
        return found

    def send(self, knowledge_base: str, path: Path) -> tuple[int, dict[str, Any]]:
        """Send one file; status and answer, whatever they are."""
        with path.open("rb") as file:
            answer = self._http.post(f"/knowledge-bases/{knowledge_base}/documents", files={"files": (path.name, file)})
        return answer.status_code, answer.json()

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One call; its answer. Raises RuntimeError for a refusal."""
        answer = self._http.request(method, path, json=body)
        if answer.status_code >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        found: dict[str, Any] = answer.json()
        return found


@contextmanager
def running_server(**settings: str) -> Iterator[Client]:
    """A server with an owner and a key, and with these settings; everything is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="rag-bench-"))
    folder.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAG_")}
    environment |= {"RAG_DATA_DIR": str(folder / "data"), **settings}
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
        yield Client(f"http://127.0.0.1:{port}", key, folder, pid=process.pid)
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
