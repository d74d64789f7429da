"""Finds what of a passage can be quoted: sentences, rows of tables, code; each with the heading it stands under."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from rag_app.chat.sentences import Span, split

Kind = Literal["sentence", "item", "row", "code"]

LONGEST_QUOTE = 600  # characters of a quote that was joined from a sentence and what it introduces
LONGEST_CODE = 1_200
_FENCE = re.compile(r"[ \t]*(?:```|~~~)")
_HEADING = re.compile(r"[ \t]{0,3}#{1,6}[ \t]+\S")
_ROW = re.compile(r"[ \t]*\|.*\|[ \t]*$")
_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-{3,}:?[ \t]*(?:\|[ \t]*:?-{3,}:?[ \t]*)*\|?[ \t]*$|[ \t]*(?:[*_=-][ \t]*){3,}$")
_INDENTED = re.compile(r"(?: {4,}|\t)\S")
_MARK = re.compile(r"[ \t]*(?:[-*•‣▪–·]|\d{1,3}[.)])[ \t]+|[ \t]*>[ \t]?")
_NUMBERED = re.compile(r"[ \t]*(?:[-*•‣▪–·]|\d{1,3}[.)])[ \t]+\S")
_STOPPED = re.compile(r"""[.!?…。！？؟۔।｡．;,]["'”’»)\]*_`]*$""")
_HEADING_CHARS = 70
_HEADING_WORDS = 9

_Line = Literal["blank", "heading", "rule", "row", "code", "item", "text"]


@dataclass(frozen=True, slots=True)
class Quotable:
    """A stretch of a passage, `text[span.start:span.end]`, that says something when it stands alone."""

    span: Span
    kind: Kind
    under: str = ""  # the heading in the passage that it stands under, and the header of its table
    header: tuple[str, ...] = ()  # cells of the header of its table
    code_from: int | None = None  # where the code in it begins


@dataclass(frozen=True, slots=True)
class _Block:
    """Lines of one kind that belong together."""

    kind: _Line
    start: int
    end: int


