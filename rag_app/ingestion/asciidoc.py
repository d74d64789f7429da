"""Reads AsciiDoc: sections, lists, tables, code, admonitions; nothing is included from elsewhere."""

import re
from collections.abc import Sequence

from rag_app.errors import NoText
from rag_app.ingestion.asciidoc_inline import plain
from rag_app.ingestion.asciidoc_table import table_rows
from rag_app.ingestion.draft import one_line
from rag_app.ingestion.flow import Flow, Way, read_blocks
from rag_app.ingestion.parsed import ParsedDocument

_HEADING = re.compile(r"(={1,6}|#{1,6})\s+(\S.*?)(?:\s+\1)?$")
_ATTRIBUTE = re.compile(r":!?([\w][\w-]*)!?:(?:\s+(.*))?$")
_BLOCK_ATTRIBUTES = re.compile(r"\[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*\]$|\[\[[^\[\]]+\]\]$")
_BLOCK_TITLE = re.compile(r"\.([^\s.].*)$")
_FENCE = re.compile(r"(-{4,}|\.{4,}|={4,}|\*{4,}|_{4,}|/{4,}|\+{4,}|```+|--)(\w*)$")
_TABLE = re.compile(r"([|,:!])={3,}$")
_BULLET = re.compile(r"\s*(\*{1,6}|-)\s+(\S.*)$")
_NUMBERED = re.compile(r"\s*(\.{1,5}|\d{1,4}\.|[a-zA-Z]\.)\s+(\S.*)$")
_CALLOUT = re.compile(r"<(\d+|\.)>\s+(\S.*)$")
_TERM = re.compile(r"(\S.*?)(:{2,4}|;;)(?:\s+(.*))?$")
_MACRO = re.compile(
    r"(image|video|audio|include|toc|ifdef|ifndef|ifeval|endif)::\S*?\[([^\]]*)\]$|(?:<<<|'{3,}|-{3}|\*{3})$"
)
_ADMONITION = re.compile(r"(NOTE|TIP|IMPORTANT|WARNING|CAUTION):\s")
_ADMONITIONS = frozenset({"note", "tip", "important", "warning", "caution"})
_CODE_FENCES = ("-", ".", "`")
_UNSHOWN_FENCES = ("/", "+")
_DEPTH = 40


def parse_asciidoc(text: str) -> ParsedDocument:
    """The document with its structure. The text must be clean (see encoding.clean). Raises NoText."""
    reader = _Reader()
    reader.read([line.rstrip() for line in text.split("\n")])
    reader.flow.flush()
    if not len(reader.flow.draft):
        raise NoText("The document holds no text.")
    return reader.flow.draft.finish(title=reader.title, metadata=reader.metadata)


