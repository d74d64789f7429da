"""Groups the words of a page into fragments (no wide gap inside) and lines, in the order of the file."""

import re
from dataclasses import dataclass, field
from itertools import zip_longest
from statistics import median
from typing import Protocol

from rag_app.ingestion.pdf_words import Word

_RTL = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_WIDE_GAP = 1.0  # of the font's height: wider than a space of justified text
_SAME_LINE = 0.5  # share of the smaller height that must overlap


@dataclass(slots=True)
class Fragment:
    """Words that stand beside each other on one line."""

    words: list[Word]
    x0: float
    x1: float
    top: float
    bottom: float
    number: int = 0  # place in the order of the file

    @property
    def text(self) -> str:
        """The words with single spaces."""
        return " ".join(word.text for word in self.words)

    @property
    def size(self) -> float:
        """Height of the font's box, the typical one."""
        return median(word.bottom - word.top for word in self.words)

    @property
    def middle(self) -> float:
        """Vertical middle."""
        return (self.top + self.bottom) / 2


@dataclass(slots=True)
class Line:
    """One line of running text."""

    text: str
    x0: float
    x1: float
    top: float
    bottom: float
    size: float
    bold: bool
    hyphen: bool
    words: int = field(default=0)


def fragments_of(words: list[Word]) -> list[Fragment]:
    """Fragments in the order of the file; a fragment ends where a line ends or a gap is wider than a space."""
    fragments: list[Fragment] = []
    current: Fragment | None = None
    for word in words:
        if current is not None and _continues(current, word):
            current.words.append(word)
            _grow(current, word)
        else:
            current = Fragment([word], word.x0, word.x1, word.top, word.bottom, len(fragments))
            fragments.append(current)
    return fragments


def _grow(fragment: Fragment, word: Word) -> None:
    # Comparisons instead of min and max: this runs for each word of each page.
    if word.x0 < fragment.x0:
        fragment.x0 = word.x0
    if word.x1 > fragment.x1:
        fragment.x1 = word.x1
    if word.top < fragment.top:
        fragment.top = word.top
    if word.bottom > fragment.bottom:
        fragment.bottom = word.bottom


def _continues(fragment: Fragment, word: Word) -> bool:
    last = fragment.words[-1]
    if not overlaps(last, word):
        return False
    size = min(last.bottom - last.top, word.bottom - word.top)
    gap = word.x0 - last.x1
    if -0.5 * size <= gap <= _WIDE_GAP * size:
        return True
    left_gap = last.x0 - word.x1
    return bool(-0.5 * size <= left_gap <= _WIDE_GAP * size and _RTL.search(word.text + last.text))


class _HasHeight(Protocol):
    top: float
    bottom: float


def overlaps(one: _HasHeight, other: _HasHeight) -> bool:
    """Whether two things lie on one line."""
    shared = min(one.bottom, other.bottom) - max(one.top, other.top)
    return shared > _SAME_LINE * min(one.bottom - one.top, other.bottom - other.top)


def joined(words: list[Word]) -> str:
    """The words with single spaces; a word broken over two lines is put together."""
    parts: list[str] = []
    for word, following in zip_longest(words, words[1:]):
        if following is not None and word.hyphen and following.text[:1].islower():
            parts.append(word.text[:-1])
        else:
            parts.append(word.text if following is None else word.text + " ")
    return "".join(parts)


def same_line(one: Fragment, other: Fragment) -> bool:
    """Whether `other` continues the line of `one` to the right, however wide the gap (to the left in RTL text)."""
    if not overlaps(one, other):
        return False
    return other.x0 >= one.x1 - 1 or (other.x1 <= one.x0 + 1 and bool(_RTL.search(other.words[0].text)))
