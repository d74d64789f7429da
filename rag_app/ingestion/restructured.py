"""Reads reStructuredText: sections, lists, tables, code and directives; nothing is included from elsewhere."""

import re
from collections.abc import Sequence

from rag_app.errors import NoText
from rag_app.ingestion.draft import one_line
from rag_app.ingestion.flow import Flow, Way, read_blocks
from rag_app.ingestion.parsed import ParsedDocument
from rag_app.ingestion.restructured_inline import plain, substitutions
from rag_app.ingestion.restructured_tables import csv_table, grid_table, list_table, simple_table

_ADORNMENT = re.compile(r"([=\-`:.'\"~^_*+#!$%&(),/;<>?@\[\\\]{|}])\1+\s*$")
_BULLET = re.compile(r"([*+\-•])(\s+|$)")
_NUMBERED = re.compile(r"((?:\d{1,4}|#|[a-zA-Z]|[ivxlIVXL]{1,6})[.)]|\((?:\d{1,4}|#|[a-zA-Z])\))(\s+|$)")
_DIRECTIVE = re.compile(r"\.\.\s+(?:\|[^|]+\|\s+)?([A-Za-z][\w:+.-]*?)::(?:\s+(.*)|$)")
_FOOTNOTE = re.compile(r"\.\.\s+\[([^\]]+)\]\s*(.*)")
_FIELD = re.compile(r":([^:`\s][^:`]{0,60}):(?:\s+(.*)|$)")
_TITLED = frozenset(["note", "warning", "tip", "important", "caution", "danger", "attention", "hint", "error",
                    "seealso",
                     "deprecated", "versionadded", "versionchanged", "todo"])  # fmt: skip
_CODE = frozenset(
    {"code-block", "code", "sourcecode", "parsed-literal", "math", "prompt", "productionlist", "graphviz"}
)
_UNSHOWN = frozenset(["toctree", "contents", "include", "raw", "index", "meta", "highlight", "module", "currentmodule",
                      "literalinclude", "default-role", "role", "sectnum", "target-notes", "tabularcolumns",
                      "automodule",
                      "autoclass", "autofunction", "image", "unicode", "replace", "date", "header", "footer",
                      "testsetup",
                      "testcleanup", "default-domain", "sectionauthor", "codeauthor", "program", "class"])  # fmt: skip
_DEPTH = 40
_TAB = 8


def parse_restructured(text: str) -> ParsedDocument:
    """The document with its structure. The text must be clean (see encoding.clean). Raises NoText."""
    lines = [line.expandtabs(_TAB).rstrip() for line in text.split("\n")]
    reader = _Reader(substitutions(lines))
    reader.read(lines)
    reader.flow.flush()
    if not len(reader.flow.draft):
        raise NoText("The document holds no text.")
    return reader.flow.draft.finish(title=reader.title, metadata=reader.metadata)


