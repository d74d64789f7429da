"""Puts the best candidates into the order of a reranker; one that fails or is late is left out and named."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from rag_app.errors import ProviderError, ProviderTimeout
from rag_app.retrieval.legs import Trace
from rag_app.retrieval.ranking import Judged

LATE = "rerank: the reranker did not answer in time; the order is the one without it"
FAILED = "rerank: the reranker did not answer; the order is the one without it"
LONGEST_TEXT = 4_000
"""Characters of a passage that a reranker is given, its title and headings before it."""

Score = Callable[[str, list[str]], Awaitable[Sequence[float | None]]]


@dataclass(frozen=True, slots=True)
class Reranker:
    """Scores how well texts answer a question; higher is better, None = no opinion. Raises ProviderError."""

    score: Score
    candidates: int  # how many of the best are given to it


@dataclass(frozen=True, slots=True)
class Reranked:
    """The new order, and how many of its first ones the reranker placed."""

    order: list[Judged]
    placed: int = 0


async def rerank(question: str, judged: Sequence[Judged], reranker: Reranker, *, trace: Trace) -> Reranked:
    """Those with a score first, best first; equal ones and the rest stay in the order they came in."""
    head = judged[: reranker.candidates]
    if len(head) < 2:
        return Reranked(list(judged))
    try:
        with trace.measure("rerank"):
            scores = await reranker.score(question, [text_of(each) for each in head])
    except ProviderTimeout:
        trace.warnings.append(LATE)
        return Reranked(list(judged))
    except ProviderError:
        trace.warnings.append(FAILED)
        return Reranked(list(judged))
    known = [(-score, place) for place, score in enumerate(scores[: len(head)]) if score is not None]
    first = [place for _, place in sorted(known)]
    placed = set(first)
    rest = [each for place, each in enumerate(judged) if place not in placed]
    return Reranked([*(judged[place] for place in first), *rest], len(first))


def text_of(judged: Judged) -> str:
    """A passage as a reranker reads it: where it stands, then its words."""
    found = judged.found
    place = " › ".join(part for part in (found.title, found.heading) if part)
    return f"{place}\n{found.text}"[:LONGEST_TEXT].strip()
