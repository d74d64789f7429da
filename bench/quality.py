"""Retrieval quality on public question sets: hybrid, lexical and dense, through REST or inside this process."""

import argparse
import asyncio
import json
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy.ext.asyncio import AsyncEngine

from bench import _minilm
from bench import retrieval_sets as sets
from bench._prototype import Prototype
from bench._search_server import Client, running_server
from bench.scratch_search import Filled, fill, scratch_engine
from rag_app.ingestion.parse import parse
from rag_app.retrieval.passages import Mode
from rag_app.retrieval.search import search

RESULTS = Path(__file__).parent / "results"
LIMIT, LIMIT_OF_FILES = 20, 10
MODES: tuple[Mode, ...] = ("hybrid", "lexical", "dense")
PROTOTYPE = "prototype"
DRAWS = 5_000
LEG_MAY_WIN_BY = 0.005

Rows = list[dict[str, float]]
Report = dict[str, dict[str, Rows]]  # set -> mode -> one row per question


def first_of_each(documents: list[str]) -> list[str]:
    """Document ids in order, each once: a document stands where its best passage stands."""
    return list(dict.fromkeys(documents))


def judge(asked: sets.QuestionSet, key: str, found: list[str]) -> dict[str, float]:
    """Metrics of one list of the documents of passages, best first."""
    relevant = asked.relevant[key]
    return sets.complete(found, relevant) if asked.files else sets.scores(first_of_each(found), relevant)


async def measure_direct(engine: AsyncEngine, asked: sets.QuestionSet, made: Filled, mode: Mode) -> Rows:
    """Metrics of one mode."""
    rows = []
    for key, text in asked.questions:
        result = await search(engine, text, made.scope(limit=LIMIT, mode=mode))
        rows.append(judge(asked, key, [passage.external_id or "" for passage in result.passages]))
    return rows


async def run_direct(names: list[str], *, questions: int, url: str | None, whole: bool) -> Report:
    """All sets of texts inside this process."""
    report: Report = {}
    async with scratch_engine(url) as engine:
        for name in names:
            asked = sets.load(name, questions=questions)
            if asked is None or asked.files:
                print(f"skipped: {name} (no texts under {sets.data_folder()})")
                continue
            made = await fill(engine, asked.documents, name=f"{name} {time.time()}", whole=whole)
            print(f"{name}: {len(asked.documents)} documents, {made.passages} passages", flush=True)
            report[name] = {mode: await measure_direct(engine, asked, made, mode) for mode in MODES}
            show(report[name])
    return report


@dataclass(frozen=True, slots=True)
class Asked:
    """A set in a knowledge base of a running server."""

    client: Client
    questions: sets.QuestionSet
    base: str
    documents: dict[str, str]  # document id of the server -> that of the set

    def measure(self, mode: Mode) -> Rows:
        """Metrics of one mode."""
        limit = LIMIT_OF_FILES if self.questions.files else LIMIT
        rows = []
        for key, text in self.questions.questions:
            passages = self.client.search(self.base, text, mode=mode, limit=limit)["passages"]
            found = [each["external_id"] or self.documents[each["document_id"]] for each in passages]
            rows.append(judge(self.questions, key, found))
        return rows


def run_rest(names: list[str], *, questions: int, minilm: _minilm.Choice | None) -> Report:
    """All sets through the public REST API of a server started for this."""
    report: Report = {}
    serving = _minilm.serving(minilm) if minilm else nullcontext("")
    with serving as address, running_server(RAG_ALLOWED_PRIVATE_HOSTS="127.0.0.1") as client:
        if address:
            provider = {"provider": "compatible", "base_url": address, "api_key": "none"}
            client.call("POST", "/providers", provider)
        for name in names:
            asked = sets.load(name, questions=questions)
            if asked is None:
                print(f"skipped: {name} (no data under {sets.data_folder()})")
                continue
            started = time.perf_counter()
            made = add(client, asked, _minilm.MODEL if address else None)
            print(
                f"{name}: {len(asked.questions)} questions, filled in {time.perf_counter() - started:.1f} s", flush=True
            )
            report[name] = {mode: made.measure(mode) for mode in MODES}
            report[name][PROTOTYPE] = measure_prototype(asked)
            show(report[name])
    return report


def add(client: Client, asked: sets.QuestionSet, model: str | None) -> Asked:
    """A knowledge base with the documents of a set, ready to be searched."""
    body = {"name": asked.name} | ({"embedding_model": model} if model else {})
    base = str(client.call("POST", "/knowledge-bases", body)["id"])
    if not asked.files:
        client.add(base, asked.documents)
        return Asked(client, asked, base, {})
    client.upload(base, asked.files)
    client.wait(base)
    return Asked(client, asked, base, {each["id"]: each["filename"] for each in client.documents(base)})


def measure_prototype(asked: sets.QuestionSet) -> Rows:
    """Metrics of the prototype on the same questions; of files it sees the pages."""
    prototype = Prototype(asked.documents or pages_of(asked.files))
    return [judge(asked, key, prototype.search(text, LIMIT)) for key, text in asked.questions]


