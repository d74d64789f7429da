"""Cuts a parsed document into passages: within sections, at the best places, close to the wanted size."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise, takewhile

import numpy as np

from rag_app.ingestion.draft import one_line
from rag_app.ingestion.parsed import Cut, PageSpan, ParsedDocument
from rag_app.ingestion.pieces import Piece, pieces_of, weight
from rag_app.retrieval.places import place_of

_QUARTERS = 4  # weights are quarter tokens
_SMALL_SHARE = 0.4  # of the wanted size; smaller groups look for a neighbour
_TINY_PRICE = 0.5
_WIDE = 48  # places from which numpy is quicker
_HEADING_CHARS = 200
_TABLE_HEADER_CHARS = 600
_DEEPEST = 9
_CHARS_AT_MOST = 8  # to a token: a longer text is not looked at, even if it is mostly white space
SEPARATOR = " › "


@dataclass(frozen=True, slots=True)
class _Section:
    """Pieces `first` to `last` (exclusive) under one heading."""

    level: int
    path: tuple[str, ...]
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class _Group:
    """Pieces that make one passage, and the heading path that all of them share."""

    first: int
    last: int
    level: int  # of the section it begins with
    path: tuple[str, ...]


def cut(
    parsed: ParsedDocument,
    *,
    target_tokens: int = 220,
    max_tokens: int = 300,
    whole_tokens: int = 512,
    overlap_tokens: int = 0,
) -> list[Cut]:
    """Passages in order that cover all text but white space; none exceeds `max_tokens`, and the overlap beside it.

    With `overlap_tokens` a passage begins with as many whole pieces of the one before, as long as both stand under
    the same headings.

    But a document of at most `whole_tokens` with one section stays one passage: it is about one thing. No passage
    reaches over a heading of level 1. Sections that are small are joined with their neighbours under the same parent,
    large ones are cut where it harms least. The same document always gives the same cuts.
    """
    if (whole := _whole(parsed, whole_tokens)) is not None:
        return [whole]
    pieces = list(pieces_of(parsed, max_tokens=max_tokens))
    if not pieces:
        return []
    cutter = _Cutter(parsed.text, pieces, target_tokens * _QUARTERS, max_tokens * _QUARTERS)
    sections = _sections(parsed.text, pieces)
    groups = cutter.groups(sections)
    if len(sections) == 1 and cutter.size <= whole_tokens * _QUARTERS:
        groups = [_Group(0, len(pieces), sections[0].level, sections[0].path)]
    if overlap_tokens:
        groups = cutter.overlapping(groups, overlap_tokens * _QUARTERS)
    starts = [page.char_from for page in parsed.pages]
    places = [(span.char_from, span.char_to, span.place) for span in parsed.places]
    cuts = [_finish(parsed, pieces, group, number, starts) for number, group in enumerate(groups)]
    return [
        replace(each, place=place_of(places, parsed.text, char_from=each.char_from, char_to=each.char_to))
        if places
        else each
        for each in cuts
    ]


def _whole(parsed: ParsedDocument, most_tokens: int) -> Cut | None:
    """The one passage of a short document without headings, without looking for pieces; None for any other."""
    if len(parsed.text) > most_tokens * _CHARS_AT_MOST or any(each.kind == "heading" for each in parsed.blocks):
        return None
    text = parsed.text
    start, end = len(text) - len(text.lstrip()), len(text.rstrip())
    if parsed.pages or parsed.places or start >= end or weight(text[start:end]) > most_tokens * _QUARTERS:
        return None
    return Cut(0, start, end, "", parsed.title, None, None)


def _sections(text: str, pieces: Sequence[Piece]) -> list[_Section]:
    """One section per heading. A heading with nothing under it but a deeper heading goes with that one."""
    sections: list[_Section] = []
    stack: list[tuple[int, str]] = []
    first, level, only_heading = 0, 0, False
    previous = None
    for number, piece in enumerate(pieces):
        is_heading = piece.block.kind == "heading"
        if is_heading and piece.block is not previous:
            depth = min(_DEEPEST, max(1, piece.block.level))
            if number and not (only_heading and depth > level):
                sections.append(_Section(level, tuple(name for _, name in stack), first, number))
                first = number
            if not (only_heading and depth > level):
                level = depth
            while stack and stack[-1][0] >= depth:
                stack.pop()
            stack.append((depth, _heading_text(text, piece)))
            only_heading = True
        elif not is_heading:
            only_heading = False
        previous = piece.block
    sections.append(_Section(level, tuple(name for _, name in stack), first, len(pieces)))
    return sections


def _heading_text(text: str, piece: Piece) -> str:
    """The words of a heading, without Markdown marks and underlines."""
    lines = [one_line(line.strip().strip("#").strip("*_` ")) for line in text[piece.start : piece.end].split("\n")]
    return " ".join(line for line in lines if line.strip("=-~^#* "))[:_HEADING_CHARS] or one_line(
        text[piece.start : piece.end]
    )


class _Cutter:
    """Decides which pieces go together."""

    def __init__(self, text: str, pieces: Sequence[Piece], target: int, limit: int) -> None:
        self._pieces = pieces
        self._target = target
        self._limit = limit
        spans = zip([0, *(piece.end for piece in pieces)], pieces, strict=False)
        weights = [
            (weight(text[before : piece.start]), weight(text[piece.start : piece.end])) for before, piece in spans
        ]
        self._ends = list(accumulate(gap + own for gap, own in weights))
        self._starts = [end - own for end, (_, own) in zip(self._ends, weights, strict=True)]

    @property
    def size(self) -> int:
        """Weight of the whole text."""
        return self._size(0, len(self._pieces))

    def groups(self, sections: Sequence[_Section]) -> list[_Group]:
        """All groups in order."""
        tops = [number for number, section in enumerate(sections) if number and section.level <= 1]
        found: list[_Group] = []
        for low, high in zip([0, *tops], [*tops, len(sections)], strict=True):
            found.extend(self._pack(sections, low, high))
        return found

    def overlapping(self, groups: Sequence[_Group], most: int) -> list[_Group]:
        """The groups, each begun a little earlier: with what fits into `most` of the one before, if it has its path."""
        found = list(groups[:1])
        for before, group in pairwise(groups):
            first = group.first
            while first - 1 > before.first and before.path == group.path and self._size(first - 1, group.first) <= most:
                first -= 1
            found.append(replace(group, first=first))
        return found

    def _size(self, first: int, last: int) -> int:
        return self._ends[last - 1] - self._starts[first]

    def _pack(self, sections: Sequence[_Section], low: int, high: int) -> list[_Group]:
        """Groups of one section (`low`) and of the deeper ones that follow it up to `high`."""
        section = sections[low]
        if self._size(section.first, sections[high - 1].last) <= self._limit:
            return [_Group(section.first, sections[high - 1].last, section.level, _shared(sections[low:high]))]
        groups = self._partition(section)
        child = low + 1
        while child < high:
            after = child + 1
            while after < high and sections[after].level > sections[child].level:
                after += 1
            groups.extend(self._pack(sections, child, after))
            child = after
        return self._joined(groups)

    def _joined(self, groups: Sequence[_Group]) -> list[_Group]:
        """Small groups joined with the one before or after, as far as both fit into one passage."""
        small = self._target * _SMALL_SHARE
        joined: list[_Group] = []
        for group in groups:
            last = joined[-1] if joined else None
            if (
                last
                and self._size(last.first, group.last) <= self._limit
                and (self._size(last.first, last.last) < small or self._size(group.first, group.last) < small)
            ):
                joined[-1] = _Group(last.first, group.last, last.level, _common(last.path, group.path))
            else:
                joined.append(group)
        return joined

    def _partition(self, section: _Section) -> list[_Group]:
        """The cheapest way to cut one section: sizes near the target, cuts at good places (dynamic programme)."""
        first, last = section.first, section.last
        best = [0.0] + [float("inf")] * (last - first)
        origin = [first] * (last - first + 1)
        wide: _Wide | None = None
        for end in range(first + 1, last + 1):
            low = bisect_left(self._starts, self._ends[end - 1] - self._limit, first, end - 1)
            if end - low >= _WIDE:
                wide = wide or _Wide(self._starts, self._pieces, section, self._target)
                best[end - first], origin[end - first] = wide.cheapest(best, low, end, self._ends[end - 1])
                continue
            for start in range(end - 1, low - 1, -1):
                size = self._size(start, end)
                price = best[start - first] + self._price(size) + (self._pieces[start].price if start > first else 0.0)
                if price < best[end - first]:
                    best[end - first], origin[end - first] = price, start
        groups: list[_Group] = []
        end = last
        while end > first:
            start = origin[end - first]
            groups.append(_Group(start, end, section.level, section.path))
            end = start
        return groups[::-1]

    def _price(self, size: int) -> float:
        away = (size - self._target) / self._target
        return away * away + (_TINY_PRICE if size < self._target * _SMALL_SHARE else 0.0)


class _Wide:
    """The same choice where a passage may begin at very many places (words one below the other, a text of points)."""

    def __init__(self, starts: Sequence[int], pieces: Sequence[Piece], section: _Section, target: int) -> None:
        self._first, self._target = section.first, target
        self._starts = np.array(starts[section.first : section.last], dtype=np.float64)
        self._prices = np.array([piece.price for piece in pieces[section.first : section.last]])
        self._prices[0] = 0.0
        self._best = np.zeros(section.last - section.first)
        self._known = 0

    def cheapest(self, best: Sequence[float], low: int, end: int, end_weight: int) -> tuple[float, int]:
        """The lowest price of what ends before `end`, and where its last group begins, not before `low`."""
        self._best[self._known : end - self._first] = best[self._known : end - self._first]
        self._known = end - self._first
        window = slice(low - self._first, end - self._first)
        sizes = end_weight - self._starts[window]
        away = (sizes - self._target) / self._target
        prices = self._best[window] + (away * away + np.where(sizes < self._target * _SMALL_SHARE, _TINY_PRICE, 0.0))
        prices += self._prices[window]
        chosen = len(prices) - 1 - int(np.argmin(prices[::-1]))  # of equal ones the latest
        return float(prices[chosen]), low + chosen


def _shared(sections: Sequence[_Section]) -> tuple[str, ...]:
    path = sections[0].path
    for section in sections[1:]:
        path = _common(path, section.path)
    return path


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(mine for mine, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _finish(parsed: ParsedDocument, pieces: Sequence[Piece], group: _Group, number: int, starts: list[int]) -> Cut:
    first, last = pieces[group.first], pieces[group.last - 1]
    heading = SEPARATOR.join(group.path)
    title = parsed.title if parsed.title and parsed.title != (group.path[0] if group.path else "") else ""
    lines = [title, heading, _table_header(parsed.text, first)]
    page_from, page_to = _pages(parsed.pages, starts, first.start, last.end)
    return Cut(number, first.start, last.end, heading, "\n".join(line for line in lines if line), page_from, page_to)


def _table_header(text: str, first: Piece) -> str:
    """The header of the table in whose middle a passage begins."""
    block = first.block
    if block.kind != "table" or not block.header_to or first.start < block.header_to:
        return ""
    lines = text[block.char_from : block.header_to].split("\n")
    shown = (
        " | ".join(cell.strip() for cell in line.strip().strip("|").split("|")) for line in lines if line.strip("|-: ")
    )
    return "\n".join(shown)[:_TABLE_HEADER_CHARS]


def _pages(pages: Sequence[PageSpan], starts: list[int], start: int, end: int) -> tuple[int | None, int | None]:
    """First and last page that a span touches; (None, None) in a document without pages."""
    if not pages:
        return None, None
    first = max(0, bisect_right(starts, start) - 1)
    # Pages without text share their start with the next one: a span belongs to the page that really holds it.
    while first < len(pages) - 1 and pages[first].char_to <= start:
        first += 1
    last = max(first, bisect_left(starts, end) - 1)
    while last > first and pages[last].char_to <= pages[last].char_from:
        last -= 1
    return pages[first].page, pages[last].page
