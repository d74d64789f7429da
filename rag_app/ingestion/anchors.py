"""Finds a marked stretch again in another text: by its words, by what stood around it, or not at all."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cached_property
from typing import Literal

AROUND_CHARS = 160  # how much before and behind a stretch is remembered
TOLERANCE = 0.75
"""Share of a stretch's words that must still stand there, in order, for it to count as the same stretch."""
CLEARLY_BETTER = 0.15
"""By how much the best place must fit better than the next one; otherwise the stretch is ambiguous."""
ENOUGH_WORDS = 6
"""A stretch with fewer words says too little by itself: what stands around it must fit, too."""
ENOUGH_AROUND = 0.5
"""How much of the surroundings must fit where they have to."""
MOST_PLACES = 400  # where the very words stand
MOST_GUESSES = 12  # where most of them may stand
LONGEST_STRETCH = 10_000  # characters
# Scripts that put no space between words are taken character by character.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
_GRAM = 2  # words in a row that may begin a comparison

Reason = Literal["not_found", "ambiguous", "changed"]


@dataclass(frozen=True, slots=True)
class Anchor:
    """A stretch of a text: its words, what stood before and behind it, and where it stood (code points)."""

    quote: str
    prefix: str
    suffix: str
    position: int
    # Of the other stretches like it in its text: how many words directly before and behind them were the same as
    # beside this one, at most. None: there was nothing like it.
    likes: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where an anchor was found. `is_exact` = word for word."""

    char_from: int
    char_to: int
    is_exact: bool


class Words:
    """The words of a text with their places, folded so that case, space and marks between words do not count."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        """Where each word stands."""
        return [found.span() for found in _WORD.finditer(self.text)]

    @cached_property
    def words(self) -> list[str]:
        """The words, folded."""
        return [word.casefold() for word in _WORD.findall(self.text)]

    @cached_property
    def _index(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        for number, word in enumerate(self.words):
            found[word].append(number)
        return found

    def places(self, run: Sequence[str]) -> list[int]:
        """The numbers of the words at which this run of words begins."""
        rarest = min(range(len(run)), key=lambda number: len(self._index.get(run[number], ())))
        starts = (place - rarest for place in self._index.get(run[rarest], ()))
        return [start for start in starts if start >= 0 and self.words[start : start + len(run)] == list(run)]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Words `first` to `last` (exclusive) of the text."""

    first: int
    last: int
    likeness: float  # of the stretch, 0..1
    around: float  # of what stands before and behind it, 0..1
    beside: tuple[int, int]  # how many words directly before and behind it are the same

    @property
    def score(self) -> float:
        return self.likeness + self.around


def whole_words(text: str, char_from: int, char_to: int) -> tuple[int, int] | None:
    """The span without space at its ends, widened to whole words; None when it holds no word."""
    found = [each.span() for each in _WORD.finditer(text, max(0, char_from - 1000), min(len(text), char_to + 1000))]
    touched = [span for span in found if span[0] < char_to and span[1] > char_from]
    if not touched:
        return None
    stretch = text[char_from:char_to]
    low = char_from + len(stretch) - len(stretch.lstrip())
    high = char_to - (len(stretch) - len(stretch.rstrip()))
    return min(low, touched[0][0]), max(high, touched[-1][1])


def make_anchor(words: Words, char_from: int, char_to: int) -> Anchor:
    """Remember a stretch of this text."""
    text = words.text
    anchor = Anchor(
        quote=text[char_from:char_to],
        prefix=text[max(0, char_from - AROUND_CHARS) : char_from],
        suffix=text[char_to : char_to + AROUND_CHARS],
        position=char_from,
    )
    quote, context = _folded(anchor.quote), _Context(anchor)
    likes = [*_exact(quote, words, context), *_alike(quote, words, _Context(replace(anchor, prefix="", suffix="")))]
    others = [each for each in likes if each.likeness >= TOLERANCE and not _covers(words, each, char_from, char_to)]
    if not others:
        return anchor
    there = [context.candidate(words, each.first, each.last, 1.0).beside for each in others]
    return replace(anchor, likes=(max(before for before, _ in there), max(behind for _, behind in there)))


