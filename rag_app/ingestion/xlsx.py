"""Reads Excel workbooks: every visible sheet in order, cells as they are shown, merged cells, tables and notes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from lxml import etree

from rag_app.errors import DamagedFile, EmptyFile
from rag_app.ingestion.draft import Draft, one_line
from rag_app.ingestion.office_package import Package, attribute, name_of
from rag_app.ingestion.original import Original
from rag_app.ingestion.parsed import ParsedDocument
from rag_app.ingestion.sheet import Row, SheetCounter, is_header, write_sheet
from rag_app.ingestion.xlsx_cells import CellReader

_REFERENCE = re.compile(r"\$?([A-Z]{1,3})\$?(\d{1,7})")
_MOST_COLUMNS = 16_384
_MOST_MERGED_ROWS = 10_000
_SHEET_KINDS = ("worksheet",)


@dataclass(slots=True)
class _Sheet:
    """What one sheet holds: its rows by number, each a mapping from column to text."""

    rows: dict[int, dict[int, str]] = field(default_factory=dict)
    hidden_columns: list[tuple[int, int]] = field(default_factory=list)
    merged: list[tuple[int, int, int, int]] = field(
        default_factory=list
    )  # first column, first row, last column, last row
    frozen: int = 0  # how many rows stay in sight
    headers: set[int] = field(default_factory=set)  # rows that a table or a filter names as header


def parse_xlsx(path: Original) -> ParsedDocument:
    """All visible sheets as tables. Raises DamagedFile, EncryptedFile, EmptyFile, TooMuchContent."""
    with Package(path) as package:
        main = _main_part(package)
        book = package.xml(main)
        if book is None:
            raise DamagedFile("The file is not an Excel workbook: its main part is missing.")
        relations = package.relations(main)
        cells = CellReader(package, main, book)
        draft, counter = Draft(), SheetCounter()
        hidden = []
        for entry in book.iter("{*}sheet"):
            kind, part = relations.get(attribute(entry, "id"), ("", ""))
            if kind not in _SHEET_KINDS:
                continue
            if attribute(entry, "state") in ("hidden", "veryHidden"):
                hidden.append(attribute(entry, "name"))
                continue
            sheet = _read(package, part, cells=cells, counter=counter)
            _write(draft, attribute(entry, "name"), sheet)
        if not len(draft):
            raise EmptyFile("The workbook holds no cell with content.")
        metadata = package.metadata()
        return draft.finish(title=metadata.get("title", ""), metadata=metadata, warnings=_warnings(hidden, cells))


def _warnings(hidden: list[str], cells: CellReader) -> list[str]:
    found = []
    if hidden:
        names = ", ".join(f"“{name}”" for name in hidden[:10])
        found.append(f"{len(hidden)} hidden {'sheet was' if len(hidden) == 1 else 'sheets were'} left out: {names}.")
    if cells.uncalculated:
        found.append(
            f"{cells.uncalculated} formulas hold no result, so the formulas themselves are shown: open the workbook in "
            "its own program and save it."
        )
    return found


def _main_part(package: Package) -> str:
    kinds = package.relations("")
    return next((part for kind, part in kinds.values() if kind == "officeDocument"), "xl/workbook.xml")


def _read(package: Package, part: str, *, cells: CellReader, counter: SheetCounter) -> _Sheet:
    sheet = _Sheet()
    number = 0
    wanted = ("row", "col", "mergeCell", "pane", "autoFilter")
    for element in package.elements(part, *wanted):
        name = name_of(element)
        if name == "row":
            own = attribute(element, "r")
            number = int(own) if own.isdecimal() else number + 1
            row = _row(element, cells)
            if row:
                counter.add(len(row))
                sheet.rows[number] = row
        elif name == "col" and attribute(element, "hidden") in ("1", "true"):
            sheet.hidden_columns.append((_whole(attribute(element, "min")) - 1, _whole(attribute(element, "max")) - 1))
        elif name == "pane" and attribute(element, "state").startswith("frozen"):
            sheet.frozen = _whole(attribute(element, "ySplit"))
        elif name in ("mergeCell", "autoFilter"):
            _note_range(sheet, name, attribute(element, "ref"))
    for kind, table in package.relations(part).values():
        root = package.xml(table) if kind == "table" else None
        if root is not None and attribute(root, "headerRowCount") != "0":
            _note_range(sheet, "autoFilter", attribute(root, "ref"))
    return sheet


def _note_range(sheet: _Sheet, name: str, reference: str) -> None:
    corners = [_REFERENCE.fullmatch(each) for each in reference.split(":")]
    if not all(corners) or len(corners) > 2:
        return
    (left, top), (right, bottom) = [_position(each) for each in (corners[0], corners[-1]) if each is not None]
    if name == "autoFilter":
        sheet.headers.add(top)
    else:
        sheet.merged.append((left, top, right, bottom))


def _row(element: etree._Element, cells: CellReader) -> dict[int, str]:
    found: dict[int, str] = {}
    column = -1
    for cell in element:
        if name_of(cell) != "c":
            continue
        place = _REFERENCE.fullmatch(cell.get("r", ""))
        column = _position(place)[0] if place else column + 1
        text = cells.text(cell)
        if column < _MOST_COLUMNS and text.strip():
            found[column] = one_line(text)
    return found


def _position(reference: re.Match[str] | None) -> tuple[int, int]:
    """Column (from 0) and row (from 1) of a reference such as B7."""
    if reference is None:
        return 0, 0
    column = 0
    for letter in reference.group(1):
        column = column * 26 + ord(letter) - 64
    return column - 1, int(reference.group(2))


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() else int(float(text)) if text.replace(".", "", 1).isdecimal() else 0


def _write(draft: Draft, name: str, sheet: _Sheet) -> None:
    wide = _merge(sheet)
    rows = list(_visible(sheet))
    if not rows:
        return
    draft.add("heading", name, level=1)
    draft.end_place({"sheet": name})
    write_sheet(draft, list(_with_headers(rows, sheet, wide)), {"sheet": name})


def _merge(sheet: _Sheet) -> set[int]:
    """Show a merged cell in each row that it reaches into; the rows with cells merged across columns."""
    wide: set[int] = set()
    for left, top, right, bottom in sheet.merged:
        text = sheet.rows.get(top, {}).get(left)
        if text is None:
            continue
        if right > left:
            wide.add(top)
        for number in range(top + 1, min(bottom, top + _MOST_MERGED_ROWS) + 1):
            if number in sheet.rows:
                sheet.rows[number].setdefault(left, text)
    return wide


def _visible(sheet: _Sheet) -> Iterator[Row]:
    for number in sorted(sheet.rows):
        row = sheet.rows[number]
        for low, high in sheet.hidden_columns:
            row = {column: text for column, text in row.items() if not low <= column <= high}
        if row:
            yield Row(number, [row.get(column, "") for column in range(max(row) + 1)])


def _with_headers(rows: list[Row], sheet: _Sheet, wide: set[int]) -> Iterator[Row]:
    """Marks the headers that the sheet names, and the row of group names above one: cells merged across columns."""
    named = {number for number in sheet.headers}
    if sheet.frozen and not named:
        named |= {row.number for row in rows if row.number == sheet.frozen and is_header(row.cells)}
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        is_group = row.number in wide and sum(bool(cell) for cell in row.cells) > 1 and is_header(row.cells)
        if is_group and following is not None and following.number == row.number + 1 and is_header(following.cells):
            named |= {row.number, following.number}
            row = replace(row, cells=_filled_across(row, sheet))
        yield replace(row, is_header=row.number in named)


def _filled_across(row: Row, sheet: _Sheet) -> list[str]:
    cells = list(row.cells)
    for left, top, right, _ in sheet.merged:
        if top == row.number and left < len(row.cells) and cells[left] and right - left < 1000:
            cells += [""] * (right + 1 - len(cells))
            cells[left : right + 1] = [cells[left]] * (right + 1 - left)
    return cells
