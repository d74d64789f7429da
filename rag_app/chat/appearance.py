"""How a quote looks in an answer: sentences on one line, rows of a table with their header, code as code."""

import re

from rag_app.chat.quotable import Quotable, cells

_OWN_MARKERS = re.compile(r"(?:(?<!\s)\s+)?\[(?:\d+(?:[-–,]\s?\d+)*|(?<=[\w.,]\[)[a-z]|note \d+|citation needed)\]")
_MARKS = re.compile(r"^[ \t]*(?:#{1,6}|>|[-*•‣])[ \t]+|[`|]+|</?[a-zA-Z!][^<>]{0,200}>", re.MULTILINE)
_EMPHASIS = re.compile(r"(?<!\s)\*+|\*+(?!\s)|~~")
_INLINE_CODE = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
_BACKTICKS = re.compile(r"`+")


def shown_text(sentence: str) -> str:
    """A sentence as the answer shows it: on one line, without Markdown, HTML or bracketed numbers of its own.

    Code between backticks stays as it is.
    """
    parts = _INLINE_CODE.split(sentence)
    shown = [_inline_code(part) if at % 2 else _prose(part) for at, part in enumerate(parts)]
    return " ".join("".join(shown).split())


def shown_row(row: str, header: tuple[str, ...]) -> str:
    """A row of a table: `name: value` when it has two cells, else the first cell and each other one with its header."""
    values = [shown_text(cell) for cell in cells(row)]
    names = [shown_text(cell) for cell in header]
    if len(values) == 2 and all(values):
        return f"{values[0].rstrip(':')}: {values[1]}"
    named = [
        f"{names[at]}: {value}" if at and at < len(names) and names[at] else value for at, value in enumerate(values)
    ]
    return " · ".join(part for value, part in zip(values, named, strict=True) if value)


def shown(text: str, quote: Quotable) -> tuple[str, str]:
    """What stands before the marker of a quote of this passage, and what stands behind it (a block of code or "")."""
    if quote.kind == "row":
        return shown_row(text[quote.span.start : quote.span.end], quote.header), ""
    begins = quote.code_from if quote.code_from is not None else quote.span.end
    lead = shown_text(text[quote.span.start : begins])
    code = _unfenced(text[begins : quote.span.end])
    if not code:
        return lead, ""
    if "\n" not in code and "`" not in code:
        return f"{lead} `{code}`".lstrip(), ""
    longest = max((len(run) for run in _BACKTICKS.findall(code)), default=0)
    fence = "`" * max(3, longest + 1)
    return lead, f"{fence}\n{code}\n{fence}"


def _prose(text: str) -> str:
    bare = _OWN_MARKERS.sub("", text)
    return _EMPHASIS.sub("", _MARKS.sub(" ", bare)).replace("[", "(").replace("]", ")")


def _inline_code(text: str) -> str:
    inner = " ".join(text.split())
    return f"`{inner}`" if inner else ""


def _unfenced(text: str) -> str:
    """Code without fences and without the indentation that its lines share; the first line has lost its own."""
    lines = [line for line in text.strip("\n").split("\n") if not re.match(r"[ \t]*(?:```|~~~)", line)]
    while lines and not lines[0].strip():
        lines.pop(0)
    indents = [len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()]
    shared = min(indents, default=0) if not lines or lines[0][:1].strip() else 0
    head = lines[0].strip() if lines else ""
    return "\n".join([head, *(line[shared:] for line in lines[1:])]).strip()
