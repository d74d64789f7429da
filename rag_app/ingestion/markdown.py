"""Reads Markdown: the text stays the source itself, its structure comes from a CommonMark parser."""

import re
from itertools import zip_longest

from markdown_it import MarkdownIt
from markdown_it.token import Token

from rag_app.ingestion.parsed import Block, BlockKind, ParsedDocument

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.{0,20000}?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.S)
_FIELD = re.compile(r"^([A-Za-z][\w .-]{0,60}):[ \t]*(.*)$")
_KINDS: dict[str, BlockKind] = {
    "paragraph_open": "paragraph",
    "html_block": "paragraph",
    "blockquote_open": "paragraph",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "table_open": "table",
    "fence": "code",
    "code_block": "code",
}
_INLINE_MARKS = re.compile(r"!\[([^\]]*)\]\([^)]*\)|\[([^\]]*)\]\([^)]*\)|[*_`]+")


def parse_markdown(source: str) -> ParsedDocument:
    """The source without its front matter (that becomes metadata), with blocks found in it. Source must be clean."""
    metadata, text = _front_matter(source)
    starts = _line_starts(text)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    blocks: list[Block] = []
    title = metadata.get("title", "")
    for token, following in zip_longest(tokens, tokens[1:]):
        block = _block(token, text, starts)
        if block is None:
            continue
        blocks.append(block)
        if block.kind == "heading" and block.level == 1 and not title and following is not None:
            title = plain_inline(following.content)
    return ParsedDocument(text, tuple(blocks), title=title, metadata=metadata)


def plain_inline(source: str) -> str:
    """A line of Markdown without emphasis, code marks and link targets."""
    return _INLINE_MARKS.sub(lambda found: found.group(1) or found.group(2) or "", source).strip()


def _front_matter(source: str) -> tuple[dict[str, str], str]:
    found = _FRONT_MATTER.match(source)
    if not found:
        return {}, source
    fields = (_FIELD.match(line) for line in found.group(1).split("\n"))
    metadata = {field.group(1).strip().lower(): field.group(2).strip().strip("\"'")[:1000] for field in fields if field}
    return {name: value for name, value in metadata.items() if value}, source[found.end() :]


def _line_starts(text: str) -> list[int]:
    starts = [0]
    starts.extend(found.end() for found in re.finditer("\n", text))
    starts.append(len(text))
    return starts


def _block(token: Token, text: str, starts: list[int]) -> Block | None:
    if token.level != 0 or token.map is None:
        return None
    is_heading = token.type == "heading_open"
    kind: BlockKind | None = "heading" if is_heading else _KINDS.get(token.type)
    if kind is None:
        return None
    first, last = token.map
    start, end = starts[first], starts[min(last, len(starts) - 1)]
    while end > start and text[end - 1].isspace():
        end -= 1
    while start < end and text[start] in "\n":
        start += 1
    if start >= end:
        return None
    header_to = 0
    if kind == "table" and first + 2 < len(starts):
        header_to = min(end, max(start, starts[first + 2] - 1))
    return Block(kind, start, end, int(token.tag[1]) if is_heading else 0, header_to)
