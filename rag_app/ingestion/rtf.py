"""Reads rich text files (RTF): headings, lists, tables, notes and fields, in whatever code page they were written."""

from collections.abc import Callable
from dataclasses import dataclass, field

from rag_app.errors import DamagedFile, NoText, TooMuchContent
from rag_app.ingestion.draft import Draft, one_line, soft_lines
from rag_app.ingestion.original import Original, content_of
from rag_app.ingestion.parsed import ParsedDocument
from rag_app.ingestion.rtf_tokens import CHARACTERS, CODE_PAGES, SKIPPED, Token, tokens_of
from rag_app.ingestion.tables import pipe_table

MAX_RTF_BYTES = 100_000_000
_DEEPEST_GROUP = 2_000
_HEADING_NAMES = ("heading ", "überschrift ", "titre ", "título ", "titolo ", "kop ")


@dataclass(slots=True)
class _Group:
    """What holds inside one pair of braces."""

    destination: str = "body"
    skipped: bool = False
    hidden: bool = False
    font: int = -1
    fallback: int = 1  # how many characters stand in for one that not every reader knows


@dataclass(slots=True)
class _Paragraph:
    """What is known of the paragraph being read."""

    level: int = 0
    marker: str = ""
    depth: int = 0
    in_table: bool = False


@dataclass(slots=True)
class _Tables:
    """The table being read."""

    rows: list[list[str]] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    heads: int = 0
    is_head: bool = False


def parse_rtf(path: Original) -> ParsedDocument:
    """The document with its structure. Raises DamagedFile, NoText, TooMuchContent."""
    data = content_of(path)
    if len(data) > MAX_RTF_BYTES:
        raise TooMuchContent()
    if not data.lstrip().startswith(b"{\\rtf"):
        raise DamagedFile("The file is not a rich text file: it does not begin with {\\rtf.")
    reader = _Reader()
    for token in tokens_of(data):
        reader.read(token)
    return reader.finish()


