"""Spreadsheets: cells as they are shown, tables with their headers, and where each row stands."""

import datetime
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from rag_app.errors import DamagedFile, EmptyFile, PasswordNeeded, TooMuchContent
from rag_app.ingestion import office_package, sheet
from rag_app.ingestion.chunk import cut
from rag_app.ingestion.number_format import shown_number
from rag_app.ingestion.parse import parse
from rag_app.ingestion.parsed import ParsedDocument
from tests.written import odf_cells, open_document


@pytest.mark.parametrize(
    ("value", "code", "shown"),
    [
        (1234.5, "#,##0.00", "1,234.50"),
        (-1234.5, "#,##0.00;[Red](#,##0.00)", "(1,234.50)"),
        (-3, "0.0", "-3.0"),
        (-0.001, "0.0", "0.0"),
        (0.125, "0.0%", "12.5%"),
        (5, "000", "005"),
        (1234567, '#,##0,"k"', "1,235k"),
        (0, '#,##0;-#,##0;"-"', "-"),
        (12, "[$€-407] #,##0.00", "€ 12.00"),
        (12.5, "# ?/?", "12.5"),
        (1.5, "0.##", "1.5"),
        (2, "0.##", "2"),
        (123456, "0.00E+00", "1.23E+05"),
        (3, '"Q"0', "Q3"),
        (5551234567, "(000) 000-0000", "(555) 123-4567"),
        (1, '"Yes";"No"', "Yes"),
        (40, '0" kg"', "40 kg"),
        (1 / 3, "General", "0.33333333333"),
        (1e20, "", "1e+20"),
        (45000.75, "dd/mm/yyyy hh:mm", "15/03/2023 18:00"),
        (45000, "mmmm d, yyyy", "March 15, 2023"),
        (45000, "[$-409]ddd d-mmm-yy", "Wed 15-Mar-23"),
        (0.5, "h:mm AM/PM", "12:00 PM"),
        (1.5, "[h]:mm:ss", "36:00:00"),
        (0.0007, "mm:ss.0", "01:00.5"),
        (1, "yyyy-mm-dd", "1900-01-01"),
        (-5, "yyyy", "-5"),
        (1e9, "yyyy", "1000000000"),
    ],
)
def test_numbers_are_shown_in_their_format(value: float, code: str, shown: str) -> None:
    assert shown_number(value, code) == shown


def test_dates_may_count_from_1904() -> None:
    assert shown_number(0, "yyyy-mm-dd", since_1904=True) == "1904-01-01"


def read(book: Any) -> ParsedDocument:
    file = BytesIO()
    book.save(file)
    return parse(file, filename="a.xlsx")


@pytest.fixture
def book() -> Any:
    return openpyxl.Workbook()


def lines_of(parsed: ParsedDocument) -> list[str]:
    return [line for line in parsed.text.split("\n") if line]


def test_a_sheet_keeps_its_caption_its_headers_and_what_its_cells_show(book: Any) -> None:
    page = book.active
    page.title = "Q1"
    page["A1"] = "Sales by region"
    page.append([])
    page.append(["Region", "2023", None, "When"])
    page.append([None, "Units", "Revenue", None])
    page.merge_cells("B3:C3")
    page.append(["North", 3, 1234.5, datetime.date(2024, 1, 31)])
    page.append([None, 4, 99, datetime.date(2024, 2, 1)])
    page.merge_cells("A5:A6")
    for row in (5, 6):
        page.cell(row, 3).number_format = '"$"#,##0.00'
        page.cell(row, 4).number_format = "dd.mm.yyyy"
    page["A9"] = "Preliminary."
    parsed = read(book)
    assert lines_of(parsed) == [
        "Q1",
        "Sales by region",
        "| Region | 2023 | 2023 | When |",
        "|  | Units | Revenue |  |",
        "| --- | --- | --- | --- |",
        "| North | 3 | $1,234.50 | 31.01.2024 |",
        "| North | 4 | $99.00 | 01.02.2024 |",
        "Preliminary.",
    ]
    assert [(block.kind, block.level) for block in parsed.blocks] == [
        ("heading", 1), ("heading", 2), ("table", 0), ("paragraph", 0)
    ]  # fmt: skip
    places = [dict(span.place) for span in parsed.places]
    assert places == [{"sheet": "Q1"}, *({"sheet": "Q1", "rows": rows} for rows in ([1, 1], [3, 4], [5, 6], [9, 9]))]


def test_a_long_table_is_cut_with_its_header_as_context_and_exact_rows(book: Any) -> None:
    book.active.title = "Stock"
    book.active.append(["Article", "Amount"])
    for number in range(2, 602):
        book.active.append([f"Article number {number}", number])
    parsed = read(book)
    cuts = cut(parsed)
    assert len(cuts) > 10
    for each in cuts[1:]:
        first, last = each.place["rows"]
        shown = parsed.text[each.char_from : each.char_to]
        assert shown.startswith(f"| Article number {first} |") and shown.endswith(f"| {last} |")
        assert each.context.endswith("Article | Amount")
    assert cuts[-1].place["rows"][1] == 601
    assert cuts[0].place == {"sheet": "Stock", "rows": [1, cuts[1].place["rows"][0] - 1]}


