"""Answers without a model: finds the sentences of the passages that answer a question best."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from rag_app.chat.cues import asked_kind, offers
from rag_app.chat.facts import Facts, facts_of
from rag_app.chat.lexicon import language_of
from rag_app.chat.sentences import Span, split
from rag_app.retrieval.passages import Passage, SearchResult

MOST_SENTENCES = 3
PASSAGES = 8  # of the passages found, how many are read
_OWN_MARKERS = re.compile(r"\s*\[(?:\d+(?:[-–,]\s?\d+)*|[a-z]|note \d+|citation needed)\]")
_MARKS = re.compile(r"^[ \t]*(?:#{1,6}|>|[-*•‣])[ \t]+|[*`|]+|~~|</?[a-zA-Z!][^<>]{0,200}>", re.MULTILINE)
_SHORTEST = 12  # characters of a sentence worth quoting

FEATURES = (
    "coverage", "around", "context", "pairs", "cosine", "fused", "rank", "offers", "lacks", "news", "short", "long",
    "first",
)  # fmt: skip
# Fitted by `bench/answers.py extractive --fit` on half of the articles of SQuAD v2 dev.
WEIGHTS: tuple[float, ...] = (8.7, 5.0, 5.2, 1.5, 3.1, 5.5, 0.2, 1.0, -1.0, -0.2, -0.1, 0.2, 0.0)

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One sentence of one passage."""

    passage: int  # index into the passages found
    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Selected:
    """A sentence chosen for the answer, `passages[passage].text[span.start:span.end]`, with its score."""

    passage: int
    span: Span
    score: float


def shown_text(sentence: str) -> str:
    """A sentence as the answer shows it: on one line, without Markdown marks and bracketed numbers of its own."""
    bare = _OWN_MARKERS.sub("", sentence)
    return " ".join(_MARKS.sub(" ", bare).split()).replace("[", "(").replace("]", ")")


def candidates(passages: Sequence[Passage]) -> list[Candidate]:
    """Every sentence worth quoting of the best passages, in the order found."""
    found = []
    seen: set[str] = set()
    for index, passage in enumerate(passages[:PASSAGES]):
        for span in split(passage.text):
            text = passage.text[span.start : span.end]
            if len(text) >= _SHORTEST and text not in seen:
                seen.add(text)
                found.append(Candidate(index, span, text))
    return found


def select(
    question: str, result: SearchResult, *, vectors: Vectors | None = None, language: str = ""
) -> tuple[Selected, ...]:
    """At most MOST_SENTENCES sentences, best first. `vectors`: of the question and then of each of `candidates`."""
    found = candidates(result.passages)
    if not found:
        return ()
    scores = features(question, result, found, vectors=vectors, language=language) @ np.array(WEIGHTS)
    order = np.argsort(-scores, kind="stable")[:MOST_SENTENCES]
    return tuple(Selected(found[at].passage, found[at].span, float(scores[at])) for at in order)


def features(
    question: str,
    result: SearchResult,
    found: Sequence[Candidate],
    *,
    vectors: Vectors | None = None,
    language: str = "",
) -> npt.NDArray[np.float64]:
    """One row of FEATURES per candidate."""
    code = language or next((p.language for p in result.passages if p.language), "") or language_of(question)
    asked = facts_of(question, code)
    kind = asked_kind(question)
    weights = _weights(asked, result.idf)
    cosines = (
        vectors[1:] @ vectors[0] if vectors is not None and len(vectors) == len(found) + 1 else np.zeros(len(found))
    )
    best = max((passage.fused for passage in result.passages), default=0.0) or 1.0
    facts = [facts_of(candidate.text, code) for candidate in found]
    rows = []
    for at, candidate in enumerate(found):
        passage = result.passages[candidate.passage]
        there = facts[at]
        near = {
            t
            for i in (at - 1, at + 1)
            if 0 <= i < len(found) and found[i].passage == candidate.passage
            for t in facts[i].terms
        }
        about = set(facts_of(f"{passage.title}. {passage.heading}", code).terms)
        held = set(there.terms)
        covered = _covered(weights, held)
        offer = offers(kind, candidate.text, there, asked)
        news = len(held - set(asked.terms))
        rows.append((
            covered,
            _covered(weights, held | near) - covered,
            _covered(weights, held | near | about) - _covered(weights, held | near),
            _pairs(asked.terms, there.terms),
            float(cosines[at]),
            passage.fused / best,
            1 / (1 + candidate.passage),
            float(offer is True),
            float(offer is False),
            min(news, 10) / 10,
            float(news < 3),
            min(len(there.terms), 40) / 40,
            float(candidate.span.start == 0),
        ))  # fmt: skip
    return np.array(rows)


def _weights(asked: Facts, idf: Mapping[str, float]) -> dict[str, float]:
    """Weight of each term of the question; one that the search did not weigh counts as an average one."""
    known = [idf[term] for term in asked.terms if term in idf]
    middle = sum(known) / len(known) if known else 1.0
    return {term: idf.get(term, middle) for term in asked.terms}


def _covered(weights: Mapping[str, float], held: set[str]) -> float:
    total = sum(weights.values())
    return sum(weight for term, weight in weights.items() if term in held) / total if total else 0.0


def _pairs(asked: tuple[str, ...], there: tuple[str, ...]) -> float:
    """Share of neighbouring terms of the question that stand at most three places apart in the sentence."""
    wanted = {frozenset(pair) for pair in pairwise(asked) if pair[0] != pair[1]}
    near = {frozenset((a, b)) for at, a in enumerate(there) for b in there[at + 1 : at + 4]}
    return len(wanted & near) / len(wanted) if wanted else 0.0