def cells(row: str) -> tuple[str, ...]:
    """The cells of one line of a table of pipes."""
    bare = row.strip().removeprefix("|").removesuffix("|")
    return tuple(cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", bare))


@lru_cache(maxsize=512)
def quotables(text: str, heading: str = "") -> tuple[Quotable, ...]:
    """What can be quoted of a passage, in reading order. `heading` is its heading path.

    Headings, headers of tables and list marks are no quotes. A sentence that only introduces a list or code takes it
    along, as far as both are short. A passage of nothing but headings gives these.
    """
    blocks = _blocks(text)
    names = {name.strip().casefold() for name in heading.split("›")} - {""}
    found = list(_joined(text, list(_of_blocks(text, blocks, names))))
    return tuple(found) or tuple(Quotable(span, "sentence") for span in split(text))


def _kinds(lines: Sequence[str]) -> list[_Line]:
    """What each line is; a fenced block is code with its fences, indented lines are code after an empty line."""
    kinds: list[_Line] = []
    fenced = False
    for line in lines:
        before = kinds[-1] if kinds else "blank"
        if _FENCE.match(line):
            fenced = not fenced
            kinds.append("code")
        elif fenced:
            kinds.append("code")
        elif not line.strip():
            kinds.append("blank")
        elif _HEADING.match(line):
            kinds.append("heading")
        elif _RULE.match(line):
            kinds.append("rule")
        elif _ROW.match(line):
            kinds.append("row")
        elif _INDENTED.match(line) and before in ("blank", "code") and not _NUMBERED.match(line):
            kinds.append("code" if not _in_list(kinds) else "text")
        else:
            kinds.append("item" if _NUMBERED.match(line) else "text")
    return kinds


def _in_list(kinds: Sequence[_Line]) -> bool:
    """Whether an indented line goes on with a list item."""
    return next((kind for kind in reversed(kinds) if kind != "blank"), "blank") == "item"


def _blocks(text: str) -> list[_Block]:
    lines = text.split("\n")
    found: list[_Block] = []
    at = 0
    for line, kind in zip(lines, _kinds(lines), strict=True):
        end = at + len(line)
        last = found[-1] if found else None
        goes_on = last is not None and (last.kind == kind or (kind == "text" and last.kind == "item"))
        if last is not None and goes_on and kind in ("text", "code"):
            found[-1] = replace(last, end=end)
        else:
            found.append(_Block(kind, at, end))
        at = end + 1
    return [block for block in found if block.kind != "blank"]


def _of_blocks(text: str, blocks: Sequence[_Block], names: set[str]) -> Iterator[Quotable]:
    """Single quotables, with what they stand under."""
    title = ""
    header: tuple[str, ...] = ()
    for before, block, after in zip([None, *blocks], blocks, [*blocks[1:], None], strict=False):
        content = text[block.start : block.end]
        if before is None or before.kind not in ("row", "rule") or block.kind not in ("row", "rule"):
            header = ()
        if block.kind == "heading" or _is_heading(content, block, after, names):
            title = content.strip().strip("#*_ ")
        elif block.kind == "row" and after is not None and after.kind == "rule" and not header:
            header = cells(content)
        elif block.kind == "row":
            span = _trimmed(text, block.start, block.end)
            yield Quotable(span, "row", "\n".join((title, " ".join(header))).strip(), header)
        elif block.kind == "code":
            span = _code(text, block)
            if span.end > span.start:
                yield Quotable(span, "code", title, code_from=span.start)
        elif block.kind != "rule":
            for each in split(content):
                span = _unmarked(text, Span(block.start + each.start, block.start + each.end))
                yield Quotable(span, "item" if block.kind == "item" else "sentence", title)


def _is_heading(content: str, block: _Block, after: _Block | None, names: set[str]) -> bool:
    """A line of its own that names what follows: one of the known headings, or one that looks like one."""
    bare = content.strip()
    if block.kind != "text" or "\n" in bare:
        return False
    if bare.strip("*_ ").casefold() in names:
        return True
    looks = len(bare) <= _HEADING_CHARS and len(bare.split()) <= _HEADING_WORDS and not bare.endswith(":")
    plain = not _STOPPED.search(bare) and not any(char.isdigit() or char in "`=/@" for char in bare)
    return looks and plain and bare[:1].isupper() and after is not None and after.kind not in ("heading", "code")


def _code(text: str, block: _Block) -> Span:
    """The code of a block without its fences, cut at a line when it is long."""
    lines = text[block.start : block.end].split("\n")
    start, end = block.start, block.end
    if _FENCE.match(lines[0]):
        start = min(end, start + len(lines[0]) + 1)
    if len(lines) > 1 and _FENCE.match(lines[-1]):
        end = max(start, end - len(lines[-1]) - 1)
    if end - start > LONGEST_CODE:
        cut = text.rfind("\n", start, start + LONGEST_CODE)
        end = cut if cut > start else start + LONGEST_CODE
    return _trimmed(text, start, end)


def _trimmed(text: str, start: int, end: int) -> Span:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return Span(start, end)


def _unmarked(text: str, span: Span) -> Span:
    """The span without the mark of a list item or a quote at its beginning."""
    mark = _MARK.match(text, span.start, span.end)
    return Span(mark.end(), span.end) if mark and mark.end() < span.end else span


def _joined(text: str, found: Sequence[Quotable]) -> Iterator[Quotable]:
    """The quotables, with what a sentence introduces joined to it."""
    taken = -1
    for at, each in enumerate(found):
        if at <= taken:
            continue
        end = at
        while end + 1 < len(found) and _introduces(text, each, found[end], found[end + 1]):
            end += 1
        taken = end if found[end].kind == "code" else at
        whole = Span(each.span.start, found[end].span.end)
        yield replace(each, span=whole, code_from=found[end].code_from) if end > at else each


def _introduces(text: str, lead: Quotable, last: Quotable, following: Quotable) -> bool:
    """Whether a sentence needs what follows: code after a sentence without a stop, list items after a colon."""
    said = text[lead.span.start : lead.span.end]
    if lead.kind not in ("sentence", "item") or following.span.end - lead.span.start > LONGEST_QUOTE:
        return False
    if following.kind == "code":
        return last is lead and not _STOPPED.search(said)
    colon = said.rstrip("*_ ").endswith((":", "："))
    return colon and following.kind == "item" and (last is lead or last.kind == "item")
