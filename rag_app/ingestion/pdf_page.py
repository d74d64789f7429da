"""Reads one PDF page: words to fragments, tables found among them, the rest joined to lines."""

from typing import Any

from rag_app.ingestion.pdf_layout import PageContent, TableText
from rag_app.ingestion.pdf_lines import Fragment, Line, fragments_of, same_line
from rag_app.ingestion.pdf_words import PageReader


def read_page(page: Any, number: int) -> PageContent:
    """Lines and tables of a pypdfium2 page in reading order. Raises PdfiumError on a damaged page."""
    reader = PageReader(page)
    try:
        words = reader.words()
        fragments = fragments_of(words.words)
        return PageContent(number, words.height, list(_lines(fragments, reader)))
    finally:
        reader.close()


def _lines(fragments: list[Fragment], reader: PageReader) -> list[Line | TableText]:
    items: list[Line | TableText] = []
    current: list[Fragment] = []
    for fragment in fragments:
        if current and not same_line(current[-1], fragment):
            items.append(_line(current, reader))
            current = []
        current.append(fragment)
    if current:
        items.append(_line(current, reader))
    return items


def _line(parts: list[Fragment], reader: PageReader) -> Line:
    first, last = parts[0].words[0], parts[-1].words[-1]
    longest = max(parts, key=lambda part: len(part.words))
    bold = reader.is_bold(first.index) and (len(parts[0].words) == 1 == len(parts) or reader.is_bold(last.index))
    return Line(
        " ".join(part.text for part in parts),
        min(part.x0 for part in parts),
        max(part.x1 for part in parts),
        min(part.top for part in parts),
        max(part.bottom for part in parts),
        longest.size,
        bold,
        last.hyphen,
        sum(len(part.words) for part in parts),
    )