def _covers(words: Words, found: _Candidate, char_from: int, char_to: int) -> bool:
    return words.spans[found.first][0] < char_to and words.spans[found.last - 1][1] > char_from


def find(anchor: Anchor, words: Words) -> Place | Reason:
    """Where the stretch stands in this text, or why that cannot be said.

    Word for word with all that stood around it: there. Else it is where at least TOLERANCE of its words stand in
    order and no other place fits nearly as well. What stands around it must fit by ENOUGH_AROUND when the stretch is
    short or no longer word for word. One of several alike must be word for word, and the words beside it must be the
    same further on both sides than they were for any of its likes. Case, space and marks between words do not count.
    """
    framed = _framed(anchor, words.text)
    if framed is not None:
        return framed
    quote = _folded(anchor.quote)
    if not quote:
        return "not_found"
    context = _Context(anchor)
    candidates = _exact(quote, words, context) or ([] if anchor.likes else _alike(quote, words, context))
    good = [each for each in candidates if _is_good(each, anchor, len(quote))]
    if not good:
        return "not_found"
    best = max(good, key=lambda each: each.score)
    rivals = [each for each in good if each.first >= best.last or each.last <= best.first]
    if len(candidates) >= MOST_PLACES or any(best.score - each.score < CLEARLY_BETTER for each in rivals):
        return "ambiguous"
    return _place(anchor, best, words)


def _framed(anchor: Anchor, text: str) -> Place | None:
    """The one place that has the stretch and all that stood around it, to the letter."""
    frame = f"{anchor.prefix}{anchor.quote}{anchor.suffix}"
    if len(anchor.prefix) < AROUND_CHARS and len(anchor.suffix) < AROUND_CHARS and text != frame:
        return None
    place = text.find(frame)
    if place < 0 or text.find(frame, place + 1) >= 0:
        return None
    start = place + len(anchor.prefix)
    return Place(start, start + len(anchor.quote), is_exact=True)


def same_numbers(anchor: Anchor, text: str, place: Place) -> bool:
    """Whether the figures in a stretch are those it had: a correction of other figures corrects something else."""
    shown = text[place.char_from : place.char_to]
    return _numbers(anchor.quote) == _numbers(shown)


def _numbers(text: str) -> list[str]:
    return [word for word in _WORD.findall(text) if any(char.isdigit() for char in word)]


def _is_good(candidate: _Candidate, anchor: Anchor, size: int) -> bool:
    if candidate.likeness < TOLERANCE:
        return False
    if anchor.likes:
        further = all(here > there for here, there in zip(candidate.beside, anchor.likes, strict=True))
        return further and candidate.around >= ENOUGH_AROUND
    says_enough = size >= ENOUGH_WORDS and candidate.likeness == 1.0
    return says_enough or candidate.around >= ENOUGH_AROUND


