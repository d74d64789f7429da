"""Splits a document into the smallest pieces a passage may be made of, each with the price of a cut before it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rag_app.ingestion.parsed import Block, ParsedDocument
from rag_app.ingestion.sentences import sentence_spans

_WIDE = re.compile(
    "[\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef\U0001f300-\U0003ffff]"
)
_CHARS_PER_TOKEN = 4
_SHORTEST = 8  # characters of a sentence that is a piece
_CLAUSE = re.compile(r"(?<=[,;:，、；：])\s*")
_SPACE = re.compile(r"\s+")
_LINE = re.compile(r"[^\n]+")

# Prices of a cut before a piece, in units of a squared relative deviation from the wanted size.
FREE, SENTENCE, ITEM, ROW, LINE, LEAD_IN, FORCED, AFTER_HEADING = 0.0, 0.10, 0.15, 0.05, 0.2, 0.3, 0.6, 4.0


@dataclass(frozen=True, slots=True)
class Piece:
    """A span that is never cut, `text[start:end]` without white space around it."""

    start: int
    end: int
    price: float  # of a cut before it
    block: Block


def weight(text: str) -> int:
    """Quarter tokens of a text: about four characters make a token, but each wide (CJK) character is one."""
    return len(text) if text.isascii() else len(text) + (_CHARS_PER_TOKEN - 1) * len(_WIDE.findall(text))


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has, without a tokenizer."""
    return -(-weight(text) // _CHARS_PER_TOKEN)


def pieces_of(parsed: ParsedDocument, *, max_tokens: int) -> Iterator[Piece]:
    """All non-space text of the document in pieces of at most `max_tokens`, in order."""
    limit = max_tokens * _CHARS_PER_TOKEN
    previous: Piece | None = None
    for block in _covering(parsed):
        base = _price_at_start(parsed.text, previous)
        for number, (start, end, price) in enumerate(_split(parsed.text, block, limit)):
            piece = Piece(start, end, price if number else base, block)
            yield piece
            previous = piece


def _covering(parsed: ParsedDocument) -> Iterator[Block]:
    """The blocks in order, with paragraphs for text that is in none."""
    position = 0
    for block in sorted(parsed.blocks, key=lambda each: (each.char_from, each.char_to)):
        start = min(max(block.char_from, position), len(parsed.text))
        end = min(block.char_to, len(parsed.text))
        if start > position:
            yield Block("paragraph", position, start)
            position = start
        if end > start:
            yield Block(block.kind, start, end, block.level, block.header_to if block.header_to > start else 0)
            position = end
    if position < len(parsed.text):
        yield Block("paragraph", position, len(parsed.text))


def _price_at_start(text: str, previous: Piece | None) -> float:
    if previous is None:
        return FREE
    if previous.block.kind == "heading":
        return AFTER_HEADING
    return LEAD_IN if text[previous.end - 1] in ":：" else FREE


def _split(text: str, block: Block, limit: int) -> Iterator[tuple[int, int, float]]:
    whole = list(_trim(text, block.char_from, block.char_to))
    if not whole:
        return
    start, end = whole[0]
    if block.kind in ("table", "code", "heading") and weight(text[start:end]) <= limit:
        yield start, end, FREE
    elif block.kind == "paragraph" or block.kind == "heading":
        for first, last in _together(sentence_spans(text, start, end)):
            yield from _limited(text, first, last, limit, SENTENCE)
    else:
        price = {"table": ROW, "code": LINE}.get(block.kind, ITEM)
        for first, last in _lines(text, block, start, end):
            yield from _limited(text, first, last, limit, price)


def _together(sentences: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Sentences, those of a few letters with the next: a text of points alone would be millions of pieces."""
    begun: int | None = None
    stop = 0
    for start, stop in sentences:
        begun = start if begun is None else begun
        if stop - begun >= _SHORTEST:
            yield begun, stop
            begun = None
    if begun is not None:
        yield begun, stop


def _lines(text: str, block: Block, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Lines of a list, code or table; a table's header goes with its first row."""
    pending: int | None = None
    for found in _LINE.finditer(text, start, end):
        for first, last in _trim(text, found.start(), found.end()):
            if block.header_to and last <= block.header_to:
                pending = first if pending is None else pending
                continue
            yield (first if pending is None else pending), last
            pending = None
    if pending is not None:
        yield from _trim(text, pending, end)


def _limited(text: str, start: int, end: int, limit: int, price: float) -> Iterator[tuple[int, int, float]]:
    """The span, or parts of it that are within the limit: split at clauses, else at white space, else anywhere."""
    while weight(text[start:end]) > limit:
        stop = _fitting(text, start, end, limit)
        window = max(start + 1, start + (stop - start) // 2)
        cut = _last(_CLAUSE, text, window, stop) or _last(_SPACE, text, window, stop) or stop
        for first, last in _trim(text, start, cut):
            yield first, last, price
            price = FORCED
        start = cut
    for first, last in _trim(text, start, end):
        yield first, last, price


def _fitting(text: str, start: int, end: int, limit: int) -> int:
    """The furthest end such that the span is within the limit; never inside a surrogate-free code point."""
    low, high = start + 1, min(end, start + limit)
    while low < high:
        middle = (low + high + 1) // 2
        if weight(text[start:middle]) <= limit:
            low = middle
        else:
            high = middle - 1
    return low


def _last(pattern: re.Pattern[str], text: str, start: int, end: int) -> int:
    place = 0
    for found in pattern.finditer(text, start, end):
        if found.end() > start:
            place = found.end()
    return min(place, end)


def _trim(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield start, end
