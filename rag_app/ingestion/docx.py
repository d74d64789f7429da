"""Reads Word documents: headings, lists, tables, notes, straight from their XML with nothing resolved or fetched."""

from collections.abc import Iterator

from lxml import etree

from rag_app.errors import DamagedFile, NoText
from rag_app.ingestion.docx_styles import Styles
from rag_app.ingestion.draft import Draft, one_line
from rag_app.ingestion.office_package import Package, attribute, name_of
from rag_app.ingestion.original import Original
from rag_app.ingestion.parsed import ParsedDocument
from rag_app.ingestion.tables import pipe_table

# Deleted and moved-away text, field codes, and the second copy of drawings.
_UNSHOWN = frozenset({"del", "moveFrom", "instrText", "delText", "Fallback", "rPr", "pPr", "sectPr"})
_DEPTH = 60


def parse_docx(path: Original) -> ParsedDocument:
    """The document with its structure. Raises DamagedFile, EncryptedFile, NoText, TooMuchContent."""
    with Package(path) as package:
        body = package.xml("word/document.xml")
        if body is None:
            raise DamagedFile("The file is not a Word document: its main part is missing.")
        return _Reader(package).read(body)


class _Reader:
    """Walks the body of one document."""

    def __init__(self, package: Package) -> None:
        self._draft = Draft()
        self._styles = Styles(package)
        self._notes = {kind: _notes(package, kind) for kind in ("footnote", "endnote")}
        self._pending_notes: list[str] = []
        self._list: list[str] = []
        self._metadata = package.metadata()

    def read(self, body: etree._Element) -> ParsedDocument:
        self._walk(body, depth=0)
        self._flush_list()
        if not len(self._draft):
            raise NoText("The document holds no text.")
        title = self._metadata.get("title", "") or self._styles.title
        return self._draft.finish(title=title, metadata=self._metadata)

    def _walk(self, parent: etree._Element, *, depth: int) -> None:
        for child in parent:
            name = name_of(child)
            if name == "p":
                self._paragraph(child, depth)
            elif name == "tbl":
                self._table(child)
            elif name not in _UNSHOWN and len(child) and depth < _DEPTH:
                self._walk(child, depth=depth + 1)

    def _paragraph(self, element: etree._Element, depth: int) -> None:
        text = self._text(element).strip()
        style = self._styles.of(element)
        if style.marker is not None and text and not style.level:
            self._list.append("  " * min(style.depth, 8) + style.marker + one_line(text))
        elif text:
            self._flush_list()
            if style.level:
                self._styles.remember_title(style, text)
                self._draft.add("heading", one_line(text), level=style.level)
            else:
                self._draft.add("code" if style.code else "paragraph", text)
        self._flush_notes()
        for box in element.iter("{*}txbxContent"):
            if depth < _DEPTH and not any(name_of(outer) in _UNSHOWN for outer in box.iterancestors()):
                self._walk(box, depth=depth + 10)

    def _flush_list(self) -> None:
        items, self._list = self._list, []
        self._draft.add("list", "\n".join(items))

    def _flush_notes(self) -> None:
        notes, self._pending_notes = self._pending_notes, []
        if notes and not self._list:
            for note in notes:
                self._draft.add("paragraph", note)
        else:
            self._list.extend("  " + note for note in notes)

    def _text(self, element: etree._Element, *, boxes: bool = False) -> str:
        """Shown text of a paragraph. Notes it refers to are queued, to follow the paragraph."""
        out: list[str] = []
        for child in _shown(element, boxes=boxes):
            name = name_of(child)
            if name == "t":
                out.append(child.text or "")
            elif name in ("tab", "ptab"):
                out.append("\t")
            elif name in ("br", "cr"):
                out.append("\n")
            elif name == "noBreakHyphen":
                out.append("-")
            elif name in ("footnoteReference", "endnoteReference"):
                note = self._notes[name.removesuffix("Reference")].get(attribute(child, "id"))
                if note:
                    self._pending_notes.append(f"Note: {note}")
        return "".join(out)

    def _table(self, table: etree._Element) -> None:
        self._flush_list()
        rows: list[list[str]] = []
        heads = 0
        for row in (child for child in table.iter("{*}tr") if _nearest(child, "tbl") is table):
            properties = row.find("{*}trPr")
            if properties is not None and properties.find("{*}tblHeader") is not None and heads == len(rows):
                heads += 1
            rows.append(
                [text for cell in row.iter("{*}tc") if _nearest(cell, "tr") is row for text in self._cell(cell)]
            )
        if len(rows) == 1 and len([cell for cell in rows[0] if cell]) == 1:
            self._draft.add("paragraph", " ".join(rows[0]))
        else:
            text, header_chars = pipe_table(rows, header_rows=max(1, heads))
            self._draft.add("table", text, header_chars=header_chars)
        self._flush_notes()

    def _cell(self, cell: etree._Element) -> list[str]:
        properties = cell.find("{*}tcPr")
        span, continued = 1, False
        if properties is not None:
            grid = properties.find("{*}gridSpan")
            if grid is not None and attribute(grid, "val").isdecimal():
                span = min(100, max(1, int(attribute(grid, "val"))))
            merge = properties.find("{*}vMerge")
            continued = merge is not None and attribute(merge, "val") in ("", "continue")
        text = "" if continued else " ".join(self._text(each, boxes=True) for each in cell.iter("{*}p"))
        return [text] + [""] * (span - 1)


def _shown(element: etree._Element, *, boxes: bool) -> Iterator[etree._Element]:
    """Descendants that a reader sees, without hidden runs, and without text boxes (they are walked on their own)."""
    waiting = list(reversed(element))
    while waiting:
        child = waiting.pop()
        name = name_of(child)
        if name in _UNSHOWN or (name == "txbxContent" and not boxes) or (name == "r" and _is_hidden(child)):
            continue
        yield child
        waiting.extend(reversed(child))


def _is_hidden(run: etree._Element) -> bool:
    properties = run.find("{*}rPr")
    hidden = properties.find("{*}vanish") if properties is not None else None
    return hidden is not None and attribute(hidden, "val") not in ("0", "false", "off")


def _nearest(element: etree._Element, name: str) -> etree._Element | None:
    return next((outer for outer in element.iterancestors() if name_of(outer) == name), None)


def _notes(package: Package, kind: str) -> dict[str, str]:
    root = package.xml(f"word/{kind}s.xml")
    if root is None:
        return {}
    found = {}
    for note in root:
        text = one_line("".join(each.text or "" for each in note.iter("{*}t")))
        if text and attribute(note, "type") not in ("separator", "continuationSeparator"):
            found[attribute(note, "id")] = text
    return found
