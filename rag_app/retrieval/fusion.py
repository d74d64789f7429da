"""Puts the two legs together: a convex combination of min-max scores, with the weight that belongs to the embedder.

Scores and not ranks, because they say how far apart two passages are (measured in docs/retrieval.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage with its raw scores in both legs, also in the one that did not find it, and what fusion made of it."""

    passage_id: UUID
    bm25: float
    cosine: float | None
    fused: float = 0.0
    lexical: int | None = None  # its place in each leg, from 1
    dense: int | None = None


def fuse(candidates: Sequence[Candidate], *, dense_weight: float) -> list[float]:
    """A score 0..1 for each candidate, in their order.

    BM25 is divided by the best one (its natural minimum is 0); cosines run from the lowest of the candidates, most of
    which the lexical leg found, to the best one. A weight of 0 is the lexical leg alone, 1 the dense one. A candidate
    without a cosine gets 0 for it.
    """
    cosines = [each.cosine for each in candidates if each.cosine is not None]
    words = [(1 - dense_weight) * share for share in min_max([each.bm25 for each in candidates], low=0.0)]
    meaning = iter([dense_weight * share for share in min_max(cosines, low=min(cosines, default=0.0))])
    return [word if each.cosine is None else word + next(meaning) for each, word in zip(candidates, words, strict=True)]


def best_first(candidates: Sequence[Candidate], scores: Sequence[float]) -> list[Candidate]:
    """All with their score, best first; equal scores in the order of their ids, so that lists are stable."""
    order = sorted(zip([-score for score in scores], candidates, strict=True), key=_place)
    return [
        Candidate(each.passage_id, each.bm25, each.cosine, -negative, each.lexical, each.dense)
        for negative, each in order
    ]


def _place(scored: tuple[float, Candidate]) -> tuple[float, int]:
    return scored[0], scored[1].passage_id.int


def min_max(scores: Sequence[float], *, low: float) -> list[float]:
    """Where each score lies between `low` and the best one, 0..1; a range of nothing counts as the top for itself."""
    high = max(scores, default=0.0)
    if high <= low:
        return [1.0 if score >= high > 0 else 0.0 for score in scores]
    reach = high - low
    return [min(1.0, max(0.0, (score - low) / reach)) for score in scores]