def _folded(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


class _Context:
    """What stood around a stretch, as words: the nearer, the more it counts."""

    def __init__(self, anchor: Anchor) -> None:
        self.before = _inner(anchor.prefix, at_end=False)[::-1]
        self.behind = _inner(anchor.suffix, at_end=True)

    def candidate(self, words: Words, first: int, last: int, likeness: float) -> _Candidate:
        """Words `first` to `last` with how alike their surroundings are; the better side counts most."""
        there_before = words.words[max(0, first - 2 * len(self.before) - 2) : first][::-1]
        there_behind = words.words[last : last + 2 * len(self.behind) + 2]
        before, behind = _alike_share(self.before, there_before), _alike_share(self.behind, there_behind)
        around = 0.6 * max(before, behind) + 0.4 * min(before, behind)
        beside = _same_start(self.before, there_before), _same_start(self.behind, there_behind)
        return _Candidate(first, last, likeness, around, beside)


def _inner(text: str, *, at_end: bool) -> list[str]:
    """The words of a surrounding that are not cut in half at its far end."""
    found = _folded(text)
    if len(text) < AROUND_CHARS or not found:
        return found
    return found[:-1] if at_end else found[1:]


def _alike_share(wanted: Sequence[str], there: Sequence[str]) -> float:
    """Share of the wanted words that stand there in order. A text that begins or ends here wants nothing there."""
    if not wanted:
        return 1.0 if not there else 0.0
    matcher = SequenceMatcher(None, wanted, there, autojunk=False)
    total = sum(1.0 / (1 + number / 8) for number in range(len(wanted)))
    same = sum(
        1.0 / (1 + number / 8)
        for block in matcher.get_matching_blocks()
        for number in range(block.a, block.a + block.size)
    )
    return same / total


def _same_start(wanted: Sequence[str], there: Sequence[str]) -> int:
    """How many of the first words are the same; the end of the text counts as one, too."""
    pairs = zip([*wanted, ""], [*there, ""], strict=False)
    return next((number for number, (mine, its) in enumerate(pairs) if mine != its), min(len(wanted), len(there)) + 1)


def _exact(quote: Sequence[str], words: Words, context: _Context) -> list[_Candidate]:
    return [context.candidate(words, start, start + len(quote), 1.0) for start in words.places(quote)[:MOST_PLACES]]


def _alike(quote: Sequence[str], words: Words, context: _Context) -> list[_Candidate]:
    """Places that hold most of the words, each stretched over what the surroundings leave between them."""
    if not quote:
        return []
    candidates = []
    for start in _guesses(quote, words):
        low = max(0, start - len(context.before) - len(quote) // 2)
        high = min(len(words.words), start + len(quote) + len(quote) // 2 + len(context.behind) + 1)
        found = _aligned(quote, words, context, window=(low, high))
        if found is not None:
            candidates.append(found)
    return list({(each.first, each.last): each for each in candidates}.values())


def _guesses(quote: Sequence[str], words: Words) -> Iterator[int]:
    """Numbers of words at which the stretch may begin: where several of its runs of words agree."""
    size = min(_GRAM, len(quote))
    votes: dict[int, int] = defaultdict(int)
    bucket = max(2, len(quote) // 4)
    for here in range(len(quote) - size + 1):
        for there in words.places(quote[here : here + size])[:MOST_PLACES]:
            votes[max(0, there - here) // bucket] += 1
    best = sorted(votes, key=lambda each: (-votes[each], each))[:MOST_GUESSES]
    most = votes[best[0]] if best else 0
    yield from (each * bucket for each in best if votes[each] * 3 >= most)


def _aligned(quote: Sequence[str], words: Words, context: _Context, *, window: tuple[int, int]) -> _Candidate | None:
    low, high = window
    before = context.before[::-1]
    wanted = [*before, *quote, *context.behind]
    matcher = SequenceMatcher(None, wanted, words.words[low:high], autojunk=False)
    begin, end = len(before), len(before) + len(quote)
    pairs = [
        (block.a + step, low + block.b + step) for block in matcher.get_matching_blocks() for step in range(block.size)
    ]
    inside = [there for here, there in pairs if begin <= here < end]
    if not inside:
        return None
    first, last = inside[0], inside[-1] + 1
    # Words at the edges that were exchanged belong to the stretch as far as its surroundings are in place.
    if (begin - 1) in {here for here, _ in pairs}:
        first = next(there for here, there in pairs if here == begin - 1) + 1
    if end in {here for here, _ in pairs}:
        last = next(there for here, there in pairs if here == end)
    kept = len(inside) / max(len(quote), last - first)
    return context.candidate(words, first, last, kept)


def _place(anchor: Anchor, found: _Candidate, words: Words) -> Place:
    start, end = words.spans[found.first][0], words.spans[found.last - 1][1]
    is_exact = found.likeness == 1.0
    # Marks at the edges of the quote belong to it: brackets, quotation marks, the full stop.
    lead = re.match(r"[^\w\s]*", anchor.quote.lstrip())
    tail = re.search(r"[^\w\s]*$", anchor.quote.rstrip())
    if lead and lead.group() and words.text.endswith(lead.group(), 0, start):
        start -= len(lead.group())
    if tail and tail.group() and words.text.startswith(tail.group(), end):
        end += len(tail.group())
    return Place(start, end, is_exact)
