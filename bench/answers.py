"""Answers without a model: the citation check, extractive answers and follow-ups, measured on SQuAD and SciFact."""

import argparse
import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench import documentation_data, retrieval_sets
from bench.claim_pairs import Pair, scifact_pairs, squad, squad_pairs
from bench.extractive_data import Ranked, fit, hits, ranked
from bench.followup_data import follow_ups
from bench.memory_search import MemorySearch
from bench.retrieval_sets import data_folder
from bench.scratch_search import fill, scratch_engine
from rag_app.chat import support
from rag_app.chat.answer import SAY_NO_BELOW
from rag_app.chat.extractive import GAP
from rag_app.chat.history import Turn, needs_context, rewrite_locally
from rag_app.chat.relevance import FEATURES, WEIGHTS
from rag_app.retrieval.passages import SearchResult
from rag_app.retrieval.search import search as product_search

Row = tuple[str, str, str]
Search = Callable[[str, int], Awaitable[SearchResult]]
RESULTS = Path("bench/results/answers.json")
_SWAPS = ("number", "name", "name inside", "negation")


def main(argv: list[str]) -> int:
    """Measure the named parts (all by default), print one table and write bench/results/answers.json."""
    parser = argparse.ArgumentParser(prog="bench answers", description=__doc__)
    parser.add_argument("parts", nargs="*", help="citations, extractive, followups, documentation")
    parser.add_argument("--fit", action="store_true", help="also print weights fitted on half of the articles")
    parser.add_argument("--memory", action="store_true", help="a small search in memory instead of the product's own")
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args(argv)
    folder = data_folder()
    if not (folder / "squad2").is_dir():
        print(f"answers: skipped, {folder / 'squad2'} is missing")
        return 0
    parts = options.parts or ["citations", "extractive", "followups", "documentation"]
    rows = asyncio.run(_measure(folder, parts, options))
    width = max(len(row[0]) for row in rows)
    for name, value, bar in rows:
        print(f"{name:<{width}}  {value:>8}  {bar}")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    known.update({name: {"value": value, "bar": bar} for name, value, bar in rows})
    RESULTS.write_text(json.dumps(known, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return 0


async def _measure(folder: Path, parts: Sequence[str], options: argparse.Namespace) -> list[Row]:
    rows: list[Row] = []
    if "citations" in parts:
        rows += _citations(folder, seed=options.seed, fit_too=options.fit)
    if "documentation" in parts:
        rows += await _documentation(folder, seed=options.seed)
    if not {"extractive", "followups"} & set(parts):
        return rows
    corpus, questions = squad(folder / "squad2")
    random.Random(options.seed).shuffle(questions)
    if options.memory:
        return rows + await _with_search(corpus, questions, MemorySearch(corpus).search, parts=parts, options=options)
    async with scratch_engine() as engine:
        documents = [{"id": key, **row} for key, row in corpus.items()]
        filled = await fill(engine, documents, name="squad2", whole=True)

        async def search(question: str, limit: int) -> SearchResult:
            return await product_search(engine, question, filled.scope(limit=limit))

        return rows + await _with_search(corpus, questions, search, parts=parts, options=options)


async def _documentation(folder: Path, *, seed: int) -> list[Row]:
    """Whole answers on product documentation, and on small knowledge bases made of a few of its pages."""
    asked = retrieval_sets.load("claude_docs")
    if asked is None:
        print("documentation: skipped, claude_docs is missing")
        return []
    foreign = [str(question["text"]) for question in squad(folder / "squad2")[1]]
    random.Random(seed).shuffle(foreign)
    made = documentation_data.Documentation(asked, foreign[:600])
    async with scratch_engine() as engine:
        everything = await made.of_everything(engine)
        small = await made.of_small_bases(engine, seed=seed)
    rows = documentation_data.rows_of("documentation, all of it", everything)
    return rows + documentation_data.rows_of(f"documentation, {documentation_data.SMALL_BASES} small bases", small)


async def _with_search(
    corpus: dict[str, dict[str, str]],
    questions: list[dict[str, Any]],
    search: Search,
    *,
    parts: Sequence[str],
    options: argparse.Namespace,
) -> list[Row]:
    rows: list[Row] = []
    if "extractive" in parts:
        rows += await _extractive(corpus, questions, search, fit_too=options.fit)
    if "followups" in parts:
        rows += await _followups(corpus, questions, search, seed=options.seed)
    return rows


def _accepted(pairs: Sequence[Pair]) -> list[bool]:
    found = (support.find_evidence(p.statement, p.passage, context=p.title, hint=p.question) for p in pairs)
    return [each is not None and each.score >= support.THRESHOLD for each in found]


def _citations(folder: Path, *, seed: int, fit_too: bool) -> list[Row]:
    """Shares accepted, on articles the weights were not fitted on, and on SciFact, which they never saw."""
    rows: list[Row] = []
    made = squad_pairs(folder / "squad2", seed=seed, count=1_100)
    articles = sorted({pair.group for pair in made})
    held_out = [pair for pair in made if pair.group in articles[1::2]]
    rows += _shares("citations squad2", held_out)
    if (folder / "scifact").is_dir():
        rows += _shares("citations scifact", scifact_pairs(folder / "scifact", seed=seed))
    if fit_too:
        weights = _fit_support([pair for pair in made if pair.group in articles[::2]])
        print("support weights and bias:", [round(float(weight), 2) for weight in weights])
    return rows


def _shares(name: str, pairs: Sequence[Pair]) -> list[Row]:
    """False rejects and false accepts per kind; the swapped ones also together, each kind weighing the same."""
    kinds: dict[str, list[bool]] = {}
    for pair, accepted in zip(pairs, _accepted(pairs), strict=True):
        kinds.setdefault(pair.kind, []).append(accepted)
    bars = {"true": "≤ 5 % false rejects", "other": "≤ 5 % false accepts"}
    rows = []
    for kind, outcomes in kinds.items():
        share = 1 - np.mean(outcomes) if kind == "true" else np.mean(outcomes)
        label = "false rejects" if kind == "true" else "accepted" if kind.startswith("claim") else "false accepts"
        rows.append((f"{name}: {label}, {kind} ({len(outcomes)})", f"{share:.1%}", bars.get(kind, "")))
    swapped = [float(np.mean(kinds[kind])) for kind in _SWAPS if kind in kinds]
    rows.append((f"{name}: false accepts, all swapped", f"{np.mean(swapped):.1%}", "≤ 20 % false accepts"))
    return rows


def _fit_support(pairs: Sequence[Pair]) -> Any:
    """Weights of a logistic mix by Newton's method; one true pair weighs as much as four others."""
    weigh = {"true": 4.0, "other": 1.0, "number": 1.0, "name": 0.5, "name inside": 0.4, "negation": 0.4}
    rows, wanted, weights = [], [], []
    for pair in pairs:
        found = support.find_evidence(pair.statement, pair.passage, context=pair.title)
        if found:
            rows.append([*support.measures(found.comparison), 1.0])
            wanted.append(pair.kind == "true")
            weights.append(weigh[pair.kind])
    x, y, w = np.array(rows), np.array(wanted, dtype=float), np.array(weights)
    b = np.zeros(x.shape[1])
    for _ in range(80):
        chance = 1 / (1 + np.exp(-x @ b))
        curve = (x * (w * chance * (1 - chance) + 1e-9)[:, None]).T @ x + np.eye(len(b)) * 0.5
        b = b + np.linalg.solve(curve, x.T @ (w * (y - chance)) - 0.5 * b)
    return b


async def _extractive(
    corpus: dict[str, dict[str, str]], questions: list[dict[str, Any]], search: Search, *, fit_too: bool
) -> list[Row]:
    """500 answerable questions from articles the weights were not fitted on."""
    articles = sorted({row["title"] for row in corpus.values()})
    half = set(articles[::2])
    held_out = [q for q in questions if corpus[q["source_doc"]]["title"] not in half][:500]
    data = [await _row(corpus, question, search) for question in held_out]
    measured = hits(data, np.array(WEIGHTS), gap=GAP)
    whole = hits(data, np.array(WEIGHTS), gap=GAP, say_no_below=SAY_NO_BELOW)
    refused = np.mean([each.answerable < SAY_NO_BELOW for each in data])
    if fit_too:
        seen = [q for q in questions if corpus[q["source_doc"]]["title"] in half][:1_200]
        fitted = fit([await _row(corpus, question, search) for question in seen])
        print("extractive weights:", {name: round(float(w), 1) for name, w in zip(FEATURES, fitted, strict=True)})
    return [
        (f"extractive: answer in the first sentence ({len(data)})", f"{measured['first']:.3f}", "≥ .72"),
        ("extractive: answer in at most three", f"{measured['three']:.3f}", "≥ .85"),
        ("extractive: in the first, refusals counted as misses", f"{whole['first']:.3f}", "≥ .72"),
        ("extractive: in at most three, refusals counted as misses", f"{whole['three']:.3f}", "≥ .85"),
        ("extractive: answerable questions refused", f"{refused:.1%}", ""),
        ("extractive: sentences shown", f"{measured['sentences']:.2f}", ""),
    ]


async def _row(corpus: dict[str, dict[str, str]], question: dict[str, Any], search: Search) -> Ranked:
    group = corpus[question["source_doc"]]["title"]
    return await ranked(question["text"], question["answers"], question["source_doc"], group=group, search=search)


async def _followups(
    corpus: dict[str, dict[str, str]], questions: list[dict[str, Any]], search: Search, *, seed: int
) -> list[Row]:
    """Recall in the first five passages of the bare follow-up, the rewritten one and the full question."""
    made = follow_ups(corpus, questions, seed=seed, count=200)
    right = {"raw": 0, "rewritten": 0, "full question": 0}
    for each in made:
        history = (Turn("user", each.before), Turn("assistant", each.answer_before))
        texts = (each.pronominal, rewrite_locally(each.pronominal, history, "en"), each.full)
        for name, text in zip(right, texts, strict=True):
            result = await search(text, 5)
            right[name] += any(passage.external_id == each.source for passage in result.passages[:5])
    alone = [question["text"] for question in questions[:1_000]]
    touched = sum(needs_context(text, "en") for text in alone) / len(alone)
    rows = [(f"follow-ups: R@5 {name} ({len(made)})", f"{count / len(made):.3f}", "") for name, count in right.items()]
    return [*rows, ("follow-ups: standalone questions taken for one", f"{touched:.1%}", "")]