def test_rows_that_go_on_behind_a_gap_stay_in_their_table_and_another_table_is_one_of_its_own(book: Any) -> None:
    page = book.active
    for row in (["Name", "Cost"], ["Ink", 3], [], ["Pen", 4], [], ["City", "Country", "Size"], ["Rome", "Italy", 9]):
        page.append(row)
    parsed = read(book)
    assert [block.kind for block in parsed.blocks] == ["heading", "table", "table"]
    assert lines_of(parsed)[3:5] == ["| Ink | 3 |", "| Pen | 4 |"]
    assert [span.place["rows"] for span in parsed.places[1:]] == [[1, 1], [2, 2], [4, 4], [6, 6], [7, 7]]


def test_hidden_sheets_and_columns_are_left_out_and_that_is_said(book: Any) -> None:
    book.active.append(["Name", "Salary", "Town"])
    book.active.append(["Ann", 9000, "Rome"])
    book.active.column_dimensions["B"].hidden = True
    secret = book.create_sheet("Secret")
    secret["A1"] = "password"
    secret.sheet_state = "hidden"
    parsed = read(book)
    assert "9000" not in parsed.text and "Salary" not in parsed.text and "password" not in parsed.text
    assert "| Ann | Rome |" in parsed.text
    assert parsed.warnings == ("1 hidden sheet was left out: “Secret”.",)


def test_formulas_show_their_results_and_without_them_themselves(book: Any) -> None:
    book.active.append(["a", "b", "sum"])
    book.active.append([1, True, "=A2+1"])
    parsed = read(book)
    assert "| 1 | TRUE | =A2+1 |" in parsed.text and "formulas hold no result" in parsed.warnings[0]
    calculated = BytesIO()
    file = BytesIO()
    book.save(file)
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(calculated, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"<f>A2+1</f><v />", b"<f>A2+1</f><v>2</v>").replace(
                b"<f>A2+1</f><v></v>", b"<f>A2+1</f><v>2</v>"))  # fmt: skip
    assert "| 1 | TRUE | 2 |" in parse(calculated, filename="a.xlsx").text


def test_a_frozen_row_is_the_header_even_if_it_holds_numbers_of_years(book: Any) -> None:
    for row in (["Budget", "of the town"], ["Post", "Plan"], ["Roads", 10]):
        book.active.append(row)
    book.active.freeze_panes = "A3"
    assert lines_of(read(book))[1:4] == ["Budget of the town", "| Post | Plan |", "| --- | --- |"]


def test_an_open_document_spreadsheet_spells_out_what_repeats() -> None:
    rows = odf_cells([("Item", "Cost"), ("Paper", "12,50 €")])
    rows += '<table:table-row table:number-rows-repeated="3"><table:table-cell/></table:table-row>'
    rows += (
        '<table:table-row table:number-rows-repeated="2"><table:table-cell><text:p>Ink</text:p></table:table-cell>'
        '<table:table-cell table:number-columns-repeated="16000"/></table:table-row>'
        '<table:table-row table:number-rows-repeated="1048000"><table:table-cell/></table:table-row>'
    )
    styles = (
        '<style:style style:name="h" style:family="table"><style:table-properties table:display="false"/></style:style>'
    )
    hidden = f'<table:table table:name="Secret" table:style-name="h">{odf_cells([("x", "y")])}</table:table>'
    file = open_document("spreadsheet", f'<table:table table:name="Costs">{rows}</table:table>{hidden}', styles=styles)
    parsed = parse(BytesIO(file), filename="a.ods")
    assert lines_of(parsed) == ["Costs", "| Item | Cost |", "| --- | --- |", "| Paper | 12,50 € |", "Ink", "Ink"]
    assert [span.place.get("rows") for span in parsed.places] == [None, [1, 1], [2, 2], [6, 6], [7, 7]]
    assert parsed.warnings == ("1 hidden sheet was left out: “Secret”.",)


def test_rows_of_a_csv_file_have_their_numbers() -> None:
    parsed = parse(BytesIO(b"name,price\nInk,3\n\nPen,4\n"), filename="a.csv")
    assert [span.place for span in parsed.places] == [{"rows": [1, 1]}, {"rows": [2, 2]}, {"rows": [4, 4]}]


def test_sheets_without_content_or_with_too_much_say_so(book: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EmptyFile):
        read(book)
    for number in range(20):
        book.active.append([number])
    monkeypatch.setattr(sheet, "MAX_ROWS", 10)
    with pytest.raises(TooMuchContent):
        read(book)


def test_an_unpacking_bomb_of_a_sheet_is_refused(book: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    book.active["A1"] = "x" * 30_000
    monkeypatch.setattr(office_package, "MAX_STREAM_BYTES", 10_000)
    with pytest.raises(TooMuchContent):
        read(book)


def test_a_workbook_that_is_none_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("[Content_Types].xml", "<x/>")
    with pytest.raises(DamagedFile, match="main part"):
        parse(path, filename="a.xlsx")
    locked = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le")
    with pytest.raises(PasswordNeeded):
        parse(BytesIO(locked), filename="a.xlsx")