class _Reader:
    """Writes the blocks of some lines."""

    def __init__(self) -> None:
        self.flow = Flow()
        self.title = ""
        self.metadata: dict[str, str] = {}
        self._attributes: dict[str, str] = {}
        self._marks: list[str] = []  # the kinds of bullets of the list being read, outermost first
        self._depth = 0  # of blocks in blocks
        self._style = ""  # what stood in brackets above the block
        self._ways: tuple[Way, ...] = (
            self._unshown, self._heading, self._attribute, self._above, self._fence, self._table, self._item,
            self._term, self._literal, self._paragraph,
        )  # fmt: skip

    def read(self, lines: Sequence[str]) -> None:
        """All blocks of the lines."""
        read_blocks(lines, self._ways)

    def _inline(self, text: str) -> str:
        return plain(text, self._attributes)

    def _unshown(self, lines: Sequence[str], place: int) -> int:
        line = lines[place]
        if line.startswith("//") and not line.startswith("////"):
            return place + 1
        found = _MACRO.match(line)
        if not found:
            return place + 1 if line.strip() == "+" else place
        if found.group(1) in ("image", "video", "audio"):
            self.flow.paragraph(self._inline((found.group(2) or "").split(",")[0].strip('"')))
        return place + 1

    def _heading(self, lines: Sequence[str], place: int) -> int:
        found = _HEADING.match(lines[place])
        if not found:
            return self._underlined(lines, place)
        self._marks, self._style = [], ""
        text, level = self._inline(found.group(2)), len(found.group(1))
        self.flow.heading(text, level)
        if level > 1 or self.title:
            return place + 1
        self.title = one_line(text)
        return self._header(lines, place + 1)

    def _underlined(self, lines: Sequence[str], place: int) -> int:
        """The old way to write a heading: a line of = - ~ ^ or + below it."""
        text, below = lines[place], lines[place + 1] if place + 1 < len(lines) else ""
        is_rule = len(below) >= 3 and below[0] in "=-~^+" and set(below) == {below[0]}
        if self._depth or not is_rule or abs(len(below) - len(text)) > 2 or not re.search(r"\w", text):
            return place
        self.flow.heading(self._inline(text), "=-~^+".index(below[0]) + 1)
        self.title = self.title or (one_line(self._inline(text)) if below[0] == "=" else "")
        return place + 2

    def _header(self, lines: Sequence[str], place: int) -> int:
        """Author, revision and attributes right below the title of the document."""
        names = iter(("author", "revision"))
        while place < len(lines) and lines[place].strip():
            line = lines[place]
            if _ATTRIBUTE.match(line):
                self._attribute(lines, place)
            elif not line.startswith("//"):
                name = next(names, "")
                if not name:
                    return place
                self.metadata[name] = one_line(re.sub(r"<[^>]*>", "", line))[:1000]
            place += 1
        return place

    def _attribute(self, lines: Sequence[str], place: int) -> int:
        found = _ATTRIBUTE.match(lines[place])
        if not found:
            return place
        name, value = found.group(1).lower(), found.group(2) or ""
        after = place + 1
        while value.endswith(" \\") and after < len(lines):
            value = value[:-1] + lines[after].strip()
            after += 1
        self._attributes[name] = value
        if name in ("author", "description", "keywords", "revdate") and value:
            self.metadata[name] = one_line(value)[:1000]
        return after

    def _above(self, lines: Sequence[str], place: int) -> int:
        """What stands above a block: attributes in brackets, a title."""
        line = lines[place]
        if _BLOCK_ATTRIBUTES.match(line):
            self._style = f"{self._style},{line.strip('[]')}".strip(",")
            return place + 1
        title = _BLOCK_TITLE.match(line)
        if title:
            self.flow.paragraph(self._inline(title.group(1)))
            return place + 1
        return place

    def _fence(self, lines: Sequence[str], place: int) -> int:
        found = _FENCE.match(lines[place])
        if not found:
            return place
        fence = found.group(1)
        after = place + 1
        while after < len(lines) and lines[after] != fence:
            after += 1
        body = lines[place + 1 : after]
        style = self._taken_style()
        is_code = style.startswith(("source", "listing")) if fence == "--" else fence[0] in _CODE_FENCES
        if is_code:
            self.flow.code("\n".join(body).strip("\n"))
        elif fence[0] not in _UNSHOWN_FENCES and self._depth < _DEPTH:
            self._named(style)
            self._depth += 1
            self.read(body)
            self._depth -= 1
        return min(after + 1, len(lines))

    def _named(self, style: str) -> None:
        name = style.split(",")[0].split("#")[0].split("%")[0].lower()
        if name in _ADMONITIONS:
            self.flow.paragraph(f"{name.capitalize()}:")

    def _taken_style(self) -> str:
        style, self._style = self._style, ""
        return style

    def _table(self, lines: Sequence[str], place: int) -> int:
        found = _TABLE.match(lines[place])
        if not found:
            return place
        after = place + 1
        while after < len(lines) and lines[after] != lines[place]:
            after += 1
        rows, heads = table_rows(lines[place + 1 : after], found.group(1), self._taken_style())
        self.flow.table([[self._inline(cell) for cell in row] for row in rows], header_rows=heads)
        return min(after + 1, len(lines))

    def _item(self, lines: Sequence[str], place: int) -> int:
        line = lines[place]
        found = _BULLET.match(line) or _NUMBERED.match(line) or _CALLOUT.match(line)
        if not found:
            return place
        mark = found.group(1)
        kind = "1." if mark[0].isdecimal() else mark
        if kind in self._marks and self.flow.is_in_list:
            del self._marks[self._marks.index(kind) + 1 :]
        elif self.flow.is_in_list:
            self._marks.append(kind)
        else:
            self._marks = [kind]
        after = self._end_of_item(lines, place + 1)
        text = " ".join([found.group(2), *(each.strip() for each in lines[place + 1 : after])])
        marker = f"{mark.rstrip('.')}." if mark[0].isalnum() and found.re is not _BULLET else "-"
        self.flow.item(marker, self._inline(text), depth=len(self._marks) - 1)
        self._style = ""
        return after

    def _end_of_item(self, lines: Sequence[str], place: int) -> int:
        starts = (_BULLET, _NUMBERED, _CALLOUT, _FENCE, _TABLE, _BLOCK_ATTRIBUTES, _TERM)
        while place < len(lines) and lines[place].strip() and lines[place].strip() != "+":
            if any(each.match(lines[place]) for each in starts) or lines[place].startswith("//"):
                break
            place += 1
        return place

    def _term(self, lines: Sequence[str], place: int) -> int:
        found = _TERM.match(lines[place])
        if not found or "://" in found.group(1):
            return place
        after = place + 1
        if not found.group(3):
            while after < len(lines) and not lines[after].strip():
                after += 1
        if after < len(lines) and (found.group(3) or not _FENCE.match(lines[after])):
            end = self._end_of_item(lines, after)
        else:
            end = after
        words = " ".join([found.group(3) or "", *(each.strip() for each in lines[after:end])]).strip()
        self.flow.item("-", f"{self._inline(found.group(1))}: {self._inline(words)}".rstrip(": "), depth=0)
        self._marks = [found.group(2)]
        return max(end, place + 1)

    def _literal(self, lines: Sequence[str], place: int) -> int:
        if not lines[place].startswith(" ") or self.flow.is_in_list:
            return place
        after = place
        while after < len(lines) and lines[after].strip():
            after += 1
        self.flow.code("\n".join(lines[place:after]))
        return after

    def _paragraph(self, lines: Sequence[str], place: int) -> int:
        after = place + 1
        while after < len(lines) and lines[after].strip():
            if _FENCE.match(lines[after]) or _TABLE.match(lines[after]) or lines[after].startswith("//"):
                break
            if lines[after].strip() == "+" or _BLOCK_ATTRIBUTES.match(lines[after]):
                break
            after += 1
        taken = [line.strip() for line in lines[place:after]]
        style = self._taken_style()
        if style.startswith(("source", "listing", "literal")):
            self.flow.code("\n".join(lines[place:after]))
            return after
        text = " ".join(line.removesuffix(" +") + ("\n" if line.endswith(" +") else "") for line in taken)
        name = style.split(",")[0].lower()
        named = f"{name.capitalize()}: " if name in _ADMONITIONS and not _ADMONITION.match(text) else ""
        is_attached = place > 0 and lines[place - 1].strip() == "+"
        self.flow.paragraph(named + self._inline(text), depth=1 if is_attached else 0)
        return after
