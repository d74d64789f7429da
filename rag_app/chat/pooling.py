"""Puts the passages of several searches into one list in which each search has its fair share."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import zip_longest

from rag_app.retrieval.passages import Evidence, Passage, SearchResult


def pool(results: Sequence[SearchResult], *, limit: int) -> SearchResult:
    """The best of each search in turn, each passage once, at most `limit`.

    Scores of different questions cannot be compared, places can: the first passage of each comes before the second
    of any. The evidence is that of the search which found most.
    """
    if len(results) == 1:
        return results[0]
    kept: list[Passage] = []
    for row in zip_longest(*(result.passages for result in results)):
        for passage in row:
            if passage is not None and len(kept) < limit and not any(_holds(other, passage) for other in kept):
                kept.append(passage)
    timings: defaultdict[str, float] = defaultdict(float)
    for result in results:
        for step, took_ms in result.timings_ms.items():
            timings[step] += took_ms
    return SearchResult(
        passages=tuple(kept),
        evidence=max((each.evidence for each in results), key=lambda each: each.answerable, default=Evidence()),
        warnings=tuple(dict.fromkeys(warning for result in results for warning in result.warnings)),
        timings_ms=dict(timings),
        idf={stem: idf for result in reversed(results) for stem, idf in result.idf.items()},
    )


def _holds(one: Passage, other: Passage) -> bool:
    """Whether all of the other one stands in this one."""
    return one.id == other.id or (
        one.version_id == other.version_id and one.char_from <= other.char_from and other.char_to <= one.char_to
    )