class _Reader:
    """Writes the blocks of some lines; indented ones are read again without their indent."""

    def __init__(self, replaced: dict[str, str]) -> None:
        self.flow = Flow()
        self.title = ""
        self.metadata: dict[str, str] = {}
        self._styles: list[str] = []
        self._depth = 0  # of lists, quotes and directives in each other
        self._nested = 0  # of lists in lists
        self._replaced = replaced
        self._ways: tuple[Way, ...] = (
            self._section, self._explicit, self._table, self._list, self._fields, self._doctest, self._quote,
            self._definition, self._paragraph,
        )  # fmt: skip

    def read(self, lines: Sequence[str]) -> None:
        """All blocks of the lines."""
        read_blocks(lines, self._ways)

    def _inline(self, text: str) -> str:
        return plain(text, self._replaced)

    def _section(self, lines: Sequence[str], place: int) -> int:
        line, below = lines[place], _at(lines, place + 1)
        if _ADORNMENT.match(line) and below.strip() and _ADORNMENT.match(_at(lines, place + 2)):
            under = lines[place + 2]
            if under[:1] == line[:1] and len(under.strip()) >= len(below.strip()) - 1 and not _ADORNMENT.match(below):
                return self._title(below, line[0] * 2, place + 3)
        if line[:1].isspace() or not _ADORNMENT.match(below) or _ADORNMENT.match(line):
            if self._depth == 0 and _ADORNMENT.match(line) and len(line) >= 4 and not below.strip():
                return place + 1  # a line between sections
            return place
        if len(below) < min(4, len(line)) or len(below) < len(line) * 0.6 or (self._depth and len(below) < 4):
            return place
        return self._title(line, below[0], place + 2)

    def _title(self, text: str, style: str, after: int) -> int:
        if style not in self._styles:
            self._styles.append(style)
        heading = self._inline(text)
        self.title = self.title or one_line(heading)
        self.flow.heading(heading, self._styles.index(style) + 1)
        return after

    def _explicit(self, lines: Sequence[str], place: int) -> int:
        line = lines[place]
        if line != ".." and not line.startswith((".. ", "__ ")):
            return place
        after = _end_of_indented(lines, place + 1)
        body = _dedented(lines[place + 1 : after])
        directive, footnote = _DIRECTIVE.match(line), _FOOTNOTE.match(line)
        if directive:
            self._directive(directive.group(1), directive.group(2) or "", body)
        elif footnote:
            text = " ".join([footnote.group(2), *body])
            self.flow.paragraph(f"[{footnote.group(1).lstrip('#')}] {self._inline(text)}")
        return after

    def _directive(self, name: str, words: str, body: list[str]) -> None:
        name = name.lower().removeprefix("py:").removeprefix("c:")
        options, content = _options(body)
        if name in _CODE:
            self.flow.code("\n".join([words] * (name == "math") + content).strip("\n"))
        elif name == "image" or name == "figure":
            self.flow.paragraph(self._inline(options.get("alt", "")))
            self._deeper(content)
        elif name in ("csv-table", "list-table", "table"):
            self._table_directive(name, words, options, content)
        elif name in _TITLED:
            self._deeper([f"{name.capitalize()}: {words}".rstrip(), *content])
        elif name not in _UNSHOWN or (name == "class" and "(" in words):
            self.flow.paragraph(self._inline(words))
            self._deeper(content)

    def _table_directive(self, name: str, title: str, options: dict[str, str], content: list[str]) -> None:
        self.flow.paragraph(self._inline(title))
        if name == "table":
            self._deeper(content)
            return
        rows = csv_table(options, content) if name == "csv-table" else list_table(content)
        heads = options.get("header-rows", "")
        count = int(heads) if heads.isdecimal() else 1 if options.get("header") else 0
        self.flow.table([[self._inline(cell) for cell in row] for row in rows], header_rows=count)

    def _deeper(self, lines: Sequence[str]) -> None:
        if self._depth < _DEPTH:
            self._depth += 1
            self.read(lines)
            self._depth -= 1
        else:
            self.flow.paragraph(self._inline(" ".join(lines)))

    def _table(self, lines: Sequence[str], place: int) -> int:
        for reader in (grid_table, simple_table):
            rows, heads, after = reader(lines, place)
            if after > place:
                self.flow.table([[self._inline(cell) for cell in row] for row in rows], header_rows=heads)
                return after
        return place

    def _list(self, lines: Sequence[str], place: int) -> int:
        line = lines[place]
        found = _BULLET.match(line) or _NUMBERED.match(line)
        if not found or not line[found.end() :].strip():
            return place
        after = place + 1
        while after < len(lines) and (not lines[after].strip() or lines[after].startswith(" ")):
            after += 1
        if (
            after < len(lines)
            and lines[after - 1].strip()
            and not (_BULLET.match(lines[after]) or _NUMBERED.match(lines[after]))
        ):
            return place  # a line of running text that only begins like an item
        indent = found.end()
        body = [line[indent:]]
        body += [each[indent:] if not each[:indent].strip() else each.lstrip() for each in lines[place + 1 : after]]
        end = 1
        while end < len(body) and body[end].strip() and not _starts_block(body[end]):
            end += 1
        first = " ".join(body[:end])
        is_code = first.endswith("::")
        marker = found.group(1) if found.re is _NUMBERED and "#" not in found.group(1) else "-"
        self.flow.item(marker, self._inline(first.removesuffix(":") if is_code else first), depth=self._nested)
        self._nested += 1
        self._after_colons(body, end) if is_code else self._deeper(body[end:])
        self._nested -= 1
        return after

    def _after_colons(self, body: Sequence[str], place: int) -> None:
        """What follows `::`: an indented block of code, then the rest."""
        while place < len(body) and not body[place].strip():
            place += 1
        after = _end_of_indented(body, place)
        self.flow.code("\n".join(_dedented(body[place:after])).strip("\n"))
        self._deeper(body[after:])

    def _fields(self, lines: Sequence[str], place: int) -> int:
        found = _FIELD.match(lines[place])
        if not found:
            return place
        after = _end_of_indented(lines, place + 1)
        value = self._inline(" ".join([found.group(2) or "", *_dedented(lines[place + 1 : after])]))
        name = self._inline(found.group(1))
        if self._depth == 0 and name.lower() in ("author", "date", "version", "copyright", "status"):
            self.metadata[name.lower()] = one_line(value)[:1000]
        if value.strip():
            self.flow.item("-", f"{name}: {value}", depth=self._nested)
        return after

    def _doctest(self, lines: Sequence[str], place: int) -> int:
        if not lines[place].startswith(">>> "):
            return place
        after = place
        while after < len(lines) and lines[after].strip():
            after += 1
        self.flow.code("\n".join(lines[place:after]))
        return after

    def _quote(self, lines: Sequence[str], place: int) -> int:
        if not lines[place].startswith(" "):
            return place
        after = _end_of_indented(lines, place)
        self._deeper(_dedented(lines[place:after]))
        return after

    def _definition(self, lines: Sequence[str], place: int) -> int:
        if not _at(lines, place + 1).startswith(" ") or lines[place].endswith("::"):
            return place
        after = _end_of_indented(lines, place + 1)
        self.flow.paragraph(self._inline(lines[place]), depth=self._nested)
        self._deeper(_dedented(lines[place + 1 : after]))
        return after

    def _paragraph(self, lines: Sequence[str], place: int) -> int:
        after = place
        while after < len(lines) and lines[after].strip() and (after == place or not lines[after].startswith(" ")):
            after += 1
        taken = [line.removeprefix("| ") for line in lines[place:after]]
        is_verse = all(line.startswith("|") for line in lines[place:after])
        text = ("\n" if is_verse else " ").join(taken)
        if not text.endswith("::"):
            self.flow.paragraph(self._inline(text), depth=self._nested)
            return after
        self.flow.paragraph(self._inline(text[:-1] if text.strip() != "::" else ""), depth=self._nested)
        while after < len(lines) and not lines[after].strip():
            after += 1
        end = _end_of_indented(lines, after)
        self.flow.code("\n".join(_dedented(lines[after:end])).strip("\n"))
        return end


def _at(lines: Sequence[str], place: int) -> str:
    return lines[place] if place < len(lines) else ""


def _starts_block(line: str) -> bool:
    return bool(_BULLET.match(line) or line.startswith(".. ") or line.startswith(" "))


def _end_of_indented(lines: Sequence[str], place: int) -> int:
    """Where the indented lines from `place` on end, without empty lines after them."""
    end = after = place
    while after < len(lines) and (not lines[after].strip() or lines[after].startswith(" ")):
        after += 1
        if lines[after - 1].strip():
            end = after
    return end


def _dedented(lines: Sequence[str]) -> list[str]:
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return [line[indent:] for line in lines]


def _options(body: list[str]) -> tuple[dict[str, str], list[str]]:
    """The options at the beginning of a directive's body, and the rest."""
    options: dict[str, str] = {}
    place = 0
    while place < len(body):
        found = _FIELD.match(body[place])
        if not found:
            break
        options[found.group(1).lower()] = found.group(2) or ""
        place += 1
    return options, body[place:]
