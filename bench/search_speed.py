"""Search speed inside one process: p50 and p95 for one client, and searches per second for several."""

import argparse
import asyncio
import json
import random
import re
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench import retrieval_sets as sets
from bench.scratch_search import Filled, fill, scratch_engine
from rag_app.database.engine import transaction
from rag_app.retrieval.dense import build_hnsw, indexes_that_want_hnsw
from rag_app.retrieval.search import search
from rag_app.retrieval.statistics import knowledge_bases_with_deltas, merge_statistics

RESULTS = Path(__file__).parent / "results" / "search_speed.json"
PASSAGES_PER_DOCUMENT = 10
WORDS_PER_PASSAGE = 150


def sentences() -> list[str]:
    """All sentences of the public corpora, to build passages of natural language from."""
    found: list[str] = []
    for name in ("scifact", "squad", "claude_docs"):
        asked = sets.load(name)
        for document in asked.documents if asked else []:
            found.extend(each.strip() for each in re.split(r"(?<=[.!?])\s+", document["text"]) if 20 < len(each) < 400)
    return found


def documents(passages: int, source: list[str]) -> Iterator[dict[str, Any]]:
    """Documents of sentences drawn at random, which are cut into about so many passages."""
    draw = random.Random(3)
    for number in range(passages // PASSAGES_PER_DOCUMENT):
        paragraphs = []
        for _ in range(PASSAGES_PER_DOCUMENT):
            words: list[str] = []
            while len(words) < WORDS_PER_PASSAGE:
                words.extend(draw.choice(source).split())
            paragraphs.append(" ".join(words))
        yield {"id": f"made-{number}", "title": f"Document {number}", "text": "\n\n".join(paragraphs)}


def questions(count: int) -> list[str]:
    """Questions of several kinds, mixed."""
    found: list[str] = []
    for name in ("squad", "scifact", "claude_docs"):
        asked = sets.load(name, questions=count // 3)
        found.extend(text for _, text in (asked.questions if asked else []))
    random.Random(4).shuffle(found)
    return found


async def settle(engine: AsyncEngine) -> None:
    """What the product's periodic jobs do after a large ingest."""
    async with transaction(engine) as session:
        connection = await session.connection()
        for each in await knowledge_bases_with_deltas(connection):
            await merge_statistics(connection, each)
    async with engine.connect() as connection:
        wanting = await indexes_that_want_hnsw(connection)
    for index_id, dimensions in wanting:
        await build_hnsw(engine, index_id=index_id, dimensions=dimensions)
    async with engine.connect() as connection:
        outside = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await outside.execute(text("VACUUM ANALYZE"))


async def one_client(engine: AsyncEngine, made: Filled, asked: list[str]) -> dict[str, Any]:
    """Latencies of one search after the other."""
    took: list[float] = []
    busy = time.process_time()
    steps: dict[str, list[float]] = {}
    for each in asked:
        started = time.perf_counter()
        result = await search(engine, each, made.scope())
        took.append((time.perf_counter() - started) * 1000)
        for step, value in result.timings_ms.items():
            steps.setdefault(step, []).append(value)
    cuts = statistics.quantiles(took, n=20)
    medians = {step: round(statistics.median(values), 2) for step, values in steps.items()}
    return {
        "p50_ms": round(statistics.median(took), 2),
        "p95_ms": round(cuts[18], 2),
        "median_ms": medians,
        "cpu_ms": round((time.process_time() - busy) * 1000 / len(asked), 2),
    }


async def several_clients(engine: AsyncEngine, made: Filled, asked: list[str], clients: int) -> tuple[float, float]:
    """Searches per second, and milliseconds of this process's CPU for each."""
    waiting = iter(asked)

    async def client() -> None:
        for each in waiting:
            await search(engine, each, made.scope())

    started, busy = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client() for _ in range(clients)))
    cpu_ms = (time.process_time() - busy) * 1000 / len(asked)
    return round(len(asked) / (time.perf_counter() - started), 1), round(cpu_ms, 2)


async def run(passages: int, count: int, clients: int, url: str | None) -> dict[str, Any]:
    """Fill, settle, measure."""
    async with scratch_engine(url) as engine:
        started = time.perf_counter()
        made = await fill(engine, documents(passages, sentences()), name=f"speed {started}")
        filled = time.perf_counter()
        await settle(engine)
        settled = time.perf_counter()
        asked = questions(count + 50)
        await one_client(engine, made, asked[:50])  # warm
        found = await one_client(engine, made, asked[50:])
        rate, cpu_ms = await several_clients(engine, made, asked[50:], clients)
    return {
        "passages": made.passages,
        "fill_s": round(filled - started, 1),
        "settle_s": round(settled - filled, 1),
        **found,
        "clients": clients,
        "searches_per_s": rate,
        "cpu_ms_several": cpu_ms,
    }


def main(argv: list[str]) -> int:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(prog="bench search_speed", description=__doc__)
    parser.add_argument("--passages", type=int, default=20_000)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--database", help="a database with the schema, instead of a scratch one")
    options = parser.parse_args(argv)
    if not sentences():
        print(f"skipped: no data under {sets.data_folder()}")
        return 0
    found = asyncio.run(run(options.passages, options.questions, options.clients, options.database))
    for name, value in found.items():
        print(f"{name:16} {value}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0
