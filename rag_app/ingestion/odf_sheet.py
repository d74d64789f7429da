"""The rows of an OpenDocument spreadsheet: repeated and merged cells spelled out, each cell as it is shown."""

from collections.abc import Iterator

from lxml import etree

from rag_app.ingestion.draft import one_line
from rag_app.ingestion.odf_text import OdfText, repeated
from rag_app.ingestion.office_package import attribute, name_of
from rag_app.ingestion.sheet import Row, SheetCounter

_MOST_REPEATED = 1_000  # of a row with content; empty ones may repeat a million times
_MOST_COLUMNS = 16_384


def sheet_rows(table: etree._Element, text: OdfText, *, counter: SheetCounter, hidden: frozenset[int]) -> list[Row]:
    """All rows with content, as the spreadsheet counts them, without hidden columns. Raises TooMuchContent."""
    found: list[Row] = []
    number = 1
    reaching: dict[int, tuple[int, str]] = {}  # column -> how many more rows a merged cell reaches down, its text
    for row, is_header in _rows(table):
        count = repeated(row, "number-rows-repeated")
        cells = _cells(row, text, reaching)
        shown = [cells.get(column, "") for column in range(max(cells, default=-1) + 1) if column not in hidden]
        if any(shown):
            for step in range(min(count, _MOST_REPEATED)):
                counter.add(len(cells))
                found.append(Row(number + step, shown, is_header))
        number += count
    return found


def _rows(table: etree._Element) -> Iterator[tuple[etree._Element, bool]]:
    """Rows in order, also those of groups, and whether they are header rows."""
    for row in table.iter("{*}table-row"):
        outer = [name_of(each) for each in row.iterancestors()]
        if outer.index("table") == outer.index("spreadsheet") - 1:  # not one of a table inside a cell
            yield row, "table-header-rows" in outer


def _cells(row: etree._Element, text: OdfText, reaching: dict[int, tuple[int, str]]) -> dict[int, str]:
    found: dict[int, str] = {}
    column = 0
    for cell in row:
        name = name_of(cell)
        if name not in ("table-cell", "covered-table-cell") or column >= _MOST_COLUMNS:
            continue
        count = min(repeated(cell, "number-columns-repeated"), _MOST_COLUMNS - column)
        shown = one_line(text.plain(cell)) if len(cell) else ""
        down = repeated(cell, "number-rows-spanned") - 1
        if shown:
            found.update({column + step: shown for step in range(count)})
        if down and shown:
            reaching[column] = (down, shown)
        elif column in reaching and name == "covered-table-cell":
            left, above = reaching.pop(column)
            found[column] = shown or above
            if left > 1:
                reaching[column] = (left - 1, above)
        column += count
    return found


def hidden_columns(table: etree._Element) -> frozenset[int]:
    """Columns that are not shown, from 0."""
    found: set[int] = set()
    column = 0
    for each in table.iter("{*}table-column"):
        count = repeated(each, "number-columns-repeated")
        if attribute(each, "visibility") == "collapse":
            found.update(range(column, min(column + count, _MOST_COLUMNS)))
        column += count
    return frozenset(found)
