"""Puts the two legs together: a convex combination of min-max scores, with the weight that belongs to the embedder.

Scores and not ranks, because they say how far apart two passages are (measured in docs/retrieval.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage with its raw scores in both legs, also in the one that did not find it, and what fusion made of it."""

    passage_id: UUID
    bm25: float
    cosine: float | None
    fused: float = 0.0


def fuse(candidates: Sequence[Candidate], *, dense_weight: float) -> dict[UUID, float]:
    """A score 0..1 for each candidate.

    BM25 is divided by the best one (its natural minimum is 0); cosines run from the lowest of the candidates, most of
    which the lexical leg found, to the best one. A weight of 0 is the lexical leg alone, 1 the dense one. A candidate
    without a cosine gets 0 for it.
    """
    cosines = [each.cosine for each in candidates if each.cosine is not None]
    best_bm25 = max((each.bm25 for each in candidates), default=0.0)
    best_cosine = max(cosines, default=0.0)
    worst_cosine = min(cosines, default=0.0)
    fused = {}
    for each in candidates:
        lexical = min_max(each.bm25, 0.0, best_bm25)
        dense = 0.0 if each.cosine is None else min_max(each.cosine, worst_cosine, best_cosine)
        fused[each.passage_id] = (1 - dense_weight) * lexical + dense_weight * dense
    return fused


def min_max(score: float, low: float, high: float) -> float:
    """Where `score` lies between `low` and `high`, 0..1; a range of nothing counts as the top for its own value."""
    if high <= low:
        return 1.0 if score >= high > 0 else 0.0
    return min(1.0, max(0.0, (score - low) / (high - low)))


def ordered(scores: Mapping[UUID, float]) -> list[UUID]:
    """The highest score first; equal scores in the order of their ids, so that lists are stable."""
    return [passage_id for _, passage_id in sorted((-score, passage_id) for passage_id, score in scores.items())]


def ranks(scores: Mapping[UUID, float]) -> dict[UUID, int]:
    """Places from 1, in that order."""
    return {passage_id: place for place, passage_id in enumerate(ordered(scores), start=1)}
