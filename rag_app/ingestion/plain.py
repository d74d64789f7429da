"""Reads plain text: paragraphs from blank lines, headings where they are underlined, numbered or in capitals."""

import re
from collections.abc import Iterator

from rag_app.errors import TooMuchContent
from rag_app.ingestion.draft import MOST_BLOCKS
from rag_app.ingestion.parsed import Block, ParsedDocument

_UNDERLINE = re.compile(r"^\s*(={3,}|-{3,}|~{3,}|\*{3,}|#{3,})\s*$")
_NUMBERED = re.compile(
    r"^\s*((?:\d{1,2}\.)+\d{0,2}|[IVX]{1,5}\.|(?:chapter|section|part|appendix|kapitel)\s+\w{1,5}[:.]?)\s+\S", re.I
)
_BULLET = re.compile(r"^\s*(?:[-*•‣◦·–]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s+\S")
_SENTENCE_END = tuple(".!?…,;:。！？،؟")
_HEADING_CHARS = 80
_LONGEST_UNDERLINE = 400


def parse_plain(text: str) -> ParsedDocument:
    """The text itself, with blocks found in it. The text must be clean (see encoding.clean).

    Raises TooMuchContent beyond 300,000 blocks.
    """
    blocks: list[Block] = []
    for start, end in _paragraphs(text):
        blocks.extend(_blocks(text, start, end, alone=not blocks and end >= len(text.rstrip())))
        if len(blocks) > MOST_BLOCKS:
            raise TooMuchContent(f"The text is made of more than {MOST_BLOCKS:,} paragraphs: split it.")
    return ParsedDocument(text, tuple(blocks), title=_title(text, blocks))


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """Spans between blank lines, without the white space around them."""
    for found in re.finditer(r"[^\s](?:[^\n]|\n(?![^\S\n]*(?:\n|\Z)))*", text):
        end = found.end()
        while text[end - 1].isspace():
            end -= 1
        yield found.start(), end


def _blocks(text: str, start: int, end: int, *, alone: bool) -> Iterator[Block]:
    while (head := _underlined(text, start, end)) is not None:
        yield head
        start, alone = head.char_to + 1, False
        if start >= end:
            return
    shown = text[start:end]
    rest = shown.partition("\n")[2]
    level = 0 if alone or rest else _heading_level(shown)
    if level:
        yield Block("heading", start, end, level)
    elif rest and sum(bool(_BULLET.match(line)) for line in shown.split("\n")) * 2 > shown.count("\n"):
        yield Block("list", start, end)
    else:
        yield Block("paragraph", start, end)


def _underlined(text: str, start: int, end: int) -> Block | None:
    """A first line with a line of marks below it."""
    under = text.find("\n", start, end) + 1
    if not under or under == end:
        return None
    stop = text.find("\n", under, end)
    stop = end if stop < 0 else stop
    found = _UNDERLINE.match(text[under:stop]) if stop - under <= _LONGEST_UNDERLINE else None
    if found is None or len(text[start : under - 1].strip()) > _HEADING_CHARS * 1.5:
        return None
    return Block("heading", start, stop, 1 if found.group(1)[0] in "=#*" else 2)


def _heading_level(line: str) -> int:
    """0 for none; a single short line between blank lines that looks like a heading."""
    line = line.strip()
    if len(line) > _HEADING_CHARS or line.endswith(_SENTENCE_END) or not any(char.isalpha() for char in line):
        return 0
    numbered = _NUMBERED.match(line)
    if numbered:
        return min(6, 2 + max(0, numbered.group(1).strip(".").count(".")))
    letters = [char for char in line if char.isalpha()]
    return 2 if len(letters) >= 4 and all(char.isupper() for char in letters) else 0


def _title(text: str, blocks: list[Block]) -> str:
    if blocks and blocks[0].kind == "heading":
        return text[blocks[0].char_from : blocks[0].char_to].split("\n")[0].strip()
    return ""
