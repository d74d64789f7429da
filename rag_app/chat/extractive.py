"""Answers without a model: picks the sentences of the passages that answer a question best."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rag_app.chat.relevance import WEIGHTS, Candidate, Vectors, features
from rag_app.chat.sentences import Span, split
from rag_app.retrieval.passages import Passage, SearchResult

MOST_SENTENCES = 3
PASSAGES = 8  # of the passages found, how many are read
GAP = 4.0  # a sentence whose score lies further below the best one is left out
_SHORTEST = 12  # characters of a sentence worth quoting; fewer where words are written without spaces
_SHORTEST_UNSPACED = 5
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")

_OWN_MARKERS = re.compile(r"\s*\[(?:\d+(?:[-–,]\s?\d+)*|(?<=[\w.,]\[)[a-z]|note \d+|citation needed)\]")
_MARKS = re.compile(r"^[ \t]*(?:#{1,6}|>|[-*•‣])[ \t]+|[*`|]+|~~|</?[a-zA-Z!][^<>]{0,200}>", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Selected:
    """A sentence chosen for the answer, `passages[passage].text[span.start:span.end]`, with its score."""

    passage: int
    span: Span
    score: float


def candidates(passages: Sequence[Passage]) -> list[Candidate]:
    """Every sentence worth quoting of the best passages, in the order found; the same words count once."""
    found = []
    seen: set[str] = set()
    for index, passage in enumerate(passages[:PASSAGES]):
        for span in split(passage.text):
            text = passage.text[span.start : span.end]
            shortest = _SHORTEST_UNSPACED if _UNSPACED.search(text) else _SHORTEST
            if len(text) >= shortest and text not in seen:
                seen.add(text)
                found.append(Candidate(index, span, text))
    return found


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
    order = [int(at) for at in np.argsort(-scores, kind="stable")[:MOST_SENTENCES]]
    best, *others = [at for at in order if scores[order[0]] - scores[at] <= GAP]
    reading = sorted(others, key=lambda at: (found[at].passage, found[at].span.start))
    return tuple(Selected(found[at].passage, found[at].span, float(scores[at])) for at in (best, *reading))


def shown_text(sentence: str) -> str:
    """A sentence as the answer shows it: on one line, without Markdown, HTML or bracketed numbers of its own."""
    bare = _OWN_MARKERS.sub("", sentence)
    return " ".join(_MARKS.sub(" ", bare).split()).replace("[", "(").replace("]", ")")
