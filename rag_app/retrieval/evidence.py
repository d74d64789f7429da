"""How likely it is that what was found answers the question, from features that carry over between knowledge bases.

The weights were fitted by `scripts/bench calibrate`, which prints these constants; docs/retrieval.md has the figures.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rag_app.retrieval.passages import Evidence
from rag_app.retrieval.proximity import Proximity

JUDGED_PASSAGES = 5
READ_PASSAGES = 3
SIZES = (30, 2_000)
"""Passages searched: below and above these the size of the knowledge bases makes no further difference."""
CALIBRATED_MODEL = "local/wordllama-256"
"""Cosines of other embedding models have another scale, so for them the weights without a cosine are taken."""


@dataclass(frozen=True, slots=True)
class Features:
    """Normalised facts about one passage and the question."""

    bm25_share: float  # BM25 / the best BM25 that any passage could have, 0..1
    coverage: float  # idf-weighted share of the question's terms that stand in it, 0..1
    cosine: float | None
    fused: float  # 0..1, relative to the best passage of this question
    proximity: Proximity = field(default_factory=Proximity)


@dataclass(frozen=True, slots=True)
class AnswerWeights:
    """A logistic model: do these passages answer the question?"""

    bias: float
    bm25_share: float
    coverage: float
    cosine: float
    margin: float
    window: float
    phrases: float
    smallness: float


@dataclass(frozen=True, slots=True)
class PassageWeights:
    """A logistic model: is this passage the one that was meant?"""

    bias: float
    bm25_share: float
    cosine: float
    fused: float


ANSWER_WITH_COSINE = AnswerWeights(
    bias=-8.53, bm25_share=4.35, coverage=1.7, cosine=8.18, margin=2.18, window=3.25, phrases=4.15, smallness=0.5
)
ANSWER_WITHOUT_COSINE = AnswerWeights(
    bias=-6.25, bm25_share=8.5, coverage=1.79, cosine=0.0, margin=1.08, window=2.56, phrases=4.8, smallness=0.8
)
PASSAGE_WITH_COSINE = PassageWeights(bias=-17.22, bm25_share=8.41, cosine=1.49, fused=13.08)
PASSAGE_WITHOUT_COSINE = PassageWeights(bias=-16.04, bm25_share=11.28, cosine=0.0, fused=10.51)


def relevance(features: Features) -> float:
    """Calibrated probability 0..1 that this passage is one that answers the question."""
    weights = PASSAGE_WITHOUT_COSINE if features.cosine is None else PASSAGE_WITH_COSINE
    return _logistic(
        weights.bias
        + weights.bm25_share * features.bm25_share
        + weights.cosine * (features.cosine or 0.0)
        + weights.fused * features.fused
    )


def smallness(passages: int) -> float:
    """By how many orders of magnitude what was searched is smaller than the largest of SIZES; 0 for large ones.

    The best of many passages resembles any question more than the best of a few does, and in a small knowledge base a
    word of the question that it does not hold weighs nearly as little as one that it does, so the same figures mean
    more in a small one.
    """
    low, high = SIZES
    return math.log10(high / min(max(passages, low), high))


def judge(best: Sequence[Features], *, searched: int) -> Evidence:
    """Evidence from the passages found, best first, and the calibrated probability that they answer the question.

    `searched` is the number of passages in the knowledge bases that were searched.
    """
    if not best:
        return Evidence()
    head = best[:JUDGED_PASSAGES]
    rest = best[1 : JUDGED_PASSAGES + 1]
    cosines = [each.cosine for each in head if each.cosine is not None]
    found = Evidence(
        bm25_share=max(each.bm25_share for each in head),
        idf_coverage=max(each.coverage for each in head),
        cosine=max(cosines, default=0.0),
        margin=best[0].fused - (sum(each.fused for each in rest) / len(rest) if rest else 0.0),
        window=max(each.proximity.window for each in best[:READ_PASSAGES]),
        phrases=max(each.proximity.phrases for each in best[:READ_PASSAGES]),
        smallness=smallness(searched),
    )
    return _with_probability(found, ANSWER_WITH_COSINE if cosines else ANSWER_WITHOUT_COSINE)


def _with_probability(found: Evidence, weights: AnswerWeights) -> Evidence:
    total = (
        weights.bias
        + weights.bm25_share * found.bm25_share
        + weights.coverage * found.idf_coverage
        + weights.cosine * found.cosine
        + weights.margin * found.margin
        + weights.window * found.window
        + weights.phrases * found.phrases
        + weights.smallness * found.smallness
    )
    return replace(found, answerable=_logistic(total))


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, value))))
