"""Answers without a model: picks the sentences of the passages that answer a question best."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rag_app.chat.quotable import Quotable, quotables
from rag_app.chat.relevance import WEIGHTS, Candidate, Numbers, Vectors, features
from rag_app.retrieval.passages import Passage, SearchResult

MOST_SENTENCES = 3
PASSAGES = 8  # of the passages found, how many are read
GAP = 4.0  # a sentence whose score lies further below the best one is left out
_SHORTEST = 12  # characters of a sentence worth quoting; fewer where words are written without spaces
_SHORTEST_UNSPACED = 5
_QUESTION = re.compile(r"""[?？]["'”’»)\]*_ ]*$""")
_INTRODUCTION = re.compile(r"""[:：]["'”’»)\]*_ ]*$""")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


@dataclass(frozen=True, slots=True)
class Selected:
    """A stretch chosen for the answer, `passages[passage].text[quote.span.start:quote.span.end]`, with its score."""

    passage: int
    quote: Quotable
    score: float


def candidates(passages: Sequence[Passage]) -> list[Candidate]:
    """Everything worth quoting of the best passages, in the order found; the same words count once.

    A question answers none, and a sentence that only introduces a table says nothing without its rows.
    """
    found = []
    seen: set[str] = set()
    hollow: set[int] = set()
    for index, passage in enumerate(passages[:PASSAGES]):
        quotes = quotables(passage.text, f"{passage.title} › {passage.heading}")
        for quote, following in zip(quotes, [*quotes[1:], None], strict=True):
            text = passage.text[quote.span.start : quote.span.end]
            shortest = _SHORTEST_UNSPACED if _UNSPACED.search(text) else _SHORTEST
            if len(text) >= shortest and text not in seen:
                seen.add(text)
                found.append(Candidate(index, quote, text))
                if _QUESTION.search(text) or (following and following.kind == "row" and _INTRODUCTION.search(text)):
                    hollow.add(len(found) - 1)
    return [each for at, each in enumerate(found) if at not in hollow] or found


def select(
    question: str, result: SearchResult, *, vectors: Vectors | None = None, language: str = ""
) -> tuple[Selected, ...]:
    """At most MOST_SENTENCES sentences: the best first, then the others in reading order.

    `vectors`: one row for each text of `relevance.texts_to_embed(question, candidates(result.passages))`; without
    them similarity of meaning plays no part. `language` is that of the passages, "" = as they say themselves.
    """
    found = candidates(result.passages)
    if not found:
        return ()
    scores = features(question, result, found, vectors=vectors, language=language) @ np.array(WEIGHTS)
    best, *others = chosen(found, scores)
    reading = sorted(others, key=lambda at: (found[at].passage, found[at].quote.span.start))
    return tuple(Selected(found[at].passage, found[at].quote, float(scores[at])) for at in (best, *reading))


def chosen(found: Sequence[Candidate], scores: Numbers) -> list[int]:
    """The at most MOST_SENTENCES places of what is quoted, best first: close to the best, none inside another."""
    order = [int(at) for at in np.argsort(-scores, kind="stable")]
    kept: list[int] = []
    for at in order:
        if len(kept) == MOST_SENTENCES or scores[order[0]] - scores[at] > GAP:
            break
        if not any(_overlap(found[at], found[other]) for other in kept):
            kept.append(at)
    return kept


def _overlap(one: Candidate, other: Candidate) -> bool:
    mine, its = one.quote.span, other.quote.span
    return one.passage == other.passage and mine.start < its.end and its.start < mine.end
