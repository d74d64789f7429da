"""Collects the text of a document piece by piece and remembers where each piece lies."""

import re
from collections.abc import Sequence

from rag_app.errors import TooMuchContent
from rag_app.ingestion.encoding import clean
from rag_app.ingestion.parsed import Block, BlockKind, PageSpan, ParsedDocument, PlaceSpan
from rag_app.retrieval.places import Place

MAX_CHARS = 20_000_000
MOST_BLOCKS = 300_000
_GAP = "\n\n"
_SPACES = re.compile(r"[ \t\u00a0]+")
_BREAK = re.compile(r"\s*\n\s*")


class Draft:
    """A document in the making. Text is added in reading order; offsets come out by themselves."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._blocks: list[Block] = []
        self._pages: list[PageSpan] = []
        self._page_start = 0
        self._places: list[PlaceSpan] = []
        self._place_start = 0

    def __len__(self) -> int:
        return self._length

    def add(self, kind: BlockKind, text: str, *, level: int = 0, header_chars: int = 0) -> None:
        """Append one block. `header_chars` is the length of a table's header rows. Raises TooMuchContent."""
        text = clean(text).strip("\n") if kind in ("table", "code") else clean(text).strip()
        if not text.strip():
            return
        if self._length:
            self._append(_GAP)
        start = self._length
        self._append(text)
        header_to = start + min(header_chars, len(text)) if header_chars else 0
        self._blocks.append(Block(kind, start, self._length, level, header_to))

    def extend(self, text: str, *, glue: str = " ") -> None:
        """Continue the last block: a paragraph that runs on over a page break."""
        text = clean(text).strip()
        if not self._blocks or not text:
            return
        self._append(glue + text)
        last = self._blocks[-1]
        self._blocks[-1] = Block(last.kind, last.char_from, self._length, last.level, last.header_to)

    @property
    def last_kind(self) -> BlockKind | None:
        """Kind of the last block, None at the beginning."""
        return self._blocks[-1].kind if self._blocks else None

    def share(self, *kinds: BlockKind) -> float:
        """How much of the text so far is in blocks of these kinds, 0..1."""
        return sum(each.char_to - each.char_from for each in self._blocks if each.kind in kinds) / max(1, self._length)

    def tail(self, length: int) -> str:
        """The last characters so far."""
        return self._parts[-1][-length:] if self._parts else ""

    def end_page(self, page: int) -> None:
        """All that was added since the last page end is on `page`."""
        self._pages.append(PageSpan(page, min(self._page_start, self._length), self._length))
        self._page_start = self._length

    def end_place(self, place: Place) -> None:
        """All that was added since the last place end is at `place`; an empty one leaves it without a place."""
        if place and self._length > self._place_start:
            self._places.append(PlaceSpan(self._place_start, self._length, place))
        self._place_start = self._length

    def finish(
        self, *, title: str = "", metadata: dict[str, str] | None = None, warnings: Sequence[str] = ()
    ) -> ParsedDocument:
        """The finished document; pages and places begin at their first visible character."""
        text = "".join(self._parts)
        pages = [PageSpan(each.page, _first_visible(text, each), each.char_to) for each in self._pages]
        places = [PlaceSpan(_first_visible(text, each), each.char_to, each.place) for each in self._places]
        return ParsedDocument(
            text=text,
            blocks=tuple(self._blocks),
            pages=tuple(pages),
            title=one_line(title)[:300],
            metadata=dict(metadata or {}),
            warnings=tuple(warnings),
            places=tuple(places),
        )

    def _append(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)
        if self._length > MAX_CHARS:
            raise TooMuchContent(f"The document holds more than {MAX_CHARS // 1_000_000} million characters: split it.")


def _first_visible(text: str, span: PageSpan | PlaceSpan) -> int:
    start = span.char_from
    while start < span.char_to and text[start].isspace():
        start += 1
    return start


def one_line(text: str) -> str:
    """The text on one line, with single spaces."""
    return " ".join(text.split())


def soft_lines(text: str) -> str:
    """Single spaces within lines, no blank lines: what a browser would show of inline text with line breaks."""
    return _BREAK.sub("\n", _SPACES.sub(" ", text)).strip()
