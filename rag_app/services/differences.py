"""What changed between two texts: by lines or sentences first, then by words, within a bounded amount of work."""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Literal

from rag_app.ingestion.sentences import sentence_spans

MOST_CHARS = 5_000_000  # of each text; what follows is not compared
MOST_SHOWN = 200_000  # characters of all hunks together
MOST_WORK = 6_000_000  # pairs of units that may be held against each other, about two seconds at worst
LARGEST_GAP = 100_000  # pairs of units that are matched without landmarks
LONGEST_LINE = 300  # longer lines are compared by sentences
AROUND = 2  # unchanged units that are shown on each side of a change
_WORDS = re.compile(r"\w+|\s+|[^\w\s]")
_WORD = re.compile(r"\w+")

Kind = Literal["same", "removed", "added"]


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of one hunk."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Hunk:
    """A change with what stands around it. `old_from` and `new_from` are the offsets at which it begins."""

    old_from: int
    new_from: int
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class TextDiff:
    """All changes in order; no hunks = the texts are the same as far as they were compared."""

    hunks: tuple[Hunk, ...]
    added_words: int
    removed_words: int
    is_truncated: bool  # there are more changes than are shown, or a text is too long to be compared to its end
    is_coarse: bool  # some changes are larger than what really changed, because finding out would take too long


@dataclass(slots=True)
class _Budget:
    left: int = MOST_WORK
    is_spent: bool = False

    def take(self, work: int) -> bool:
        if work > LARGEST_GAP or work > self.left:
            self.is_spent = True
            return False
        self.left -= work
        return True


@dataclass(slots=True)
class _Change:
    """Units `old[a:b]` became `new[c:d]`."""

    a: int
    b: int
    c: int
    d: int


@dataclass(slots=True)
class _Shown:
    left: int = MOST_SHOWN
    is_truncated: bool = False
    added: int = 0
    removed: int = 0
    hunks: list[Hunk] = field(default_factory=list)


def diff_texts(old: str, new: str) -> TextDiff:
    """The changes that make `new` out of `old`. Pure and blocking, at most some seconds: call it in a thread."""
    cut = len(old) > MOST_CHARS or len(new) > MOST_CHARS
    old_units, new_units = _units(old[:MOST_CHARS]), _units(new[:MOST_CHARS])
    budget, shown = _Budget(), _Shown()
    changes = _changes([unit.strip() for unit in old_units], [unit.strip() for unit in new_units], budget)
    old_starts, new_starts = _starts(old_units), _starts(new_units)
    for group in _grouped(changes):
        if not any(_says_something(old_units, new_units, change) for change in group):
            continue
        segments = _segments(old_units, new_units, group, budget)
        shown.added += _words(segments, "added")
        shown.removed += _words(segments, "removed")
        size = sum(len(segment.text) for segment in segments)
        if size > shown.left:
            shown.is_truncated = True
            segments = _clipped(segments, shown.left)
        shown.left -= min(size, shown.left)
        if segments:
            lead = _lead(group, AROUND)
            shown.hunks.append(Hunk(old_starts[group[0].a - lead], new_starts[group[0].c - lead], segments))
    return TextDiff(tuple(shown.hunks), shown.added, shown.removed, cut or shown.is_truncated, budget.is_spent)


def _units(text: str) -> list[str]:
    """The text in pieces: lines with their ends, long lines in sentences with the space behind them."""
    pieces: list[str] = []
    for line in f"{text}\n".splitlines(keepends=True):
        if len(line) <= LONGEST_LINE:
            pieces.append(line)
            continue
        starts = [start for start, _ in sentence_spans(line, 0, len(line))] or [0]
        starts[0] = 0
        pieces.extend(line[start:end] for start, end in zip(starts, [*starts[1:], len(line)], strict=True))
    return pieces


def _starts(units: Sequence[str]) -> list[int]:
    places = [0]
    for unit in units:
        places.append(places[-1] + len(unit))
    return places


def _changes(old: Sequence[str], new: Sequence[str], budget: _Budget) -> list[_Change]:
    return list(_between(old, new, _Change(0, len(old), 0, len(new)), budget))


def _says_something(old: Sequence[str], new: Sequence[str], change: _Change) -> bool:
    return any(unit.strip() for unit in (*old[change.a : change.b], *new[change.c : change.d]))


