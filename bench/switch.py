"""Another embedding model and another passage size for a knowledge base under searches, with kills: errors, mixed, p95.

Texts go in through REST; then the model is switched to one of a provider double, back, and the passage size is changed,
each time at so many searches per second and with kill -9 of the worker at random moments. Every answer must be the one
of the old index or of the new one, passage by passage.
"""

import argparse
import random
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench._installation import free_port, write_result
from bench.search_speed import documents, questions, sentences
from tests.killing import Product, wait_until
from tests.provider_double import ProviderDouble
from tests.switching import Asked, Switch, answers, judge, watched

MODEL = "compatible/double-embedder"
TEXTS_PER_REQUEST = 200
INGEST_S, SWITCH_S = 1_800.0, 1_800.0
QUIET_S = 20.0
DIMENSIONS = 256
_HNSW = "SELECT has_hnsw FROM indexes WHERE id = %s"
_PASSAGES = (
    "SELECT count(*) FROM passages p JOIN indexes i ON i.knowledge_base_id = p.knowledge_base_id "
    "AND i.cutting_id = p.cutting_id WHERE i.id = %s"
)


@dataclass(frozen=True)
class Kind:
    """One switch to be measured."""

    name: str
    begin: Callable[[Switch], int]


class Killer:
    """kill -9 of the worker at random moments, until the block ends; each waits until there is a worker again."""

    def __init__(self, product: Product, switch: Switch, most: int, seed: int) -> None:
        self._product, self._switch, self._most = product, switch, most
        self._dice = random.Random(seed)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.phases: list[str] = []
        self.index_id = 0

    def __enter__(self) -> "Killer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(90)

    def _work(self) -> None:
        while len(self.phases) < self._most and not self._done.wait(self._dice.uniform(0.3, 6.0)):
            state, phase, _ = self._switch.stand(self.index_id) if self.index_id else ("", None, None)
            if state != "building":
                continue
            gone = self._product.kill("worker")
            self.phases.append(phase or "waiting")
            self._product.wait_for("worker", other_than=gone)


def fill(product: Product, passages: int) -> str:
    """A knowledge base of about so many passages."""
    base = product.new_base("switch")
    texts = [
        {"external_id": each["id"], "title": each["title"], "text": each["text"]}
        for each in documents(passages, sentences())
    ]
    with product.client() as client:
        for start in range(0, len(texts), TEXTS_PER_REQUEST):
            batch = {"texts": texts[start : start + TEXTS_PER_REQUEST]}
            answer = client.post(f"/knowledge-bases/{base}/documents", json=batch)
            assert answer.status_code == 202, answer.text

        def are_ready() -> bool:
            counts = client.get(f"/knowledge-bases/{base}").json()["documents"]
            assert not counts["failed"], counts
            return bool(counts["ready"] == len(texts))

        wait_until(are_ready, "everything is ready", patience_s=INGEST_S, every_s=0.5)
    return base


def p95(asked: Sequence[Asked]) -> float:
    """Of the answers in milliseconds."""
    took = sorted(each.took_ms for each in asked if each.status == 200)
    return round(took[int(0.95 * (len(took) - 1))], 1) if took else 0.0


def p50(asked: Sequence[Asked]) -> float:
    """Of the answers in milliseconds."""
    took = [each.took_ms for each in asked if each.status == 200]
    return round(statistics.median(took), 1) if took else 0.0


def measure(switch: Switch, kind: Kind, asked: list[str], *, per_s: float, kills: int) -> dict[str, Any]:
    """One switch: quiet, then under way with kills, then done."""
    product = switch.product
    old = answers(product, switch.base, asked)
    with watched(switch, asked, per_s=per_s) as quiet:
        time.sleep(QUIET_S)
    began = time.monotonic()
    with watched(switch, asked, per_s=per_s) as during, Killer(product, switch, kills, len(kind.name)) as killer:
        killer.index_id = kind.begin(switch)
        switch.wait_until_active(killer.index_id, patience_s=SWITCH_S)
    took_s = time.monotonic() - began
    new = answers(product, switch.base, asked)
    verdict = judge([*quiet.asked, *during.asked], old, new)
    before, after = p95(quiet.asked), p95(during.asked)
    return {
        "switch": kind.name,
        "passages": _one(product, _PASSAGES, killer.index_id),
        "seconds": round(took_s, 1),
        "searches": verdict.searches,
        "errors": verdict.errors,
        "mixed": verdict.mixed,
        "kills": len(killer.phases),
        "killed_in": sorted(set(killer.phases)),
        "p50_before_ms": p50(quiet.asked),
        "p50_during_ms": p50(during.asked),
        "p95_before_ms": before,
        "p95_during_ms": after,
        "ratio": round(after / before, 2) if before else None,
        "changed_answers": sum(old[each] != new[each] for each in asked),
        "wrong": [*verdict.examples[:5], *switch.wrong()],
    }


