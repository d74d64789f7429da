"""The public question sets that retrieval is measured on, and the metrics."""

import json
import math
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Documents, questions, and which documents answer each question."""

    name: str
    documents: list[dict[str, Any]]  # id, title, text
    questions: list[tuple[str, str]]  # id, text
    relevant: dict[str, dict[str, int]]  # question id -> document id -> grade
    files: list[Path] = field(default_factory=list)  # instead of documents; a document's id is its file name


def data_folder() -> Path:
    """Where the public test data lies."""
    return Path(os.environ.get("RAG_BENCH_DATA", "../shared/bench"))


_FILES = {
    "scifact": ("scifact", "queries.jsonl", "qrels.json"),
    "scifact_train": ("scifact", "queries_train.jsonl", "qrels_train.json"),
    "squad": ("squad2", "queries_v1.1.jsonl", "qrels_v1.1.json"),
    "claude_docs": ("claude_docs", "queries.jsonl", "qrels.json"),
}
SETS = tuple(_FILES)
FILINGS = "pdf_sec10q"
MAIN_METRIC = {"scifact": "ndcg@10", "squad": "mrr@10", "claude_docs": "mrr@10", FILINGS: "complete@10"}


def load(name: str, *, questions: int | None = None) -> QuestionSet | None:
    """A set by name, with at most that many questions drawn by a fixed seed; None when its files are missing."""
    if name == FILINGS:
        return _filings()
    folder, asked, judged = _FILES[name]
    base = data_folder() / folder
    if not (base / asked).is_file():
        return None
    relevant = {key: grades(value) for key, value in json.loads((base / judged).read_text("utf-8")).items()}
    found = [(line["id"], line["text"]) for line in lines(base / asked) if line["id"] in relevant]
    if questions is not None and questions < len(found):
        found = random.Random(1).sample(found, questions)
    return QuestionSet(name, lines(base / "corpus.jsonl"), found, relevant)


def _filings() -> QuestionSet | None:
    """Reports as PDF files; relevant are the files that the answer cites (two questions cite none and are left out)."""
    base = data_folder() / FILINGS
    if not (base / "questions.jsonl").is_file():
        return None
    rows = [row for row in lines(base / "questions.jsonl") if row["cited_docs"]]
    relevant = {row["id"]: dict.fromkeys(row["cited_docs"], 1) for row in rows}
    return QuestionSet(
        FILINGS, [], [(row["id"], row["text"]) for row in rows], relevant, sorted((base / "pdfs").glob("*.pdf"))
    )


def lines(path: Path) -> list[dict[str, Any]]:
    """A JSONL file."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def grades(value: Any) -> dict[str, int]:
    """Relevance as {document: grade}, whichever way the file writes it."""
    if isinstance(value, dict):
        return {str(key): int(grade) for key, grade in value.items()}
    return dict.fromkeys(map(str, value), 1)


def scores(found: Sequence[str], relevant: Mapping[str, int]) -> dict[str, float]:
    """nDCG@10, recall at 3 and 5, MRR@10 of one list of document ids, best first, each id once."""
    gains = [relevant.get(document, 0) for document in found]
    ideal = _discounted(sorted(relevant.values(), reverse=True)[:10])
    hits = [place for place, gain in enumerate(gains[:10], start=1) if gain > 0]
    wanted = sum(grade > 0 for grade in relevant.values())
    return {
        "ndcg@10": _discounted(gains[:10]) / ideal if ideal else 0.0,
        "recall@3": sum(gain > 0 for gain in gains[:3]) / wanted,
        "recall@5": sum(gain > 0 for gain in gains[:5]) / wanted,
        "mrr@10": 1 / hits[0] if hits else 0.0,
    }


def complete(found: Sequence[str], relevant: Mapping[str, int]) -> dict[str, float]:
    """For documents that are files: whether the first ten passages come from all relevant ones; the share of those."""
    wanted, there = set(relevant), set(found[:10])
    return {"complete@10": float(wanted <= there), "files@10": len(wanted & there) / len(wanted)}


def _discounted(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(place + 1) for place, gain in enumerate(gains, start=1))


def mean(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each metric, to four digits."""
    return {name: round(sum(row[name] for row in rows) / len(rows), 4) for name in rows[0]} if rows else {}
