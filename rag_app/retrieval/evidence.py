"""How likely it is that what was found answers the question, from features that carry over between knowledge bases.

The weights are fitted by `python -m bench.calibrate`; docs/retrieval.md has the figures.
"""

import math
from dataclasses import dataclass

from rag_app.retrieval.passages import Evidence


@dataclass(frozen=True, slots=True)
class Features:
    """Normalised facts about one passage and the question."""

    bm25_share: float  # BM25 / sum of the question's idf, 0..1
    coverage: float  # idf-weighted share of the question's terms that stand in it, 0..1
    cosine: float | None


@dataclass(frozen=True, slots=True)
class Weights:
    """A logistic model over Features."""

    bias: float
    bm25_share: float
    coverage: float
    cosine: float


WITH_COSINE = Weights(bias=-6.0, bm25_share=6.0, coverage=3.0, cosine=4.0)
WITHOUT_COSINE = Weights(bias=-4.5, bm25_share=7.0, coverage=4.0, cosine=0.0)


def relevance(features: Features) -> float:
    """Calibrated probability 0..1 that this passage answers the question."""
    weights = WITHOUT_COSINE if features.cosine is None else WITH_COSINE
    total = (
        weights.bias
        + weights.bm25_share * features.bm25_share
        + weights.coverage * features.coverage
        + weights.cosine * (features.cosine or 0.0)
    )
    return 1 / (1 + math.exp(-total))


def judge(best: list[Features], fused: list[float], *, coverage: float) -> Evidence:
    """Evidence from the best passages, best first, their fused scores, and the idf coverage of them together."""
    if not best:
        return Evidence()
    head = best[:5]
    rest = fused[1:6]
    cosines = [each.cosine for each in head if each.cosine is not None]
    top = Features(
        max(each.bm25_share for each in head), max(each.coverage for each in head), max(cosines, default=None)
    )
    return Evidence(
        bm25_share=top.bm25_share,
        idf_coverage=coverage,
        cosine=top.cosine or 0.0,
        margin=fused[0] - (sum(rest) / len(rest) if rest else 0.0),
        answerable=relevance(top),
    )
