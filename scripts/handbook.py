"""Makes rag_app/samples/handbook.pdf, the administrator's handbook, from docs/operations.md and docs/security.md.

Run it after changing one of them: `.venv/bin/python scripts/handbook.py`. The same text always gives the same bytes.
"""

import io
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from markdown_it import MarkdownIt
from markdown_it.token import Token
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, PageBreak, Paragraph, Preformatted, SimpleDocTemplate, Spacer, Table

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("docs/operations.md", "docs/security.md")
TARGET = ROOT / "rag_app" / "samples" / "handbook.pdf"
TITLE = "Administrator's handbook"
WIDTH = A4[0] - 44 * mm
# Signs that the fonts every PDF reader has do not know.
PLAIN = str.maketrans({"→": ">", "≥": ">=", "≤": "<=", "›": ">"})
TEXT = ParagraphStyle("text", fontName="Helvetica", fontSize=10, leading=14, spaceAfter=6)
CELL = ParagraphStyle("cell", parent=TEXT, fontSize=8.5, leading=11, spaceAfter=0)
ITEM = ParagraphStyle("item", parent=TEXT, leftIndent=14, bulletIndent=4, spaceAfter=3)
CODE = ParagraphStyle("code", fontName="Courier", fontSize=8.5, leading=11, spaceAfter=8, leftIndent=8)
HEADING = {
    level: ParagraphStyle(
        f"h{level}", fontName="Helvetica-Bold", fontSize=size, leading=size * 1.3, spaceBefore=before, spaceAfter=4
    )
    for level, size, before in ((1, 20, 0), (2, 14, 12), (3, 11.5, 8))
}
MARKS = {"strong_open": "<b>", "strong_close": "</b>", "em_open": "<i>", "em_close": "</i>"}


def inline(token: Token) -> str:
    """The text of a block as the markup of a paragraph; of links only the text stays."""
    parts = []
    for child in token.children or []:
        text = escape(child.content.translate(PLAIN))
        if child.type == "code_inline":
            parts.append(f'<font face="Courier" size="-0.5">{text}</font>')
        elif child.type == "softbreak":
            parts.append(" ")
        else:
            parts.append(MARKS.get(child.type, text))
    return "".join(parts)


def table(rows: list[list[str]]) -> Table:
    """A ruled table whose first row is repeated on each page."""
    cells = [
        [Paragraph(f"<b>{cell}</b>" if not number else cell, CELL) for cell in row] for number, row in enumerate(rows)
    ]
    made = Table(cells, colWidths=_widths(cells), repeatRows=1, spaceAfter=10)
    made.setStyle(
        [
            ("GRID", (0, 0), (-1, -1), 0.4, colors.grey),
            ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ]
    )
    return made


def _widths(cells: list[list[Paragraph]]) -> list[float]:
    """Each column fits its longest word, so that no name is broken; the rest goes to those with more text."""
    columns = list(zip(*cells, strict=True))
    least = [max(cell.minWidth() for cell in column) + 14 for column in columns]
    wanted = [max(len(cell.getPlainText()) for cell in column) for column in columns]
    spare = WIDTH - sum(least)
    return [width + spare * want / sum(wanted) for width, want in zip(least, wanted, strict=True)]


def flowables(markdown: str) -> Iterator[Flowable]:
    """The document as what a page is made of."""
    rows: list[list[str]] = []
    numbers: list[int | None] = []
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    for before, token in pairwise([Token("", "", 0), *tokens]):
        match token.type:
            case "tr_open":
                rows.append([])
            case "table_close":
                yield table(rows)
                rows = []
            case "bullet_list_open" | "ordered_list_open":
                numbers.append(1 if token.type == "ordered_list_open" else None)
            case "bullet_list_close" | "ordered_list_close":
                numbers.pop()
            case "fence" | "code_block":
                yield Preformatted(token.content.translate(PLAIN).rstrip(), CODE)
            case "inline" if before.type in ("th_open", "td_open"):
                rows[-1].append(inline(token))
            case "inline":
                yield _block(inline(token), before, numbers)


def _block(text: str, before: Token, numbers: list[int | None]) -> Flowable:
    if before.type == "heading_open":
        return Heading(text, int(before.tag[1]))
    return Paragraph(text, ITEM, bulletText=_bullet(numbers)) if numbers else Paragraph(text, TEXT)


def _bullet(numbers: list[int | None]) -> str:
    number = numbers[-1]
    if number is None:
        return "•"
    numbers[-1] = number + 1
    return f"{number}."


class Heading(Paragraph):  # type: ignore[misc]  # the library has no types
    """A heading that also stands in the outline."""

    def __init__(self, text: str, level: int) -> None:
        super().__init__(text, HEADING.get(level, HEADING[3]))
        self.level = level
        self.keepWithNext = True

    def draw(self) -> None:
        """Draw the text and set the mark of the outline."""
        key = f"{self.level}-{self.getPlainText()}"
        self.canv.bookmarkPage(key)
        self.canv.addOutlineEntry(self.getPlainText(), key, self.level - 1)
        super().draw()


def footer(canvas: Canvas, document: Any) -> None:
    """Title and page number at the bottom of each page."""
    canvas.setFont("Helvetica", 8)
    canvas.drawString(22 * mm, 12 * mm, f"rag_app · {TITLE}")
    canvas.drawRightString(A4[0] - 22 * mm, 12 * mm, str(document.page))


def handbook() -> bytes:
    """The whole PDF."""
    story: list[Flowable] = [Paragraph(TITLE, HEADING[1]), Spacer(1, 6 * mm)]
    for number, part in enumerate(PARTS):
        story += [PageBreak()] if number else []
        story += flowables((ROOT / part).read_text(encoding="utf-8"))
    output = io.BytesIO()
    margins = {"leftMargin": 22 * mm, "rightMargin": 22 * mm, "topMargin": 20 * mm, "bottomMargin": 22 * mm}
    # Uncompressed, so that the bytes do not depend on a version of zlib; `invariant` leaves out the date.
    document = SimpleDocTemplate(
        output, pagesize=A4, title=TITLE, author="rag_app", invariant=1, pageCompression=0, **margins
    )
    document.build(story, onFirstPage=footer, onLaterPages=footer)
    return output.getvalue()


def main() -> int:
    """Write the file."""
    TARGET.write_bytes(handbook())
    sys.stderr.write(f"{TARGET.relative_to(ROOT)}: {TARGET.stat().st_size} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
