"""Walks the elements of a page in order and writes down what a reader would see."""

import re
from collections.abc import Sequence

from selectolax.lexbor import LexborNode

from rag_app.ingestion.draft import Draft, one_line, soft_lines
from rag_app.ingestion.tables import pipe_table

_UNSEEN = frozenset(
    [
        "head",
        "script",
        "style",
        "noscript",
        "template",
        "svg",
        "iframe",
        "object",
        "embed",
        "canvas",
        "audio",
        "video",
        "map",
        "select",
        "datalist",
        "dialog",
        "button",
        "input",
        "textarea",
    ]
)
_BLOCKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "center",
        "dd",
        "details",
        "dialog",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "header",
        "hgroup",
        "hr",
        "html",
        "legend",
        "li",
        "main",
        "nav",
        "p",
        "section",
        "summary",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "caption",
    ]
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_HIDDEN_STYLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])|opacity\s*:\s*0(?![.\d])", re.I
)
_DEPTH = 150
_MAX_SPAN = 50


class Walker:
    """Builds a draft from a DOM; what is hidden from readers is left out."""

    def __init__(self) -> None:
        self._draft = Draft()
        self._inline: list[str] = []

    def read(self, body: LexborNode) -> Draft:
        """All that is visible below `body`."""
        self._walk(body, 0)
        self._flush()
        return self._draft

    def _walk(self, parent: LexborNode, depth: int) -> None:
        node = parent.child
        while node is not None:
            self._visit(node, depth)
            node = node.next

    def _visit(self, node: LexborNode, depth: int) -> None:
        tag = node.tag or ""
        if tag == "-text":
            self._inline.append(node.text(deep=False) or "")
        elif self._is_unseen(node, tag):
            return
        elif tag == "br":
            self._inline.append("\x00")
        elif tag in _HEADINGS:
            self._flush()
            self._draft.add("heading", one_line(self._seen_text(node)), level=_HEADINGS[tag])
        elif tag == "pre":
            self._flush()
            self._draft.add("code", self._seen_text(node))
        elif tag in ("ul", "ol", "menu"):
            self._flush()
            self._draft.add("list", "\n".join(self._items(node, depth, 0)))
        elif tag == "table" and self._add_table(node):
            return
        elif depth >= _DEPTH:
            self._inline.append(self._seen_text(node))
        elif tag in _BLOCKS or tag == "table":
            self._flush()
            self._walk(node, depth + 1)
            self._flush()
        else:
            self._walk(node, depth + 1)

    def _flush(self) -> None:
        text = " ".join("".join(self._inline).split()) if self._inline else ""
        self._inline = []
        self._draft.add("paragraph", soft_lines(text.replace("\x00", "\n")))

    def _is_unseen(self, node: LexborNode, tag: str) -> bool:
        if tag in _UNSEEN or tag.startswith(("-", "!", "#")):
            return True
        attributes = node.attributes
        return "hidden" in attributes or _HIDDEN_STYLE.search(attributes.get("style") or "") is not None

    def _seen_text(self, element: LexborNode) -> str:
        """All visible text below an element, in order, with spaces between blocks."""
        out: list[str] = []
        waiting = [element.child] if element.child is not None else []
        while waiting:
            node = waiting.pop()
            if node.next is not None:
                waiting.append(node.next)
            tag = node.tag or ""
            if tag == "-text":
                out.append(node.text(deep=False) or "")
            elif not self._is_unseen(node, tag):
                out.append("\n" if tag == "br" else " " if tag in _BLOCKS else "")
                if node.child is not None:
                    waiting.append(node.child)
        return "".join(out)

    def _items(self, parent: LexborNode, depth: int, indent: int) -> list[str]:
        """One line per item; the lists inside an item follow it, indented."""
        lines: list[str] = []
        number = 1 if parent.tag == "ol" else 0
        node = parent.child
        while node is not None:
            tag = node.tag or ""
            if tag in ("ul", "ol") and depth < _DEPTH:
                lines.extend(self._items(node, depth + 1, indent + 1))
            elif tag == "li" and not self._is_unseen(node, tag):
                own, inner = self._item(node, depth, indent)
                if own:
                    lines.append("  " * min(indent, 8) + (f"{number}. " if number else "- ") + own)
                    number += bool(number)
                lines.extend(inner)
            node = node.next
        return lines

    def _item(self, item: LexborNode, depth: int, indent: int) -> tuple[str, list[str]]:
        own: list[str] = []
        inner: list[str] = []
        waiting = [item.child] if item.child is not None else []
        while waiting:
            node = waiting.pop()
            if node.next is not None:
                waiting.append(node.next)
            tag = node.tag or ""
            if tag == "-text":
                own.append(node.text(deep=False) or "")
            elif tag in ("ul", "ol"):
                if depth < _DEPTH:
                    inner.extend(self._items(node, depth + 1, indent + 1))
            elif not self._is_unseen(node, tag):
                own.append(" " if tag in _BLOCKS or tag == "br" else "")
                if node.child is not None:
                    waiting.append(node.child)
        return one_line("".join(own)), inner

    def _add_table(self, table: LexborNode) -> bool:
        """False for a table that only arranges other things; its cells are then walked like any block."""
        if table.css_first("table table, td h1, td h2, td h3, td p + p") is not None:
            return False
        rows = [row for row in table.css("tr") if not self._is_unseen(row, "tr")]
        grid = cell_grid(self._spanned(rows))
        if len(grid) < 2 or max(len(row) for row in grid) < 2:
            return False
        self._flush()
        caption = table.css_first("caption")
        if caption is not None:
            self._draft.add("paragraph", one_line(self._seen_text(caption)))
        heads = 0
        while heads < len(rows) - 1 and rows[heads].css_first("th") is not None and rows[heads].css_first("td") is None:
            heads += 1
        text, header_chars = pipe_table(grid, header_rows=max(1, min(heads, 4)))
        self._draft.add("table", text, header_chars=header_chars)
        return True

    def _spanned(self, rows: Sequence[LexborNode]) -> list[list[str]]:
        """Cell texts with merged cells filled up by empty ones, so that columns stay in line."""
        grid: list[list[str]] = []
        blocked: dict[int, int] = {}  # column -> how many more rows a cell above reaches into it
        for row in rows:
            line: list[str] = []
            following: dict[int, int] = {column: left - 1 for column, left in blocked.items() if left > 1}
            for cell in row.css("th, td"):
                while len(line) in blocked:
                    line.append("")
                across, down = _span(cell, "colspan"), _span(cell, "rowspan")
                if down > 1:
                    following.update({len(line) + step: down - 1 for step in range(across)})
                line.extend([one_line(self._seen_text(cell))] + [""] * (across - 1))
            grid.append(line)
            blocked = following
        return grid


def _span(cell: LexborNode, name: str) -> int:
    value = cell.attributes.get(name) or "1"
    return min(_MAX_SPAN, max(1, int(value))) if value.isascii() and value.isdecimal() else 1


def cell_grid(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Rows without those that are empty and without columns that are empty everywhere."""
    kept = [list(row) for row in rows if any(cell.strip() for cell in row)]
    width = max((len(row) for row in kept), default=0)
    used = [column for column in range(width) if any(column < len(row) and row[column].strip() for row in kept)]
    return [[row[column] if column < len(row) else "" for column in used] for row in kept]
