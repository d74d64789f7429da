"""Retrieval quality on public question sets: hybrid, lexical and dense, through REST or inside this process."""

import argparse
import asyncio
import json
import time
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from bench import retrieval_sets as sets
from bench._search_server import Client, running_server
from bench.scratch_search import Filled, fill, scratch_engine
from rag_app.retrieval.passages import Mode
from rag_app.retrieval.search import search

RESULTS = Path(__file__).parent / "results" / "quality.json"
LIMIT = 20
MODES: tuple[Mode, ...] = ("hybrid", "lexical", "dense")


def first_of_each(documents: list[str]) -> list[str]:
    """Document ids in order, each once: a document stands where its best passage stands."""
    return list(dict.fromkeys(documents))


async def measure_direct(engine: AsyncEngine, asked: sets.QuestionSet, made: Filled, mode: Mode) -> dict[str, Any]:
    """Metrics of one mode."""
    rows = []
    for key, text in asked.questions:
        result = await search(engine, text, made.scope(limit=LIMIT, mode=mode))
        found = first_of_each([passage.external_id or "" for passage in result.passages])
        rows.append(sets.scores(found, asked.relevant[key]))
    return sets.mean(rows)


async def run_direct(names: list[str], *, questions: int, url: str | None, whole: bool) -> dict[str, Any]:
    """All sets inside this process."""
    report: dict[str, Any] = {}
    async with scratch_engine(url) as engine:
        for name in names:
            asked = sets.load(name, questions=questions)
            if asked is None:
                print(f"skipped: {name} (no data under {sets.data_folder()})")
                continue
            started = time.perf_counter()
            made = await fill(engine, asked.documents, name=f"{name} {started}", whole=whole)
            took = time.perf_counter() - started
            print(f"{name}: {len(asked.documents)} documents, {made.passages} passages, {took:.1f} s", flush=True)
            for mode in MODES:
                started = time.perf_counter()
                report.setdefault(name, {})[mode] = await measure_direct(engine, asked, made, mode)
                each = (time.perf_counter() - started) * 1000 / len(asked.questions)
                print(f"  {mode:8} {report[name][mode]} {each:.1f} ms each", flush=True)
    return report


def measure_rest(client: Client, asked: sets.QuestionSet, base: str, mode: Mode) -> dict[str, Any]:
    """Metrics of one mode."""
    rows = []
    for key, text in asked.questions:
        passages = client.search(base, text, mode=mode, limit=LIMIT)["passages"]
        rows.append(sets.scores(first_of_each([each["external_id"] for each in passages]), asked.relevant[key]))
    return sets.mean(rows)


def run_rest(names: list[str], *, questions: int) -> dict[str, Any]:
    """All sets through the public REST API of a server started for this."""
    report: dict[str, Any] = {}
    with running_server() as client:
        for name in names:
            asked = sets.load(name, questions=questions)
            if asked is None:
                print(f"skipped: {name} (no data under {sets.data_folder()})")
                continue
            started = time.perf_counter()
            base = client.create(name)
            client.add(base, asked.documents)
            print(f"{name}: {len(asked.documents)} documents, {time.perf_counter() - started:.1f} s", flush=True)
            for mode in MODES:
                started = time.perf_counter()
                report.setdefault(name, {})[mode] = measure_rest(client, asked, base, mode)
                each = (time.perf_counter() - started) * 1000 / len(asked.questions)
                print(f"  {mode:8} {report[name][mode]} {each:.1f} ms each", flush=True)
    return report


BARS = (("scifact", "ndcg@10", 0.69), ("squad", "recall@5", 0.94))


def missed(report: dict[str, Any]) -> list[str]:
    """Which bars are not reached: the figure itself, and hybrid above either leg alone."""
    found = []
    for name, metric, least in BARS:
        if name not in report:
            continue
        value = {mode: report[name][mode][metric] for mode in MODES}
        if value["hybrid"] < least:
            found.append(f"{name} {metric} {value['hybrid']} is below {least}")
        if value["hybrid"] < max(value["lexical"], value["dense"]):
            found.append(f"{name} {metric}: one leg alone is better, {value}")
    return found


def main(argv: list[str]) -> int:
    """Measure; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="bench quality", description=__doc__)
    parser.add_argument("--direct", action="store_true", help="inside this process, without REST")
    parser.add_argument("--sets", default="scifact,squad,claude_docs")
    parser.add_argument("--questions", type=int, default=3000, help="at most so many per set")
    parser.add_argument("--database", help="a database to use with --direct instead of a scratch one")
    parser.add_argument("--whole", action="store_true", help="with --direct: each document one passage")
    options = parser.parse_args(argv)
    names = options.sets.split(",")
    if options.direct:
        report = asyncio.run(run_direct(names, questions=options.questions, url=options.database, whole=options.whole))
    else:
        report = run_rest(names, questions=options.questions)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    problems = missed(report)
    print("\n".join(problems) or "all bars reached")
    return 1 if problems else 0
