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


@dataclass(frozen=True, slots=True)
class Wanted:
    """The question's terms as passages are compared with them."""

    terms: Mapping[str, float]  # those that count -> idf
    pairs: Mapping[tuple[str, str], float]  # of neighbouring terms -> weight
    total: float  # of the terms
    total_of_pairs: float


def wanted(asked: Sequence[str], idf: Mapping[str, float]) -> Wanted:
    """The question's terms, in their order, made ready for any number of passages."""
    terms = {term: idf[term] for term in asked if idf.get(term, 0.0) > 0}
    # A pair with an unknown term weighs nothing, so the pairs among the hits are all that count.
    pairs = {pair: min(terms[pair[0]], terms[pair[1]]) for pair in pairwise(asked) if terms.keys() >= set(pair)}
    return Wanted(terms, pairs, sum(terms.values()), sum(pairs.values()))


def proximity(question: Wanted, *, text: str, language: str) -> Proximity:
    """Compare the question's terms with a passage's text."""
    if not question.total:
        return Proximity()
    terms = terms_of(text, language)[:LONGEST]
    hits = [(place, term) for place, term in enumerate(terms) if term in question.terms]
    return Proximity(_best_window(hits, question.terms) / question.total, _phrases(hits, question))


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


def _phrases(hits: Sequence[tuple[int, str]], question: Wanted) -> float:
    if not question.total_of_pairs:
        return 0.0
    there = {(first, second) for (one, first), (next_one, second) in pairwise(hits) if next_one == one + 1}
    return sum(weight for pair, weight in question.pairs.items() if pair in there) / question.total_of_pairs
