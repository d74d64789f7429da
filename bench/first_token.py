"""The time the product adds to a model's first token: question over REST until its first token, minus the model's own.

A provider double with a fixed delay stands for the model; database, worker and web process are the real ones. Direct
and product calls alternate, so that both meet the same machine.
"""

import argparse
import asyncio
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx

from rag_app.database import migration
from rag_app.database.embedded import EmbeddedPostgres
from rag_app.services import setup
from rag_app.services.context import open_context
from rag_app.settings import get_settings
from rag_app.worker import run_worker

ROOT = Path(__file__).resolve().parents[1]
EMAIL, PASSWORD = "bench@example.com", "a long password for the bench"
MODEL = "openai/double-large"
DOCUMENTS = sorted((ROOT / "docs").glob("*.md"))


def main(argv: list[str]) -> int:
    """Measure, print one table, write bench/results/first_token.json."""
    parser = argparse.ArgumentParser(prog="scripts/bench first_token", description=__doc__)
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--model-ms", type=float, default=150.0, help="the model's own time to its first token")
    options = parser.parse_args(argv)
    measured = asyncio.run(_measure(options.questions, options.model_ms))
    print(f"{'ms to the first token':<34}{'p50':>8}{'p95':>8}")
    for name in ("direct", "product", "added", "search alone, as the answer tells"):
        print(f"{name:<34}{measured[name]['p50']:>8.1f}{measured[name]['p95']:>8.1f}")
    print(f"goal: added p50 <= 40 ms ({options.questions} questions, {measured['passages']} passages)")
    out = ROOT / "bench" / "results" / "first_token.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    return 0 if measured["added"]["p50"] <= 40 else 1


async def _measure(questions: int, model_ms: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="rag-bench-") as folder, _model(model_ms) as model_url:
        postgres = EmbeddedPostgres(Path(folder))
        try:
            async with _product(Path(folder), postgres.start(), model_url) as client:
                kb, passages = await _filled(client)
                return {**await _compare(client, kb, model_url, questions), "passages": passages}
        finally:
            await asyncio.to_thread(postgres.stop)


async def _compare(client: httpx.AsyncClient, kb: str, model_url: str, questions: int) -> dict[str, Any]:
    headings = [line.lstrip("# ") for path in DOCUMENTS for line in path.read_text().splitlines() if line[:1] == "#"]
    direct: list[float] = []
    product: list[float] = []
    async with httpx.AsyncClient(timeout=60, trust_env=False) as plain:
        for n in range(-5, questions):  # the first ones warm both ways up
            question = f"What do the documents say about {headings[n % len(headings)]} (case {n})?"
            first = await _first_token(plain, f"{model_url}/chat/completions", _model_body(question))
            asked = {"message": question, "stream": True}
            whole = await _first_token(client, f"/api/v1/knowledge-bases/{kb}/chat", asked)
            if n >= 0:
                direct.append(first)
                product.append(whole)
    added = [one - other for one, other in zip(product, direct, strict=True)]
    told = await _timings(client, kb)
    return {
        "direct": _spread(direct),
        "product": _spread(product),
        "added": _spread(added),
        "search alone, as the answer tells": _spread(told),
    }


async def _first_token(client: httpx.AsyncClient, url: str, body: dict[str, Any]) -> float:
    """Milliseconds from sending the request until the first piece of the answer's text."""
    began = time.perf_counter()
    taken = 0.0
    async with client.stream("POST", url, json=body) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            if not taken and (line == "event: token" or '"content"' in line):
                taken = (time.perf_counter() - began) * 1000
            if line == "event: error":
                raise RuntimeError(f"the answer failed: {await anext(answer.aiter_lines(), '')}")
    if not taken:
        raise RuntimeError("the answer held no token")
    return taken


