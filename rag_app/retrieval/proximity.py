"""How close together the question's words stand in a passage: in one window, and side by side as in the question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rag_app.retrieval.terms import terms_of

WINDOW = 20
"""Terms (stop words not counted): about one long sentence."""
LONGEST = 2_000
"""Terms of a passage that are looked at; passages are far shorter."""


@dataclass(frozen=True, slots=True)
class Proximity:
    """Both idf-weighted shares of the question, 0..1."""

    window: float = 0.0  # of its terms, in the best window
    phrases: float = 0.0  # of its pairs of neighbouring terms, in the passage in the same order


def proximity(asked: Sequence[str], idf: Mapping[str, float], *, text: str, language: str) -> Proximity:
    """Compare the question's terms, in their order, with a passage's text."""
    wanted = {term for term in asked if idf.get(term, 0.0) > 0}
    total = sum(idf[term] for term in wanted)
    if not total:
        return Proximity()
    terms = terms_of(text, language)[:LONGEST]
    hits = [(place, term) for place, term in enumerate(terms) if term in wanted]
    return Proximity(_best_window(hits, idf) / total, _phrases(asked, hits, idf))


def _best_window(hits: Sequence[tuple[int, str]], idf: Mapping[str, float]) -> float:
    """The largest sum of idf of distinct wanted terms within WINDOW terms; a window that slides over the hits."""
    inside: dict[str, int] = {}
    value = best = 0.0
    first = 0
    for place, term in hits:
        while place - hits[first][0] >= WINDOW:
            gone = hits[first][1]
            first += 1
            inside[gone] -= 1
            if not inside[gone]:
                value -= idf[gone]
        inside[term] = inside.get(term, 0) + 1
        if inside[term] == 1:
            value += idf[term]
        best = max(best, value)
    return best


def _phrases(asked: Sequence[str], hits: Sequence[tuple[int, str]], idf: Mapping[str, float]) -> float:
    pairs = {pair: min(idf.get(pair[0], 0.0), idf.get(pair[1], 0.0)) for pair in pairwise(asked)}
    total = sum(pairs.values())
    if not total:
        return 0.0
    # A pair with an unknown term weighs nothing, so the pairs among the hits are all that count.
    there = {(first, second) for (one, first), (next_one, second) in pairwise(hits) if next_one == one + 1}
    return sum(weight for pair, weight in pairs.items() if pair in there) / total
