"""Reads CSV and TSV: finds the dialect and writes the rows as a table, numbers untouched."""

import csv
import io
import re
import sys

from rag_app.errors import EmptyFile, TooMuchContent
from rag_app.ingestion.draft import Draft
from rag_app.ingestion.parsed import ParsedDocument
from rag_app.ingestion.tables import pipe_table

MAX_ROWS = 200_000
MAX_CELLS = 2_000_000
_SAMPLE_LINES = 50
_NUMBER = re.compile(r"^[\s$€£¥+\-(]*\d[\d.,\s%)eE+\-:/]*$")


def parse_delimited(text: str, *, tab: bool = False) -> ParsedDocument:
    """Rows as one table; the first row is its header unless it holds numbers like the rest.

    Raises EmptyFile without any cell, TooMuchContent beyond 200,000 rows or 2,000,000 cells.
    """
    rows = _rows(text, "\t" if tab else _delimiter(text))
    if not rows:
        raise EmptyFile("The table holds no cell with content.")
    draft = Draft()
    table, header_chars = pipe_table(rows, header_rows=1 if _has_header(rows) else 0)
    draft.add("table", table, header_chars=header_chars)
    metadata = {"rows": str(len(rows)), "columns": str(max(len(row) for row in rows))}
    return draft.finish(metadata=metadata)


def _rows(text: str, delimiter: str) -> list[list[str]]:
    csv.field_size_limit(min(sys.maxsize, 10_000_000))
    rows: list[list[str]] = []
    cells = 0
    try:
        for row in csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=delimiter != "\t"):
            if any(cell.strip() for cell in row):
                rows.append(row)
                cells += len(row)
            if len(rows) > MAX_ROWS or cells > MAX_CELLS:
                raise TooMuchContent(f"The table has more than {MAX_ROWS:,} rows or {MAX_CELLS:,} cells: split it.")
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


def _has_header(rows: list[list[str]]) -> bool:
    """A header has no numbers and no empty first cells, or the column below holds numbers where it has words."""
    if len(rows) < 2:
        return False
    return not any(_NUMBER.match(cell) and not re.fullmatch(r"\s*(?:19|20)\d\d\s*", cell) for cell in rows[0])