def _between(old: Sequence[str], new: Sequence[str], span: _Change, budget: _Budget) -> Iterator[_Change]:
    """Changes within a span: its equal ends are left out, then it is divided at units that are unique in both."""
    waiting = [span]
    while waiting:
        part = _trimmed(old, new, waiting.pop())
        if part.a == part.b or part.c == part.d:
            if part.a < part.b or part.c < part.d:
                yield part
            continue
        marks = _landmarks(old[part.a : part.b], new[part.c : part.d])
        if marks:
            pairs = [(part.a + left, part.c + right) for left, right in marks]
            edges = [(part.a - 1, part.c - 1), *pairs, (part.b, part.d)]
            gaps = [_Change(x + 1, u, y + 1, v) for (x, y), (u, v) in pairwise(edges)]
            waiting.extend(reversed(gaps))
        elif budget.take((part.b - part.a) * (part.d - part.c)):
            matcher = SequenceMatcher(None, old[part.a : part.b], new[part.c : part.d], autojunk=False)
            for tag, a, b, c, d in matcher.get_opcodes():
                if tag != "equal":
                    yield _Change(part.a + a, part.a + b, part.c + c, part.c + d)
        else:
            yield part


def _trimmed(old: Sequence[str], new: Sequence[str], span: _Change) -> _Change:
    a, b, c, d = span.a, span.b, span.c, span.d
    while a < b and c < d and old[a] == new[c]:
        a, c = a + 1, c + 1
    while a < b and c < d and old[b - 1] == new[d - 1]:
        b, d = b - 1, d - 1
    return _Change(a, b, c, d)


def _landmarks(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of places of units that stand once in each, as many as can be had in the same order (patience diff)."""
    once_old = {unit for unit, times in Counter(old).items() if times == 1 and unit}
    once_new = {unit: 0 for unit, times in Counter(new).items() if times == 1 and unit in once_old}
    for place, unit in enumerate(new):
        if unit in once_new:
            once_new[unit] = place
    pairs = [(place, once_new[unit]) for place, unit in enumerate(old) if unit in once_new]
    tops: list[int] = []  # the smallest end of a rising run of each length
    ends: list[int] = []  # which pair that end is
    before: list[int] = []
    for number, (_, place) in enumerate(pairs):
        pile = bisect_left(tops, place)
        before.append(ends[pile - 1] if pile else -1)
        if pile == len(tops):
            tops.append(place)
            ends.append(number)
        else:
            tops[pile], ends[pile] = place, number
    run: list[tuple[int, int]] = []
    number = ends[-1] if ends else -1
    while number >= 0:
        run.append(pairs[number])
        number = before[number]
    return run[::-1]


def _grouped(changes: Sequence[_Change]) -> Iterator[list[_Change]]:
    """Changes that stand so close together that they are shown as one hunk."""
    group: list[_Change] = []
    for change in changes:
        if group and change.a - group[-1].b > 2 * AROUND:
            yield group
            group = []
        group.append(change)
    if group:
        yield group


def _lead(group: Sequence[_Change], wanted: int) -> int:
    return min(wanted, group[0].a, group[0].c)


def _segments(old: Sequence[str], new: Sequence[str], group: Sequence[_Change], budget: _Budget) -> tuple[Segment, ...]:
    found: list[Segment] = []
    place = group[0].c - _lead(group, AROUND)
    for change in group:
        _add(found, "same", "".join(new[place : change.c]))
        for kind, text in _word_changes("".join(old[change.a : change.b]), "".join(new[change.c : change.d]), budget):
            _add(found, kind, text)
        place = change.d
    _add(found, "same", "".join(new[place : place + AROUND]))
    return tuple(found)


def _word_changes(old: str, new: str, budget: _Budget) -> Iterator[tuple[Kind, str]]:
    if not old or not new:
        yield "removed", old
        yield "added", new
        return
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    place = 0
    for change in _between(before, after, _Change(0, len(before), 0, len(after)), budget):
        yield "same", "".join(after[place : change.c])
        yield "removed", "".join(before[change.a : change.b])
        yield "added", "".join(after[change.c : change.d])
        place = change.d
    yield "same", "".join(after[place:])


def _add(found: list[Segment], kind: Kind, text: str) -> None:
    if not text:
        return
    if found and found[-1].kind == kind:
        found[-1] = Segment(kind, found[-1].text + text)
    else:
        found.append(Segment(kind, text))


def _words(segments: Sequence[Segment], kind: Kind) -> int:
    return sum(len(_WORD.findall(segment.text)) for segment in segments if segment.kind == kind)


def _clipped(segments: Sequence[Segment], chars: int) -> tuple[Segment, ...]:
    kept: list[Segment] = []
    for segment in segments:
        if chars <= 0:
            break
        kept.append(Segment(segment.kind, segment.text[:chars]))
        chars -= len(segment.text)
    return tuple(kept)
