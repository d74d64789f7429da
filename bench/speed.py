"""How fast, and how flat as it grows: ingestion and search over REST, with LangChain and Chroma beside it.

One line per work. Every work has a server and a data folder of its own; the peers run in an environment of their own
on the same texts with the same embeddings. Run it on a quiet machine.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench import _speed_data as data
from bench import _speed_peers as peers
from bench import _speed_work as work
from bench._search_server import Client, running_server

RESULTS = Path(__file__).with_name("results") / "speed.json"


@dataclass(frozen=True, slots=True)
class Line:
    """What was measured, what is wanted, and whether it was reached."""

    work: str
    measured: dict[str, float]
    wanted: str
    reached: bool | None  # None: there is no bar for it
    peers: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything; 1.0 is what the goals mean."""

    share: float
    with_peers: bool

    def of(self, count: int) -> int:
        """So many at this scale."""
        return max(60, int(count * self.share))


def _search(client: Client, base: str) -> Callable[[str], object]:
    return lambda question: client.search(base, question, mode="hybrid", limit=10)


def filings(scale: Scale) -> Line | None:
    """The 20 filings, upload to searchable."""
    paths = data.filings()
    if not paths:
        return None
    with running_server() as client:
        found = work.ingest_files(client, paths, name="Filings")
    found["pages_per_s"] = round(data.pages_of(paths) / found["seconds"], 1)
    beside = peers.run("pdf", list(map(str, paths))) if scale.with_peers else {}
    return Line("ingest 20 filings (PDF)", found, ">= 100 pages/s", found["pages_per_s"] >= 100, beside)


def documentation(scale: Scale) -> Line | None:
    """HTML documentation, upload to searchable."""
    paths = data.documentation()[: scale.of(1_169)]
    if not paths:
        return None
    with running_server() as client:
        found = work.ingest_files(client, paths, name="Documentation")
    found["passages_per_s"] = round(found["passages"] / found["seconds"], 1)
    beside = peers.run("html", list(map(str, paths))) if scale.with_peers else {}
    return Line("ingest HTML documentation", found, ">= 500 passages/s", found["passages_per_s"] >= 500, beside)


def texts(scale: Scale) -> Line | None:
    """Short texts through REST."""
    count = scale.of(100_000)
    with running_server() as client:
        seconds = work.add_texts(client, client.create("Texts"), data.texts(count))
    found = {"seconds": round(seconds, 1), "texts": count, "passages_per_s": round(count / seconds, 1)}
    return Line("ingest short texts", found, ">= 1200 passages/s", found["passages_per_s"] >= 1200)


def search(scale: Scale) -> Line | None:
    """20,000 passages: one client."""
    count, asked = scale.of(20_000), data.questions(350)
    with running_server() as client:
        base = client.create("Texts")
        work.add_texts(client, base, data.texts(count))
        if count >= 15_000:
            work.settle(client, base)
        found = work.latencies(_search(client, base), asked)
        found["searches_per_s_of_8"] = work.throughput(client, base, asked * 3, clients=8)
    reached = found["p50"] <= 12 and found["p95"] <= 30 and found["searches_per_s_of_8"] >= 100
    beside = peers.run("search", {"count": count, "questions": asked}) if scale.with_peers else {}
    return Line("search 20,000 passages", found, "p50 <= 12, p95 <= 30 ms; 8 clients >= 100/s", reached, beside)


def one_base(scale: Scale) -> Line | None:
    """300,000 passages in one knowledge base."""
    count = scale.of(300_000)
    with running_server() as client:
        base = client.create("Texts")
        seconds = work.add_texts(client, base, data.texts(count))
        built = work.settle(client, base) if count >= 15_000 else 0.0
        found = work.latencies(_search(client, base), data.questions(350)) | {"disk_gb": work.disk_gb(client)}
    found |= {"passages_per_s": round(count / seconds, 1), "index_s": round(built, 1)}
    return Line("search 300,000 in one", found, "p50 <= 35, p95 <= 100 ms", found["p50"] <= 35 and found["p95"] <= 100)


