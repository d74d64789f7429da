"""Writes the running text of an OpenDocument file: headings, lists, tables, notes, frames; no tracked deletions."""

from collections.abc import Mapping

from lxml import etree

from rag_app.ingestion.draft import Draft, one_line, soft_lines
from rag_app.ingestion.office_package import attribute, name_of
from rag_app.ingestion.tables import pipe_table

# Deleted text, comments, declarations, contents lists that repeat all headings, scripts, the names of pictures.
_UNSHOWN = frozenset(
    ["tracked-changes", "annotation", "annotation-end", "sequence-decls", "variable-decls", "user-field-decls", "forms",
     "index-title-template", "table-of-content-source", "script", "title", "desc", "event-listeners", "image",
     "change", "change-start", "change-end", "note", "tab-stops", "shapes", "ruby-text", "soft-page-break"]
)  # fmt: skip
_MOST_SPACES = 200
_MOST_COLUMNS = 1_000
_DEPTH = 60


class OdfText:
    """Writes elements of a document into a draft."""

    def __init__(self, draft: Draft, styles: Mapping[str, etree._Element]) -> None:
        self._draft = draft
        self._styles = styles
        self._items: list[str] = []
        self.title = ""

    def walk(self, parent: etree._Element, depth: int = 0) -> None:
        """All that is shown below an element, in order."""
        for child in parent:
            name = name_of(child)
            if name in ("p", "h"):
                self._paragraph(child, name, depth)
            elif name == "list":
                self._list(child, 0)
            elif name == "table":
                self.flush()
                self._table(child)
            elif name not in _UNSHOWN and depth < _DEPTH and attribute(child, "display") != "none":
                self.walk(child, depth + 1)

    def flush(self) -> None:
        """Write the list that is being gathered."""
        items, self._items = self._items, []
        self._draft.add("list", "\n".join(items))

    def plain(self, element: etree._Element) -> str:
        """The shown text of an element; its paragraphs on lines of their own."""
        out: list[str] = []
        self._gather(element, out, 0)
        return "".join(out).strip("\n")

    def _paragraph(self, element: etree._Element, name: str, depth: int) -> None:
        self.flush()
        text = self.plain(element)
        level = attribute(element, "outline-level")
        style = self._style_names(attribute(element, "style-name"))
        if name == "h":
            number = min(6, max(1, int(level))) if level.isdecimal() else 1
            self._draft.add("heading", one_line(text), level=number)
            self.title = self.title or (one_line(text) if number == 1 else "")
        elif "title" in style and text.strip():
            self._draft.add("heading", one_line(text), level=1)
            self.title = one_line(text)
        else:
            is_code = bool(style & {"preformatted_20_text", "preformatted text", "source code", "source_20_code"})
            if is_code and self._draft.last_kind == "code":
                self._draft.extend(text, glue="\n")
            else:
                self._draft.add("code" if is_code else "paragraph", text if is_code else soft_lines(text))
        self._notes(element)
        for frame in element.iter("{*}text-box"):
            if depth < _DEPTH:
                self.walk(frame, depth + 10)

    def _style_names(self, name: str) -> set[str]:
        """The style of a paragraph and what it is made from, in small letters."""
        found: set[str] = set()
        while name and name.lower() not in found and len(found) < 20:
            found.add(name.lower())
            style = self._styles.get(name)
            name = attribute(style, "parent-style-name") if style is not None else ""
        return found

    def _notes(self, element: etree._Element) -> None:
        for note in element.iter("{*}note"):
            body = note.find("{*}note-body")
            if body is not None:
                self._draft.add("paragraph", f"Note: {one_line(self.plain(body))}")

    def _list(self, parent: etree._Element, depth: int) -> None:
        number = 0
        for item in parent:
            if name_of(item) not in ("list-item", "list-header"):
                continue
            number += 1
            first = True
            for child in item:
                name = name_of(child)
                if name == "list" and depth < _DEPTH:
                    self._list(child, depth + 1)
                elif name == "h":
                    self._paragraph(child, "h", depth)
                elif name == "p" and self.plain(child).strip():
                    self._items.append("  " * min(depth, 8) + ("- " if first else "  ") + one_line(self.plain(child)))
                    first = False

    def _table(self, table: etree._Element) -> None:
        heads = sum(1 for group in table.findall("{*}table-header-rows") for _ in group.findall("{*}table-row"))
        rows = [self._cells(row) for row in table.iter("{*}table-row") if _nearest_table(row) is table]
        text, header_chars = pipe_table(rows, header_rows=max(1, heads))
        self._draft.add("table", text, header_chars=header_chars)

    def _cells(self, row: etree._Element) -> list[str]:
        found: list[str] = []
        for cell in row:
            name = name_of(cell)
            if name in ("table-cell", "covered-table-cell") and len(found) < _MOST_COLUMNS:
                text = one_line(self.plain(cell)) if name == "table-cell" else ""
                found.extend([text] * min(repeated(cell, "number-columns-repeated"), _MOST_COLUMNS - len(found)))
        while found and not found[-1]:
            found.pop()
        return found

    def _gather(self, element: etree._Element, out: list[str], depth: int) -> None:
        out.append(element.text or "" if name_of(element) not in _CONTAINERS else "")
        for child in element:
            name = name_of(child)
            if name == "s":
                count = attribute(child, "c")
                out.append(" " * (min(int(count), _MOST_SPACES) if count.isdecimal() else 1))
            elif name == "tab":
                out.append("\t")
            elif name == "line-break":
                out.append("\n")
            elif name not in _UNSHOWN and name != "text-box" and depth < _DEPTH * 4:
                self._gather(child, out, depth + 1)
                out.append("\n" if name in ("p", "h") else "")
            elif name == "text-box" and name_of(element) == "frame" and depth < 2:
                self._gather(child, out, depth + 1)
            out.append((child.tail or "") if name_of(element) not in _CONTAINERS else "")


_CONTAINERS = frozenset(
    ["table-cell", "list", "list-item", "list-header", "text-box", "frame", "note-body", "section", "notes", "text"]
)


def repeated(element: etree._Element, name: str) -> int:
    """How often a row or cell stands, at least once."""
    count = attribute(element, name)
    return max(1, int(count)) if count.isdecimal() and len(count) < 10 else 1


def is_hidden_style(style: etree._Element | None) -> bool:
    """Whether a style hides the table or page that has it."""
    if style is None:
        return False
    shown = [attribute(child, "display") for child in style if name_of(child) == "table-properties"]
    visible = [attribute(child, "visibility") for child in style if name_of(child) == "drawing-page-properties"]
    return "false" in shown or "hidden" in visible


def _nearest_table(element: etree._Element) -> etree._Element | None:
    return next((outer for outer in element.iterancestors() if name_of(outer) == "table"), None)
