"""Reads one PDF page: words to fragments, tables found among them, the rest joined to lines."""

from typing import Any

from rag_app.ingestion.pdf_lattice import ruled_tables
from rag_app.ingestion.pdf_layout import PageContent, TableText
from rag_app.ingestion.pdf_lines import Fragment, Line, fragments_of, same_line
from rag_app.ingestion.pdf_rows import NUMBER, Grid, aligned_tables, rows_of
from rag_app.ingestion.pdf_rules import rules_of
from rag_app.ingestion.pdf_words import PageReader, PageWords
from rag_app.ingestion.tables import pipe_table

_ROW_HEIGHT = 12.0
_SIGNS = frozenset("$€£¥%")
_FEWEST_ROWS = 2  # with several cells; a page with fewer holds no table


def read_page(page: Any, number: int) -> PageContent:
    """Lines and tables of a pypdfium2 page in reading order. Raises PdfiumError on a damaged page."""
    reader = PageReader(page)
    try:
        words = reader.words()
        fragments = fragments_of(words.words)
        tables = _tables(page, words, fragments)
        return PageContent(number, words.height, _items(fragments, tables, reader), words.junk)
    finally:
        reader.close()


def _tables(page: Any, words: PageWords, fragments: list[Fragment]) -> list[Grid]:
    """Tables with drawn cells, then those that show by alignment among the rest."""
    rows = rows_of(fragments)
    if sum(len(row.cells) > 1 for row in rows) < _FEWEST_ROWS:
        return []
    aligned = list(aligned_tables(rows))
    drawn = ruled_tables(fragments, rules_of(page, turn=words.turn, box=words.box))
    ruled = [table for table in drawn if not any(_is_better(other, table) for other in aligned)]
    taken = {number for table in ruled for number in table.fragments}
    if not taken:
        return aligned
    return ruled + list(aligned_tables(rows_of([each for each in fragments if each.number not in taken])))


def _is_better(aligned: Grid, ruled: Grid) -> bool:
    """Whether rules and shades only adorn a table of numbers, which alignment shows as well or more completely."""
    (_, top, _, bottom), (_, other_top, _, other_bottom) = ruled.box, aligned.box
    shared = min(bottom, other_bottom) - max(top, other_top)
    values = [cell for row in aligned.rows[aligned.header_rows :] for cell in row[1:] if cell]
    numbers = sum(bool(NUMBER.match(cell)) for cell in values)
    if shared <= 0.5 * (bottom - top) or numbers <= 0.8 * len(values):
        return False
    more = (other_bottom - other_top) - shared > 1.5 * _ROW_HEIGHT
    return more or any(cell in _SIGNS for row in ruled.rows for cell in row)


def _items(fragments: list[Fragment], tables: list[Grid], reader: PageReader) -> list[Line | TableText]:
    """Lines in the order of the file; a table stands where its first fragment would."""
    owner = {number: table for table in tables for number in table.fragments}
    written: set[int] = set()
    items: list[Line | TableText] = []
    current: list[Fragment] = []
    for fragment in fragments:
        table = owner.get(fragment.number)
        if current and (table is not None or not same_line(current[-1], fragment)):
            items.append(_line(current, reader))
            current = []
        if table is None:
            current.append(fragment)
        elif id(table) not in written:
            written.add(id(table))
            text, header_chars = pipe_table(table.rows, header_rows=table.header_rows)
            items.append(TableText(text, header_chars, table.box[1]))
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
