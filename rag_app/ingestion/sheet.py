"""Writes the rows of a sheet as text: tables with their headers, notes between them, and where each row stands."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rag_app.errors import TooMuchContent
from rag_app.ingestion.draft import Draft, one_line
from rag_app.ingestion.tables import pipe_line, pipe_rule

MAX_ROWS = 200_000
MAX_CELLS = 2_000_000
ROWS_PER_SPAN = 64
"""How many rows share one span of places: short enough to find a row in it by counting lines."""

_NUMBER = re.compile(r"^[\s$€£¥+\-(]*\d[\d.,\s%)eE+\-:/$€£¥]*$")
_YEAR = re.compile(r"\s*(?:19|20)\d\d\s*")
_CAPTION_CHARS = 120


@dataclass(frozen=True, slots=True)
class Row:
    """A row with at least one cell that shows something; `number` as the spreadsheet counts, from 1."""

    number: int
    cells: Sequence[str]
    is_header: bool = False  # said to be one by the file itself


class SheetCounter:
    """Counts what was read. `add` raises TooMuchContent beyond 200,000 rows or 2,000,000 cells."""

    def __init__(self) -> None:
        self.rows = 0
        self.cells = 0

    def add(self, cells: int) -> None:
        """One more row."""
        self.rows += 1
        self.cells += cells
        if self.rows > MAX_ROWS or self.cells > MAX_CELLS:
            raise TooMuchContent(f"The table has more than {MAX_ROWS:,} rows or {MAX_CELLS:,} cells: split it.")


def is_header(cells: Sequence[str]) -> bool:
    """Whether a row looks like the header of a table: it holds no numbers but years."""
    return not any(_NUMBER.match(cell) and not _YEAR.fullmatch(cell) for cell in cells)


def write_sheet(draft: Draft, rows: Sequence[Row], place: dict[str, Any]) -> None:
    """Write all rows. A gap of empty rows ends a table unless what follows can only be more of it."""
    writer = _Writer(draft, place)
    regions = list(_regions(rows))
    for region, following in zip(regions, [*regions[1:], []], strict=True):
        writer.write(region, titles_next=len(region) == 1 and _is_titled(region[0], following))
    draft.end_place({})


def write_table(draft: Draft, rows: Sequence[Row], place: dict[str, Any]) -> None:
    """Write rows as one table. The rows that are said to be its header stand first."""
    width = max((len(row.cells) for row in rows), default=0)
    heads = 0
    while heads < len(rows) - 1 and rows[heads].is_header:
        heads += 1
    if heads:
        header = "\n".join([*(pipe_line(row.cells, width) for row in rows[:heads]), pipe_rule(width)])
        draft.add("table", header, header_chars=len(header))
        draft.end_place({**place, "rows": [rows[0].number, rows[heads - 1].number]})
    _write_rows(draft, rows[heads:], width=width, place=place, goes_on=heads > 0)


def _write_rows(draft: Draft, rows: Sequence[Row], *, width: int, place: dict[str, Any], goes_on: bool) -> None:
    """Rows of one table; `goes_on` when its beginning has been written."""
    for run in _runs(rows):
        lines = "\n".join(pipe_line(row.cells, width) for row in run)
        if goes_on:
            draft.extend(lines, glue="\n")
        else:
            draft.add("table", lines)
        goes_on = True
        draft.end_place({**place, "rows": [run[0].number, run[-1].number]})


def _runs(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Rows that follow each other without a gap, at most ROWS_PER_SPAN at a time."""
    first = 0
    for place in range(1, len(rows) + 1):
        is_end = place == len(rows) or rows[place].number != rows[place - 1].number + 1
        if is_end or place - first >= ROWS_PER_SPAN:
            yield rows[first:place]
            first = place


def _regions(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Rows between gaps of empty rows."""
    first = 0
    for place in range(1, len(rows) + 1):
        if place == len(rows) or rows[place].number > rows[place - 1].number + 1:
            yield rows[first:place]
            first = place


class _Writer:
    """Remembers which table is being written."""

    def __init__(self, draft: Draft, place: dict[str, Any]) -> None:
        self._draft = draft
        self._place = place
        self._columns: list[int] = []  # those of the table that may still go on; empty = none

    def write(self, region: Sequence[Row], *, titles_next: bool) -> None:
        """One region: the lines above its table, then the table; `titles_next` when it stands above the next one."""
        lead = 0
        while lead < len(region) and _filled(region[lead]) == 1 and not region[lead].is_header:
            lead += 1
        for number, row in enumerate(region[:lead]):
            self._line(row, is_caption=titles_next or number == lead - 1 < len(region) - 1)
        if lead < len(region):
            self._table(region[lead:])

    def _line(self, row: Row, *, is_caption: bool) -> None:
        text = one_line(next(cell for cell in row.cells if cell.strip()))
        self._columns = []
        is_caption = is_caption and len(text) <= _CAPTION_CHARS and not _NUMBER.match(text)
        if is_caption:
            self._draft.add("heading", text, level=2)
        elif self._draft.last_kind == "paragraph":
            self._draft.extend(text, glue="\n")
        else:
            self._draft.add("paragraph", text)
        self._draft.end_place({**self._place, "rows": [row.number, row.number]})

    def _table(self, rows: Sequence[Row]) -> None:
        used = sorted({column for row in rows for column, cell in enumerate(row.cells) if cell.strip()})
        marked = next((number for number, row in enumerate(rows) if row.is_header), None)
        headed = marked is not None or (len(rows) > 1 and is_header(rows[0].cells))
        if not headed and self._columns and set(used) <= set(self._columns):
            more = [_only(row, self._columns) for row in rows]
            _write_rows(self._draft, more, width=len(self._columns), place=self._place, goes_on=True)
            return
        for row in rows[: marked or 0]:
            self._draft.add("paragraph", " ".join(cell for cell in row.cells if cell.strip()))
            self._draft.end_place({**self._place, "rows": [row.number, row.number]})
        shown = [_only(row, used) for row in rows[marked or 0 :]]
        if headed and marked is None:
            shown[0] = replace(shown[0], is_header=True)
        write_table(self._draft, shown, self._place)
        self._columns = used


def _is_titled(row: Row, following: Sequence[Row]) -> bool:
    """Whether a line on its own stands right above a table."""
    return bool(following) and following[0].number <= row.number + 2 and _filled(following[0]) > 1


def _only(row: Row, columns: Sequence[int]) -> Row:
    return replace(row, cells=[row.cells[column] if column < len(row.cells) else "" for column in columns])


def _filled(row: Row) -> int:
    return sum(bool(cell.strip()) for cell in row.cells)
