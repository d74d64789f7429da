"""Joins hits that stand side by side in one version, so that the reader gets one longer slice instead of two pieces."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from uuid import UUID

from rag_app.retrieval.candidates import Found
from rag_app.retrieval.places import joined_all
from rag_app.retrieval.reader import Reader, integers, uuids

MOST_JOINED = 3
LONGEST_TEXT = 4_000


def group(ranked: Sequence[Found], *, limit: int) -> list[list[Found]]:
    """At most `limit` groups, best first; the first of a group is its best hit and gives the group its place.

    A hit joins an earlier group when it directly precedes or follows it in the same version and the group stays short.
    Only hits that would be shown anyway are looked at: the first `limit` ones and what follows until the list is full.
    """
    groups: list[list[Found]] = []
    for each in ranked:
        home = next((mates for mates in groups if _belongs(each, mates)), None)
        if home is not None:
            home.append(each)
        elif len(groups) < limit:
            groups.append([each])
        else:
            break
    return groups


def _belongs(hit: Found, mates: Sequence[Found]) -> bool:
    if hit.version_id != mates[0].version_id or len(mates) >= MOST_JOINED:
        return False
    ordinals = [mate.ordinal for mate in mates]
    if hit.ordinal not in (min(ordinals) - 1, max(ordinals) + 1):
        return False
    low = min(hit.char_from, *(mate.char_from for mate in mates))
    high = max(hit.char_to, *(mate.char_to for mate in mates))
    return high - low <= LONGEST_TEXT


async def join(reader: Reader, groups: Sequence[Sequence[Found]]) -> list[Found]:
    """One hit per group: the best one, widened to the slice of the version that the whole group covers."""
    gaps = await _gaps(reader, groups)
    return [_widened(mates, gaps) for mates in groups]


def _widened(mates: Sequence[Found], gaps: dict[tuple[UUID, int], str]) -> Found:
    best = mates[0]
    if len(mates) == 1:
        return best
    in_order = sorted(mates, key=lambda mate: mate.char_from)
    shown = in_order[0].text
    for before, after in pairwise(in_order):
        shared = max(0, before.char_to - after.char_from)  # of passages that overlap
        shown += gaps.get((before.version_id, before.char_to), "") + after.text[shared:]
    pages_from = [mate.page_from for mate in mates if mate.page_from is not None]
    pages_to = [mate.page_to for mate in mates if mate.page_to is not None]
    return replace(
        best,
        text=shown,
        char_from=in_order[0].char_from,
        char_to=in_order[-1].char_to,
        page_from=min(pages_from, default=None),
        page_to=max(pages_to, default=None),
        place=joined_all([mate.place for mate in in_order]),
    )


async def _gaps(reader: Reader, groups: Sequence[Sequence[Found]]) -> dict[tuple[UUID, int], str]:
    """What stands between two joined passages (blank lines), from the text of their version."""
    wanted: list[tuple[UUID, UUID, int, int]] = []
    for mates in groups:
        in_order = sorted(mates, key=lambda mate: mate.char_from)
        for before, after in pairwise(in_order):
            if after.char_from > before.char_to:
                gap = (before.knowledge_base_id, before.version_id, before.char_to, after.char_from - before.char_to)
                wanted.append(gap)
    if not wanted:
        return {}
    kbs, versions, starts, lengths = zip(*wanted, strict=True)
    values = {
        "kbs": uuids(kbs), "versions": uuids(versions), "starts": integers(starts), "lengths": integers(lengths)
    }  # fmt: skip
    return {(version, start): gap for version, start, gap in await reader.rows(_GAPS, values)}


_GAPS = b"""
    SELECT w.version_id, w.start, substr(v.text, w.start + 1, w.length) AS gap
    FROM unnest(CAST(%(kbs)s AS uuid[]), CAST(%(versions)s AS uuid[]), CAST(%(starts)s AS integer[]),
                CAST(%(lengths)s AS integer[])) AS w (kb, version_id, start, length)
    JOIN versions v ON v.knowledge_base_id = w.kb AND v.id = w.version_id
"""
