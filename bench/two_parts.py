"""Two questions in one: whether taking them apart finds both passages, and whether single questions suffer."""

import argparse
import asyncio
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from bench import retrieval_sets as sets
from bench.scratch_search import Filled, fill, scratch_engine
from rag_app.chat.parts import parts_of
from rag_app.chat.pooling import pool
from rag_app.retrieval.search import search

RESULTS = Path(__file__).parent / "results" / "two_parts.json"
LIMIT = 8
JOINTS = ("{one}, and {other}?", "{one} and {other}?", "{one}? {other}?")

Split = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and the documents that it takes to answer all of it."""

    text: str
    wanted: frozenset[str]


def two_part_questions(asked: sets.QuestionSet, titles: dict[str, str], *, count: int, seed: int) -> list[Asked]:
    """Pairs of questions on different articles, joined in the ways people do, drawn by the seed."""
    rng = random.Random(seed)
    made: list[Asked] = []
    while len(made) < count:
        (one, first), (other, second) = rng.sample(asked.questions, 2)
        wanted = {key for each in (one, other) for key in asked.relevant[each]}
        if len({titles[key] for key in wanted}) < 2:
            continue
        rest = second.rstrip(" ?")
        rest = rest if rest[:2].isupper() else rest[:1].lower() + rest[1:]
        text = JOINTS[len(made) % len(JOINTS)].format(one=first.rstrip(" ?"), other=rest)
        made.append(Asked(text, frozenset(wanted)))
    return made


async def found_in(engine: AsyncEngine, made: Filled, queries: Sequence[str]) -> list[str]:
    """The documents of the pooled passages, best first, each once."""
    results = [await search(engine, query, made.scope(limit=LIMIT)) for query in queries]
    pooled = pool(results, limit=LIMIT)
    return list(dict.fromkeys(passage.external_id or "" for passage in pooled.passages))


async def measured(engine: AsyncEngine, made: Filled, questions: Sequence[Asked], split: Split) -> dict[str, float]:
    """Share of wanted documents among the first five, of questions with all of them there, and how many were split."""
    recall = complete = divided = 0.0
    for each in questions:
        queries = split(each.text)
        found = set((await found_in(engine, made, queries))[:5])
        recall += len(found & each.wanted) / len(each.wanted)
        complete += each.wanted <= found
        divided += len(queries) > 1
    n = len(questions)
    return {"recall@5": round(recall / n, 4), "all@5": round(complete / n, 4), "split": round(divided / n, 4)}


async def run(count: int, seed: int, url: str | None) -> dict[str, dict[str, dict[str, float]]] | None:
    """All ways on both kinds of questions."""
    asked = sets.load("squad")
    if asked is None:
        print(f"skipped: squad2 (no data under {sets.data_folder()})")
        return None
    titles = {str(each["id"]): str(each["title"]) for each in asked.documents}
    pairs = two_part_questions(asked, titles, count=count, seed=seed)
    singles = [
        Asked(text, frozenset(asked.relevant[key])) for key, text in random.Random(seed).sample(asked.questions, count)
    ]
    ways: dict[str, Split] = {
        "whole": lambda text: (text,),
        "parts": parts_of,
        "whole and parts": lambda text: tuple(dict.fromkeys((text, *parts_of(text)))),
    }
    report: dict[str, dict[str, dict[str, float]]] = {}
    async with scratch_engine(url) as engine:
        made = await fill(engine, asked.documents, name=f"two parts {seed}")
        for kind, questions in (("two questions", pairs), ("one question", singles)):
            for way, split in ways.items():
                report.setdefault(kind, {})[way] = await measured(engine, made, questions, split)
                print(f"{kind:14} n={count} {way:16} {report[kind][way]}", flush=True)
    return report


def main(argv: list[str]) -> int:
    """Measure; 1 when taking apart finds less of two questions, or loses more than .002 of single ones."""
    parser = argparse.ArgumentParser(prog="bench two_parts", description=__doc__)
    parser.add_argument("--questions", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", help="a database to use instead of a scratch one")
    options = parser.parse_args(argv)
    report = asyncio.run(run(options.questions, options.seed, options.database))
    if report is None:
        return 0
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    pairs, singles = report["two questions"], report["one question"]
    worse = pairs["parts"]["all@5"] <= pairs["whole"]["all@5"]
    harmed = singles["parts"]["recall@5"] < singles["whole"]["recall@5"] - 0.002
    print("worse on two questions" if worse else "harms single questions" if harmed else "all bars reached")
    return 1 if worse or harmed else 0
