"""Reads plain text: paragraphs from blank lines, headings where they are underlined, numbered or in capitals."""

import re
from collections.abc import Iterator

from rag_app.ingestion.parsed import Block, ParsedDocument

_UNDERLINE = re.compile(r"^\s*(={3,}|-{3,}|~{3,}|\*{3,}|#{3,})\s*$")
_NUMBERED = re.compile(
    r"^\s*((?:\d{1,2}\.)+\d{0,2}|[IVX]{1,5}\.|(?:chapter|section|part|appendix|kapitel)\s+\w{1,5}[:.]?)\s+\S", re.I
)
_BULLET = re.compile(r"^\s*(?:[-*•‣◦·–]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s+\S")
_SENTENCE_END = tuple(".!?…,;:。！？،؟")
_HEADING_CHARS = 80


def parse_plain(text: str) -> ParsedDocument:
    """The text itself, with blocks found in it. The text must be clean (see encoding.clean)."""
    blocks: list[Block] = []
    for start, end in _paragraphs(text):
        blocks.extend(_blocks(text, start, end, alone=not blocks and end >= len(text.rstrip())))
    return ParsedDocument(text, tuple(blocks), title=_title(text, blocks))


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """Spans between blank lines, without the white space around them."""
    for found in re.finditer(r"[^\s](?:[^\n]|\n(?![^\S\n]*(?:\n|\Z)))*", text):
        end = found.end()
        while text[end - 1].isspace():
            end -= 1
        yield found.start(), end


def _blocks(text: str, start: int, end: int, *, alone: bool) -> Iterator[Block]:
    shown = text[start:end]
    first, _, rest = shown.partition("\n")
    underline, _, _after = rest.partition("\n")
    if rest and _UNDERLINE.match(underline) and len(first.strip()) <= _HEADING_CHARS * 1.5:
        head_end = start + len(first) + 1 + len(underline)
        yield Block("heading", start, head_end, 1 if underline.strip()[0] in "=#*" else 2)
        if head_end + 1 < end:
            yield from _blocks(text, head_end + 1, end, alone=False)
        return
    level = 0 if alone or rest else _heading_level(shown)
    if level:
        yield Block("heading", start, end, level)
    elif rest and sum(bool(_BULLET.match(line)) for line in shown.split("\n")) * 2 > shown.count("\n"):
        yield Block("list", start, end)
    else:
        yield Block("paragraph", start, end)


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