def many_bases(scale: Scale) -> Line | None:
    """300,000 passages in 300 knowledge bases."""
    each, asked = scale.of(300_000) // 300, data.questions(350)
    with running_server() as client:
        bases = [client.create(f"Texts {number}") for number in range(300)]
        for number, base in enumerate(bases):
            for batch in work.batched(data.texts(each, seed=number), work.TEXTS_PER_REQUEST):
                client.send_texts(base, batch)
        for base in bases:
            client.wait(base)
        turn = iter(range(10**9))
        found = work.latencies(
            lambda question: client.search(bases[next(turn) % 300], question, mode="hybrid", limit=10), asked
        )
    return Line("search 300,000 in 300", found, "p50 <= 10 ms", found["p50"] <= 10)


def busy(scale: Scale) -> Line | None:
    """Searches while something else is being filled."""
    with running_server() as client:
        base = client.create("Texts")
        count = scale.of(20_000)
        work.add_texts(client, base, data.texts(count))
        if count >= 15_000:
            work.settle(client, base)
        found = work.while_ingesting(client, base, data.questions(250), texts=scale.of(30_000))
    return Line("search while ingesting", found, "p95 busy / idle <= 2.0", found["ratio"] <= 2.0)


def million(scale: Scale) -> Line | None:
    """One million passages in one knowledge base: building the index, disk, search."""
    count = scale.of(1_000_000)
    with running_server() as client:
        base = client.create("Texts")
        seconds = work.add_texts(client, base, data.texts(count))
        built = work.settle(client, base) if count >= 15_000 else 0.0
        found = work.latencies(_search(client, base), data.questions(350)) | {"disk_gb": work.disk_gb(client)}
    found |= {"passages_per_s": round(count / seconds, 1), "index_s": round(built, 1)}
    reached = found["p50"] <= 60 and found["p95"] <= 200 and built <= 600 and found["disk_gb"] <= 6
    return Line("one million in one", found, "index <= 600 s, disk <= 6 GB, p50 <= 60, p95 <= 200 ms", reached)


WORKS: dict[str, Callable[[Scale], Line | None]] = {
    "filings": filings,
    "documentation": documentation,
    "texts": texts,
    "search": search,
    "busy": busy,
    "many_bases": many_bases,
    "one_base": one_base,
    "million": million,
}


def main(argv: list[str]) -> int:
    """Measure, print one table, write bench/results/speed.json; 1 when a goal was missed."""
    parser = argparse.ArgumentParser(prog="scripts/bench speed", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=WORKS, default=list(WORKS))
    parser.add_argument("--share", type=float, default=1.0, help="how much of everything, for a quick look")
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args(argv)
    if not data.sentences():
        print("missing: the corpora (set RAG_BENCH_DATA); skipped")
        return 0
    kept = json.loads(RESULTS.read_text("utf-8")) if RESULTS.is_file() else {}
    missed = 0
    for name in options.only:
        load = os.getloadavg()[0]
        line = WORKS[name](Scale(options.share, not options.no_peers))
        if line is None:
            print(f"skipped: {name} (its data is missing)", flush=True)
            continue
        missed += line.reached is False
        _show(line, load)
        at = {"load": round(load, 1), "share": options.share, "machine": f"{os.cpu_count()} x {platform.machine()}"}
        kept[name] = asdict(line) | at | {"at": time.strftime("%Y-%m-%d %H:%M", time.gmtime())}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 1 if missed else 0


def _show(line: Line, load: float) -> None:
    figures = "  ".join(f"{name} {value:g}" for name, value in line.measured.items())
    verdict = {True: "reached", False: "MISSED", None: ""}[line.reached]
    print(f"{line.work:<28} {figures}\n{'':28} wanted {line.wanted}: {verdict} (load {load:.1f})", flush=True)
    for name, found in line.peers.items():
        told = "  ".join(f"{key} {value:g}" for key, value in found.items())
        print(f"{'':28} beside it, {name}: {told}", flush=True)