async def _timings(client: httpx.AsyncClient, kb: str) -> list[float]:
    """What the product itself says it spent on rewriting and searching, in milliseconds."""
    found: list[float] = []
    for n in range(10):
        asked = {"message": f"How are keys kept (again {n})?"}
        answer = await client.post(f"/api/v1/knowledge-bases/{kb}/chat", json=asked)
        timings = answer.raise_for_status().json()["timings_ms"]
        found.append(float(timings.get("search", 0)) + float(timings.get("rewrite", 0)))
    return found


def _model_body(question: str) -> dict[str, Any]:
    return {"model": "double-large", "stream": True, "messages": [{"role": "user", "content": question}]}


def _spread(values: list[float]) -> dict[str, float]:
    return {"p50": statistics.median(values), "p95": statistics.quantiles(values, n=20)[-1]}


@contextmanager
def _model(model_ms: float) -> Iterator[str]:
    """The provider double in a process of its own; its base URL."""
    command = [sys.executable, "-m", "tests.provider_double", "--port", "0", "--first-token-ms", str(model_ms)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@asynccontextmanager
async def _product(folder: Path, url: str, model_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Web process and worker on this database, with an owner; a client that is signed in."""
    os.environ |= {
        "RAG_DATA_DIR": str(folder),
        "RAG_DATABASE_URL": url,
        "RAG_SECRET_KEY": "a secret key for this bench alone",
        "RAG_DEFAULT_CHAT_MODEL": MODEL,
        "RAG_ALLOWED_PRIVATE_HOSTS": re.sub(r"^http://|/v1$", "", model_url),
        "RAG_LOG_LEVEL": "ERROR",
        "OPENAI_API_KEY": "none",
        "OPENAI_BASE_URL": model_url,
    }
    get_settings.cache_clear()
    await asyncio.to_thread(migration.upgrade, url)
    async with open_context(get_settings()) as context:
        await setup.create_first_owner(context, email=EMAIL, password=PASSWORD)
    worker = asyncio.create_task(_work())
    listening = socket.create_server(("127.0.0.1", 0))
    process = _web(listening.fileno())
    base = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        async with httpx.AsyncClient(base_url=base, timeout=60, trust_env=False) as client:
            await _until_ready(client, process)
            made = await client.post("/api/v1/auth/token", json={"email": EMAIL, "password": PASSWORD})
            client.headers["authorization"] = f"Bearer {made.raise_for_status().json()['access_token']}"
            yield client
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 30)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


async def _work() -> None:
    async with open_context(get_settings()) as context:
        await run_worker(context)


def _web(descriptor: int) -> subprocess.Popen[bytes]:
    """The web process without the console."""
    command = [sys.executable, "-m", "rag_app.launcher", "--listen-fd", str(descriptor), "--app"]
    return subprocess.Popen([*command, "rag_app.api.app:create_api"], cwd=ROOT, pass_fds=[descriptor])


async def _until_ready(client: httpx.AsyncClient, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError("the web process ended")
        try:
            if (await client.get("/health")).status_code == 200:
                return
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.1)
    raise RuntimeError("the web process did not get ready")


async def _filled(client: httpx.AsyncClient) -> tuple[str, int]:
    """A knowledge base with the product's own documentation; its id and its number of passages."""
    made = await client.post("/api/v1/knowledge-bases", json={"name": "Documentation"})
    kb = str(made.raise_for_status().json()["id"])
    texts = [{"external_id": path.name, "title": path.stem, "text": path.read_text()} for path in DOCUMENTS]
    sent = await client.post(f"/api/v1/knowledge-bases/{kb}/documents", json={"texts": texts})
    sent.raise_for_status()
    for _ in range(600):
        state = (await client.get(f"/api/v1/knowledge-bases/{kb}")).raise_for_status().json()
        if state["documents"]["ready"] + state["documents"]["failed"] == len(texts):
            return kb, int(state["passages"])
        await asyncio.sleep(0.2)
    raise RuntimeError("the documents did not get ready")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