def pages_of(files: list[Path]) -> list[dict[str, Any]]:
    """The pages of files as documents that bear the name of their file."""
    pages = []
    for path in files:
        parsed = parse(path, filename=path.name)
        pages += [
            {"id": path.name, "title": path.stem, "text": parsed.text[page.char_from : page.char_to]}
            for page in parsed.pages
        ]
    return pages


def show(modes: dict[str, Rows]) -> None:
    """The means of one set."""
    for mode, rows in modes.items():
        print(f"  {mode:9} {sets.mean(rows)}", flush=True)


def interval(differences: "np.ndarray[Any, Any]") -> dict[str, float]:
    """Mean and 95 % interval of paired differences, by bootstrap over the questions."""
    draws = np.random.default_rng(1).integers(0, len(differences), (DRAWS, len(differences)))
    low, high = np.quantile(differences[draws].mean(axis=1), (0.025, 0.975))
    return {"mean": float(differences.mean()), "low": float(low), "high": float(high)}


def against_prototype(report: Report) -> dict[str, dict[str, float]]:
    """Hybrid minus prototype, per set in its main metric and on the mean of the sets."""
    found: dict[str, dict[str, float]] = {}
    means = []
    for name, modes in report.items():
        metric = sets.MAIN_METRIC.get(name, "ndcg@10")
        if PROTOTYPE in modes:
            pairs = zip(modes["hybrid"], modes[PROTOTYPE], strict=True)
            differences = np.array([ours[metric] - theirs[metric] for ours, theirs in pairs])
            found[f"{name} {metric}"] = interval(differences)
            generator = np.random.default_rng(2)
            draws = generator.integers(0, len(differences), (DRAWS, len(differences)))
            means.append(differences[draws].mean(axis=1))
    if means:
        every = np.mean(means, axis=0)
        low, high = np.quantile(every, (0.025, 0.975))
        mean = float(np.mean([each["mean"] for each in found.values()]))
        found["mean of the sets"] = {"mean": mean, "low": float(low), "high": float(high)}
    return found


BARS = {
    "bundled": (("scifact", "ndcg@10", 0.70), ("squad", "recall@5", 0.95), ("squad", "mrr@10", 0.86),
                ("claude_docs", "recall@3", 0.67), ("claude_docs", "mrr@10", 0.82)),
    "minilm": (("scifact", "ndcg@10", 0.735), ("squad", "recall@5", 0.96), ("squad", "mrr@10", 0.88)),
}  # fmt: skip


def missed(report: Report, embedder: str) -> list[str]:
    """Which bars are not reached: the figures, no leg alone better, not worse than the prototype."""
    means = {name: {mode: sets.mean(rows) for mode, rows in modes.items()} for name, modes in report.items()}
    found = [
        f"{name} {metric} {means[name]['hybrid'][metric]} is below {least}"
        for name, metric, least in BARS[embedder]
        if name in means and means[name]["hybrid"][metric] < least
    ]
    for name, modes in means.items():
        metric = sets.MAIN_METRIC.get(name, "ndcg@10")
        ahead = round(modes["hybrid"][metric] - max(modes["lexical"][metric], modes["dense"][metric]), 4)
        print(f"{name}: hybrid minus best single leg {ahead:+.4f} {metric}")
        if ahead < -LEG_MAY_WIN_BY:
            found.append(f"{name} {metric}: one leg alone is better by {-ahead}")
    for name, each in against_prototype(report).items():
        print(f"{name}: minus prototype {each['mean']:+.4f} ({each['low']:+.4f} to {each['high']:+.4f})")
        if each["high"] < 0:
            found.append(f"{name}: the prototype is better")
    return found


def main(argv: list[str]) -> int:
    """Measure; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="bench quality", description=__doc__)
    parser.add_argument("--direct", action="store_true", help="inside this process, without REST")
    parser.add_argument("--embedder", choices=tuple(BARS), default="bundled", help="minilm: see bench/_minilm.py")
    parser.add_argument("--torch", default="torch", help="which torch MiniLM is given, as pip takes it")
    parser.add_argument("--home", type=Path, default=_minilm.Choice().home, help="where MiniLM and its vectors stay")
    parser.add_argument("--sets", default=",".join(sets.MAIN_METRIC))
    parser.add_argument("--questions", type=int, default=3000, help="at most so many per set")
    parser.add_argument("--database", help="a database to use with --direct instead of a scratch one")
    parser.add_argument("--whole", action="store_true", help="with --direct: each document one passage")
    options = parser.parse_args(argv)
    names = options.sets.split(",")
    if options.direct:
        report = asyncio.run(run_direct(names, questions=options.questions, url=options.database, whole=options.whole))
    else:
        chosen = _minilm.Choice(options.home, options.torch) if options.embedder == "minilm" else None
        report = run_rest(names, questions=options.questions, minilm=chosen)
    problems = missed(report, options.embedder)
    RESULTS.mkdir(exist_ok=True)
    means = {name: {mode: sets.mean(rows) for mode, rows in modes.items()} for name, modes in report.items()}
    written = {"means": means, "against_prototype": against_prototype(report), "missed": problems}
    name = "quality.json" if options.embedder == "bundled" else f"quality_{options.embedder}.json"
    (RESULTS / name).write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    print("\n".join(problems) or "all bars reached")
    return 1 if problems else 0