class _Reader:
    """Follows the groups of a file and writes what they show."""

    def __init__(self) -> None:
        self._draft = Draft()
        self._groups = [_Group()]
        self._page = "cp1252"
        self._fonts: dict[int, str] = {}
        self._levels: dict[int, int] = {}  # style number -> heading level
        self._style = -1
        self._style_level = 0
        self._info: dict[str, str] = {}
        self._text: list[str] = []
        self._bytes = bytearray()
        self._swallow = 0
        self._paragraph = _Paragraph()
        self._tables = _Tables()
        self._items: list[str] = []
        self._notes: list[str] = []
        self._starred = False
        self._words: dict[str, Callable[[int | None], None]] = {
            "par": self._end_paragraph, "sect": self._end_paragraph, "page": self._end_paragraph,
            "cell": self._end_cell, "nestcell": self._end_cell, "row": self._end_row, "nestrow": self._end_row,
            "pard": self._plain_paragraph, "trowd": self._begin_row, "intbl": self._inside_table,
            "trhdr": self._head_row, "s": self._use_style, "outlinelevel": self._outline, "ilvl": self._depth,
            "ansicpg": self._code_page, "f": self._font, "fcharset": self._charset, "uc": self._fallback,
            "u": self._unicode, "v": self._hide, "plain": self._unhide, "deleted": self._hide,
        }  # fmt: skip

    def read(self, token: Token) -> None:
        """One token of the file."""
        if token.kind == "open":
            self._open()
        elif token.kind == "close":
            self._close()
        elif token.kind == "word":
            self._word(token.name, token.number)
        elif token.kind == "star":
            self._starred = True
        elif token.kind == "bytes":
            self._write(token.data)

    def finish(self) -> ParsedDocument:
        """The document. Raises NoText."""
        self._end_paragraph(None)
        self._end_table()
        self._flush_list()
        if not len(self._draft):
            raise NoText("The document holds no text.")
        return self._draft.finish(title=self._info.get("title", ""), metadata=self._info)

    @property
    def _group(self) -> _Group:
        return self._groups[-1]

    def _open(self) -> None:
        self._decode()
        group = self._group
        if len(self._groups) > _DEEPEST_GROUP:
            raise DamagedFile("The file is nested too deeply to be read.")
        self._groups.append(_Group(group.destination, group.skipped, group.hidden, group.font, group.fallback))
        self._starred = False

    def _close(self) -> None:
        self._decode()
        if len(self._groups) == 1:
            return
        closed = self._groups.pop()
        if closed.skipped or closed.destination == self._group.destination:
            return
        if closed.destination == "footnote":
            self._paragraph, self._text = self._outer
            self._notes.append(one_line("".join(self._note)))
        elif closed.destination in ("title", "author", "subject", "keywords"):
            value = one_line("".join(self._text))
            self._text = []
            if value:
                self._info[closed.destination] = value[:1000]
        elif closed.destination == "marker":
            self._paragraph.marker = one_line("".join(self._text)) or "-"
            self._text = self._before_marker
        elif closed.destination == "style":
            self._name_style()

    def _word(self, name: str, number: int | None) -> None:
        self._decode()
        group, starred = self._group, self._starred
        self._starred = False
        if name in CHARACTERS:
            self._put(CHARACTERS[name])
        elif group.skipped:
            return
        elif name in SKIPPED or (starred and name not in ("shppict", "footnote", "pntext", "cs", "shpinst", "shptxt")):
            group.skipped = name not in ("shpinst", "shptxt") or name in SKIPPED
        elif name in ("footnote", "listtext", "pntext", "stylesheet", "fonttbl", "info"):
            self._begin(name)
        elif group.destination == "info" and name in ("title", "author", "subject", "keywords"):
            group.destination, self._text = name, []
        elif name in self._words:
            self._words[name](number)

    def _begin(self, name: str) -> None:
        group = self._group
        if name == "footnote":
            self._outer: tuple[_Paragraph, list[str]] = (self._paragraph, self._text)
            self._note: list[str] = []
            self._paragraph, self._text = _Paragraph(), self._note
        elif name in ("listtext", "pntext"):
            self._before_marker, self._text = self._text, []
            name = "marker"
        elif name == "stylesheet":
            self._text = []
        group.destination = name

    def _write(self, data: bytes) -> None:
        if self._group.skipped:
            return
        if self._swallow:
            taken = min(self._swallow, len(data))
            self._swallow -= taken
            data = data[taken:]
        self._bytes += data

    def _decode(self) -> None:
        if self._bytes:
            page = self._fonts.get(self._group.font, self._page)
            text = bytes(self._bytes).decode(page, errors="replace")
            self._bytes.clear()
            self._put(text)

    def _put(self, text: str) -> None:
        group = self._group
        if group.skipped or group.hidden or group.destination in ("fonttbl", "info"):
            return
        if group.destination in ("stylesheet", "style"):
            self._read_style_name(text)
        else:
            self._text.append(text)

    # --- words ---

    def _end_paragraph(self, _: int | None) -> None:
        if self._group.destination == "footnote":
            self._text.append(" ")
            return
        if self._paragraph.in_table and (self._tables.cells or self._tables.rows or self._text):
            self._text.append("\n")
            return
        self._end_table()
        text, self._text = "".join(self._text), []
        paragraph = self._paragraph
        if text.strip() and paragraph.marker and not paragraph.level:
            is_number = any(char.isalnum() for char in paragraph.marker) and len(paragraph.marker) > 1
            marker = paragraph.marker if is_number else "-"
            self._items.append("  " * min(8, paragraph.depth) + f"{marker} {one_line(text)}")
        elif text.strip():
            self._flush_list()
            if paragraph.level:
                self._draft.add("heading", one_line(text), level=paragraph.level)
            else:
                self._draft.add("paragraph", soft_lines(text))
        paragraph.marker = ""
        notes, self._notes = self._notes, []
        for note in notes:
            self._flush_list()
            self._draft.add("paragraph", f"Note: {note}")

    def _end_cell(self, _: int | None) -> None:
        self._tables.cells.append(one_line("".join(self._text)))
        self._text = []

    def _end_row(self, _: int | None) -> None:
        tables = self._tables
        if tables.is_head and tables.heads == len(tables.rows):
            tables.heads += 1
        if tables.cells:
            tables.rows.append(tables.cells)
        tables.cells, tables.is_head = [], False

    def _end_table(self) -> None:
        tables, self._tables = self._tables, _Tables()
        if tables.cells:
            tables.rows.append(tables.cells)
        if tables.rows:
            self._flush_list()
            text, header_chars = pipe_table(tables.rows, header_rows=max(1, tables.heads))
            self._draft.add("table", text, header_chars=header_chars)

    def _flush_list(self) -> None:
        items, self._items = self._items, []
        self._draft.add("list", "\n".join(items))

    def _plain_paragraph(self, _: int | None) -> None:
        if self._group.destination == "body":
            self._paragraph.level, self._paragraph.depth, self._paragraph.in_table = 0, 0, False

    def _begin_row(self, _: int | None) -> None:
        if not self._tables.rows and not self._tables.cells and "".join(self._text).strip():
            self._paragraph.in_table = False
            self._end_paragraph(None)
        self._tables.is_head = False

    def _head_row(self, _: int | None) -> None:
        self._tables.is_head = True

    def _inside_table(self, _: int | None) -> None:
        self._paragraph.in_table = True

    def _depth(self, number: int | None) -> None:
        self._paragraph.depth = max(0, number or 0)

    def _outline(self, number: int | None) -> None:
        level = min(6, (number or 0) + 1) if number is not None and 0 <= number < 9 else 0
        if self._group.destination in ("stylesheet", "style"):
            self._style_level = level
        else:
            self._paragraph.level = level

    def _use_style(self, number: int | None) -> None:
        if self._group.destination in ("stylesheet", "style"):
            self._group.destination, self._style, self._style_level, self._text = "style", number or 0, 0, []
        else:
            self._paragraph.level = self._levels.get(number or 0, 0)

    def _read_style_name(self, text: str) -> None:
        if self._group.destination == "style":
            self._text.append(text)

    def _name_style(self) -> None:
        name = "".join(self._text).strip(" ;").lower()
        self._text = []
        level = self._style_level
        for start in _HEADING_NAMES:
            digit = name.removeprefix(start)[:1]
            if name.startswith(start) and digit.isdecimal() and digit != "0":
                level = min(6, int(digit))
        if name in ("title", "titel", "titre", "título", "titolo"):
            level = 1
        if level:
            self._levels[self._style] = level

    def _code_page(self, number: int | None) -> None:
        self._page = _known(f"cp{number}") or self._page

    def _font(self, number: int | None) -> None:
        self._group.font = number or 0

    def _charset(self, number: int | None) -> None:
        page = CODE_PAGES.get(number or 0)
        if page and self._group.destination == "fonttbl":
            self._fonts[self._group.font] = page

    def _fallback(self, number: int | None) -> None:
        self._group.fallback = min(10, max(0, number if number is not None else 1))

    def _unicode(self, number: int | None) -> None:
        code = (number or 0) % 0x10000
        self._swallow = self._group.fallback
        if 0xD800 <= code < 0xDC00:
            self._high = code
        elif 0xDC00 <= code < 0xE000:
            high, self._high = getattr(self, "_high", 0), 0
            self._put(chr(0x10000 + ((high - 0xD800) << 10) + code - 0xDC00) if high else "\ufffd")
        else:
            self._put(chr(code))

    def _hide(self, number: int | None) -> None:
        self._group.hidden = number != 0

    def _unhide(self, _: int | None) -> None:
        self._group.hidden = False


def _known(page: str) -> str:
    try:
        "".encode(page)
    except LookupError:
        return ""
    return page