def _one(product: Product, query: str, index_id: int) -> Any:
    with product.connect() as connection:
        row = connection.execute(query, [index_id]).fetchone()
    return row[0] if row else None


def run(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The switches, one after the other, on one installation."""
    passages = options.passages
    found = []
    with ProviderDouble(dimensions=DIMENSIONS) as double:
        product = Product(folder, free_port(), settings={"RAG_ALLOWED_PRIVATE_HOSTS": f"127.0.0.1:{double.port}"})
        product.start()
        try:
            product.wait_until_ready()
            product.enter()
            with product.client() as client:
                entry = {"provider": "compatible", "api_key": "sk-double", "base_url": double.base_url}
                assert client.post("/providers", json=entry).status_code == 201
            switch = Switch(product, fill(product, passages))
            first = switch.active()
            if passages >= 10_000:
                wait_until(lambda: bool(_one(product, _HNSW, first)), "the vector index", patience_s=300, every_s=1)
            asked = questions(90)
            for kind in (each for each in _kinds(first) if options.only in each.name):
                found.append(measure(switch, kind, asked, per_s=options.per_second, kills=options.kills))
                _show(found[-1], double)
        finally:
            product.stop()
    return found


def _kinds(first: int) -> list[Kind]:
    def model(switch: Switch) -> int:
        return switch.begin(embedding_model=MODEL, auto_flip=True)

    def back(switch: Switch) -> int:
        switch.use(first)
        return first

    def size(switch: Switch) -> int:
        return switch.begin(passage_tokens=120, overlap_tokens=20, auto_flip=True)

    return [Kind("another model", model), Kind("back again", back), Kind("another passage size", size)]


def _show(row: dict[str, Any], double: ProviderDouble) -> None:
    sent = sum(len(each.body["input"]) for each in double.requests if isinstance(each.body.get("input"), list))
    print(
        f"{row['switch']:<22}{row['passages']:>9}{row['seconds']:>9}{row['searches']:>10}{row['errors']:>8}"
        f"{row['mixed']:>7}{row['kills']:>7}{row['p95_before_ms']:>12}{row['p95_during_ms']:>12}{row['ratio']!s:>7}"
        f"   texts sent so far {sent}, killed in {', '.join(row['killed_in']) or 'no phase'}",
        flush=True,
    )
    for each in row["wrong"]:
        print(f"    {each}")


def main(arguments: list[str]) -> int:
    """Measure and print one table. 1 when a search failed, was mixed, or a table is wrong."""
    parser = argparse.ArgumentParser(prog="scripts/bench switch", description=__doc__)
    parser.add_argument("--passages", type=int, default=10_000)
    parser.add_argument("--per-second", type=float, default=5.0, help="searches")
    parser.add_argument("--kills", type=int, default=5, help="of the worker, at random moments of each switch")
    parser.add_argument("--only", default="", help="only switches whose name contains this")
    options = parser.parse_args(arguments)
    if not sentences():
        print("skipped: no data to make texts of")
        return 0
    folder = Path(tempfile.mkdtemp(prefix="rag-switch-"))
    print(
        f"{'switch':<22}{'passages':>9}{'seconds':>9}{'searches':>10}{'errors':>8}{'mixed':>7}{'kills':>7}"
        f"{'p95 before':>12}{'p95 during':>12}{'ratio':>7}"
    )
    try:
        rows = run(folder, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    write_result("switch", {"searches_per_s": options.per_second, "switches": rows})
    return 1 if any(row["errors"] or row["mixed"] or row["wrong"] for row in rows) else 0
