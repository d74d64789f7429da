"""What people have hidden or corrected, applied to how a text is cut: what remains is what may be found and quoted."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

from rag_app.ingestion.anchors import Anchor, Place, Reason, Words, find, same_numbers
from rag_app.ingestion.chunk import SEPARATOR
from rag_app.ingestion.parsed import Cut

_WORD = re.compile(r"\w+")
_LOOSE = " \t\n\r\f\v\u00a0.,;:!?)]}…»”’"  # what a stretch leaves hanging at the beginning of what follows it
_LONGEST_LABEL = 1_000  # characters of a line that may have become a heading or the header of a table
_CUT_LABEL = 150  # from this length on, a heading or header may have been cut short

EditKind = Literal["hide", "correct"]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Edit:
    """A stretch that somebody hid or corrected, as it was marked."""

    id: UUID
    kind: EditKind
    anchor: Anchor
    text_hash: bytes  # of the text it was marked in
    replacement: str  # what a correction says instead
    revision: int  # grows whenever somebody changes the edit


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an edit applies in one text, or why it does not."""

    edit_id: UUID
    span: Span | None
    reason: Reason | None = None
    replacement: str = ""


def hash_of(text: str) -> bytes:
    """What tells whether a text is the very one an edit was marked in."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def place_edits(text: str, edits: Sequence[Edit]) -> tuple[Placement, ...]:
    """Find each edit again in a text. Pure and blocking: call it in a thread for long texts."""
    if not edits:
        return ()
    words, digest = Words(text), hash_of(text)
    return tuple(_place(edit, words, digest) for edit in edits)


def _place(edit: Edit, words: Words, digest: bytes) -> Placement:
    start = edit.anchor.position
    if edit.text_hash == digest:
        return Placement(edit.id, (start, start + len(edit.anchor.quote)), None, edit.replacement)
    found = find(edit.anchor, words)
    if not isinstance(found, Place):
        return Placement(edit.id, None, found)
    if edit.kind == "correct" and not same_numbers(edit.anchor, words.text, found):
        return Placement(edit.id, None, "changed")
    return Placement(edit.id, (found.char_from, found.char_to), None, edit.replacement)


def apply_edits(text: str, cuts: Sequence[Cut], placements: Sequence[Placement]) -> tuple[Cut, ...]:
    """The cuts without the stretches that are hidden or corrected: each passage stays one slice of the text.

    A passage that holds such a stretch becomes what stands before and behind it. Headings, titles and table headers
    made of a line that is touched are no context any more, unless the correction says the same line. Between two
    passages with something taken out between them the ordinal skips a number, so that nothing joins them. Pure.
    """
    spans = _merged([each.span for each in placements if each.span is not None])
    if not spans:
        return tuple(cuts)
    labels = _touched_lines(text, placements)
    kept: list[Cut] = []
    for cut in cuts:
        context = "\n".join(line for line in cut.context.split("\n") if not _is_touched(line, labels))
        heading = SEPARATOR.join(_untouched(cut.heading, labels))
        if heading != cut.heading:
            lines = [heading if line == cut.heading else line for line in cut.context.split("\n")]
            context = "\n".join(line for line in lines if line and not _is_touched(line, labels))
        for start, end in _remaining(text, (cut.char_from, cut.char_to), spans):
            ordinal = 0
            if kept:
                gap = any(low < start and high > kept[-1].char_to for low, high in spans)
                ordinal = kept[-1].ordinal + (2 if gap else 1)
            kept.append(replace(cut, ordinal=ordinal, char_from=start, char_to=end, heading=heading, context=context))
    return tuple(kept)


def _merged(spans: Sequence[Span]) -> list[Span]:
    merged: list[Span] = []
    for low, high in sorted(spans):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        elif high > low:
            merged.append((low, high))
    return merged


def _remaining(text: str, whole: Span, spans: Sequence[Span]) -> Iterator[Span]:
    """What is left of a span, in order, without space at its ends; pieces without a word are dropped."""
    position, is_torn = whole[0], False
    for low, high in (*spans, (whole[1], whole[1])):
        if high <= whole[0] and low < whole[1]:
            continue
        start, end = position, min(max(low, position), whole[1])
        while is_torn and start < end and text[start] in _LOOSE:
            start += 1
        while start < end and text[start].isspace():
            start += 1
        while end > start and text[end - 1].isspace():
            end -= 1
        if start < end and _WORD.search(text, start, end):
            yield start, end
        if low >= whole[1]:
            return
        position, is_torn = max(position, high), True


def _touched_lines(text: str, placements: Sequence[Placement]) -> set[tuple[str, ...]]:
    """The words of each line that an edit touches: such a line may stand as a heading or header elsewhere, too."""
    found: set[tuple[str, ...]] = set()
    for each in placements:
        if each.span is not None:
            found |= set(_lines(text, each.span)) - {_folded(line) for line in each.replacement.split("\n")}
    return found - {()}


def _lines(text: str, span: Span) -> Iterator[tuple[str, ...]]:
    low, high = span
    start = text.rfind("\n", 0, low) + 1
    while start < high:
        stop = text.find("\n", start)
        stop = len(text) if stop < 0 else stop
        if stop > low and stop - start <= _LONGEST_LABEL:
            yield _folded(text[start:stop])
        start = stop + 1


def _folded(line: str) -> tuple[str, ...]:
    return tuple(word.casefold() for word in _WORD.findall(line))


def _untouched(heading: str, labels: set[tuple[str, ...]]) -> list[str]:
    return [part for part in heading.split(SEPARATOR) if part and not _is_touched(part, labels)]


def _is_touched(label: str, labels: set[tuple[str, ...]]) -> bool:
    """Whether a heading or header is made of one of these lines, perhaps of several lines, perhaps cut short."""
    words = _folded(label)
    if words in labels:
        return True
    if len(label) >= _CUT_LABEL and any(line[: len(words) - 1] == words[:-1] for line in labels):
        return True
    return any(len(line) < len(words) and _holds(words, line) for line in labels)


def _holds(words: tuple[str, ...], run: tuple[str, ...]) -> bool:
    return any(words[start : start + len(run)] == run for start in range(len(words) - len(run) + 1))
