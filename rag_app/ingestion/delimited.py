"""Reads CSV and TSV: finds the dialect and writes the rows as a table, numbers untouched."""

import csv
import io
import sys
from dataclasses import replace

from rag_app.errors import EmptyFile, TooMuchContent
from rag_app.ingestion.draft import Draft
from rag_app.ingestion.parsed import ParsedDocument
from rag_app.ingestion.sheet import Row, SheetCounter, is_header, write_table

_SAMPLE_LINES = 50


def parse_delimited(text: str, *, tab: bool = False) -> ParsedDocument:
    """Rows as one table; the first row is its header unless it holds numbers like the rest.

    Raises EmptyFile without any cell, TooMuchContent beyond 200,000 rows or 2,000,000 cells.
    """
    rows = _rows(text, "\t" if tab else _delimiter(text))
    if not rows:
        raise EmptyFile("The table holds no cell with content.")
    draft = Draft()
    if len(rows) > 1 and is_header(rows[0].cells):
        rows[0] = replace(rows[0], is_header=True)
    write_table(draft, rows, {})
    metadata = {"rows": str(len(rows)), "columns": str(max(len(row.cells) for row in rows))}
    return draft.finish(metadata=metadata)


def _rows(text: str, delimiter: str) -> list[Row]:
    csv.field_size_limit(min(sys.maxsize, 10_000_000))
    rows: list[Row] = []
    counter = SheetCounter()
    try:
        lines = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=delimiter != "\t")
        for number, cells in enumerate(lines, start=1):
            if any(cell.strip() for cell in cells):
                counter.add(len(cells))
                rows.append(Row(number, cells))
    except csv.Error as problem:
        raise TooMuchContent("One cell of the table is too large: split the file.") from problem
    return rows


def _delimiter(text: str) -> str:
    """The separator that splits the first lines most evenly; a comma when in doubt."""
    lines = [line for line in text[:100_000].split("\n")[:_SAMPLE_LINES] if line.strip()]
    best, best_score = ",", 0.0
    for candidate in (",", ";", "\t", "|"):
        widths = [len(row) for row in csv.reader(lines, delimiter=candidate) if row]
        typical = max(set(widths), key=widths.count, default=1)
        score = widths.count(typical) / max(1, len(widths)) * min(typical - 1, 4)
        if score > best_score:
            best, best_score = candidate, score
    return best
