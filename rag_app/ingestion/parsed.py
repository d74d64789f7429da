"""What a parser hands on: one text and the structure found in it."""

from dataclasses import dataclass, field
from typing import Literal

from rag_app.retrieval.places import Place

BlockKind = Literal["heading", "paragraph", "list", "table", "code"]


@dataclass(frozen=True, slots=True)
class Block:
    """One piece of structure; `text[char_from:char_to]` of the document is what it shows."""

    kind: BlockKind
    char_from: int
    char_to: int
    level: int = 0  # of a heading: 1 is the top
    header_to: int = 0  # of a table: where its header rows end (absolute offset), 0 = no header


@dataclass(frozen=True, slots=True)
class PageSpan:
    """Where one page of a paged document lies in the text. Pages count from 1."""

    page: int
    char_from: int
    char_to: int


@dataclass(frozen=True, slots=True)
class PlaceSpan:
    """Where a stretch of the text stands in the original: sheet and rows, slide, part, time (see retrieval/places.py).

    Spans are in order and do not overlap. One with `rows` or `lines` is exact to the line when it has as many lines as
    rows, and is best kept short (`ROWS_PER_SPAN`).
    """

    char_from: int
    char_to: int
    place: Place


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """Text of one document (UTF-8, LF, no NUL) and where its parts are. Offsets are code points, end exclusive."""

    text: str
    blocks: tuple[Block, ...]
    pages: tuple[PageSpan, ...] = ()
    title: str = ""
    language: str = ""  # ISO 639-1, "" = unknown
    metadata: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()  # sentences for people: what was left out
    places: tuple[PlaceSpan, ...] = ()
    scans: tuple[int, ...] = ()  # pages without a text layer, which OCR might read
    names: tuple[str, ...] = ()  # that the document goes by, in lower case


@dataclass(frozen=True, slots=True)
class Cut:
    """One passage to be: a contiguous slice of the text with the context it is found by."""

    ordinal: int
    char_from: int
    char_to: int
    heading: str  # heading path, "A › B", "" at the top
    context: str  # title, heading path, repeated table header: for embedding and terms, never shown
    page_from: int | None
    page_to: int | None
    place: Place = field(default_factory=dict)


RecognisedLine = tuple[str, float, float, float, float]
"""Text of a line, then left, top, right and bottom in points, from the upper left corner of the page."""


@dataclass(frozen=True, slots=True)
class RecognisedPage:
    """What OCR has read on a page: its height in points, its lines in reading order."""

    height: float
    lines: tuple[RecognisedLine, ...]
