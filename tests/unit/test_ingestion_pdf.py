"""PDF files: structure, pages, tables, and everything that can be wrong with them."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pypdf import PdfReader, PdfWriter
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from rag_app.errors import (
    DamagedFile,
    MislabelledFile,
    NoText,
    PasswordNeeded,
    PasswordWrong,
    RagError,
    TooMuchContent,
)
from rag_app.ingestion import pdf
from rag_app.ingestion.parse import parse
from rag_app.ingestion.parsed import ParsedDocument

BODY = (
    "The harbour was rebuilt after the storm, and the ferries returned to their old",
    "timetable within weeks. Most of the cost was carried by the region, which had",
    "saved for such a case since the flood of 1953.",
)


def shown(parsed: ParsedDocument, kind: str | None = None) -> list[str]:
    return [parsed.text[each.char_from : each.char_to] for each in parsed.blocks if kind in (None, each.kind)]


def write_lines(canvas: Canvas, lines: tuple[str, ...], top: float) -> float:
    for line in lines:
        canvas.drawString(72, top, line)
        top -= 13
    return top


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """Four pages with running heads, headings, a paragraph over a page break, a list and an outline."""
    path = tmp_path / "report.pdf"
    canvas = Canvas(str(path), pagesize=A4)
    canvas.setTitle("Harbour report")
    canvas.setAuthor("Ann")
    for page in range(1, 5):
        canvas.setFont("Helvetica", 8)
        canvas.drawString(72, 810, "Harbour authority - confidential")
        canvas.drawString(290, 30, f"Page {page} of 4")
        canvas.setFont("Helvetica-Bold", 18)
        canvas.drawString(72, 760, f"Chapter of part {'ABCD'[page - 1]}")
        canvas.setFont("Helvetica", 11)
        top = write_lines(canvas, BODY, 730)
        write_lines(canvas, (f"Remark {page} stands in a paragraph of its own, after a gap.",), top - 15)
        if page == 2:
            canvas.drawString(72, 600, "- the first item")
            canvas.drawString(72, 587, "- the second item")
        if page == 3:
            canvas.drawString(72, 100, "This sentence begins on page three and is not")
        canvas.showPage()
    canvas.save()
    return path


def test_headings_paragraphs_and_lists_are_found(report: Path) -> None:
    parsed = parse(report, filename="report.pdf")
    assert shown(parsed, "heading") == [f"Chapter of part {letter}" for letter in "ABCD"]
    assert {block.level for block in parsed.blocks if block.kind == "heading"} == {1}
    assert " ".join(BODY) in shown(parsed, "paragraph")
    assert "Remark 2 stands in a paragraph of its own, after a gap." in shown(parsed, "paragraph")
    assert shown(parsed, "list") == ["- the first item\n- the second item"]
    assert (parsed.title, parsed.metadata["author"], parsed.language) == ("Harbour report", "Ann", "en")


def test_running_heads_are_dropped_and_pages_are_spans_of_the_text(report: Path) -> None:
    parsed = parse(report, filename="report.pdf")
    assert "confidential" not in parsed.text
    assert "of 4" not in parsed.text
    assert [page.page for page in parsed.pages] == [1, 2, 3, 4]
    for page in parsed.pages:
        text = parsed.text[page.char_from : page.char_to]
        assert text.startswith("Chapter")
        assert f"Remark {page.page} " in text


def test_short_documents_keep_lines_at_the_edges(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    canvas.drawString(72, 820, "Invoice 1234")
    canvas.drawString(72, 500, "Thank you for your order.")
    canvas.save()
    assert "Invoice 1234" in parse(tmp_path / "a.pdf", filename="a.pdf").text


def test_a_hyphenated_word_is_put_together(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    write_lines(
        canvas, ("The committee spoke about the reconstruc-", "tion of the harbour and its surround-", "ings."), 700
    )
    canvas.save()
    assert parse(tmp_path / "a.pdf", filename="a.pdf").text == (
        "The committee spoke about the reconstruction of the harbour and its surroundings."
    )


def test_a_paragraph_goes_on_over_a_page_break(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    write_lines(canvas, (*BODY, "This sentence begins here and it"), 700)
    canvas.showPage()
    write_lines(canvas, ("ends on the second page. Then comes another one.",), 700)
    canvas.save()
    parsed = parse(tmp_path / "a.pdf", filename="a.pdf")
    assert "begins here and it ends on the second page." in parsed.text
    second = parsed.pages[1]
    assert parsed.text[second.char_from : second.char_to].startswith("ends on")


TABLE = (
    ("Country", "Inhabitants", "Area"),
    ("France", "68,287,487", "551,695"),
    ("Germany", "83,190,556", "357,386"),
    ("Iceland", "382,003", "102,775"),
    ("Malta", "519,562", "316"),
)


def draw_table(canvas: Canvas, rows: tuple[tuple[str, ...], ...], *, top: float, step: float) -> None:
    for number, row in enumerate(rows):
        for column, cell in enumerate(row):
            canvas.drawString(72 + column * step, top - number * 15, cell)


def test_an_aligned_table_becomes_rows(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    canvas.setFont("Helvetica", 11)
    write_lines(canvas, BODY, 760)
    draw_table(canvas, TABLE, top=690, step=120)
    write_lines(canvas, BODY, 560)
    canvas.save()
    parsed = parse(tmp_path / "a.pdf", filename="a.pdf")
    assert [block.kind for block in parsed.blocks] == ["paragraph", "table", "paragraph"]
    assert shown(parsed, "table") == [
        "| Country | Inhabitants | Area |\n| --- | --- | --- |\n"
        + "\n".join("| " + " | ".join(row) + " |" for row in TABLE[1:])
    ]
    table = parsed.blocks[1]
    assert parsed.text[table.char_from : table.header_to].startswith("| Country")


WRAPPED = (
    ("Term", "Meaning"),
    ("Berth", "A place where a ship may lie,|with water deep enough at|every tide of the year."),
    ("Pilot", "A person who knows the|harbour and guides ships."),
)


def draw_ruled(canvas: Canvas, *, top: float) -> None:
    """Two columns with drawn cells and wrapped text."""
    canvas.setFont("Helvetica", 10)
    for name, meaning in WRAPPED:
        lines = meaning.split("|")
        height = 12 * len(lines) + 8
        canvas.rect(72, top - height, 100, height)
        canvas.rect(172, top - height, 250, height)
        canvas.drawString(76, top - 13, name)
        for number, line in enumerate(lines):
            canvas.drawString(176, top - 13 - 12 * number, line)
        top -= height


def test_a_table_with_drawn_cells_keeps_wrapped_text_in_its_cell(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    draw_ruled(canvas, top=700)
    canvas.save()
    parsed = parse(tmp_path / "a.pdf", filename="a.pdf")
    rows = [f"| {name} | {meaning.replace('|', ' ')} |" for name, meaning in WRAPPED]
    assert parsed.text == "\n".join([rows[0], "| --- | --- |", *rows[1:]])


def test_text_beside_a_drawn_table_stays_out_of_it(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    canvas.setFont("Helvetica", 10)
    for number in range(6):
        canvas.drawString(435, 690 - number * 12, "a note at the side")
    draw_ruled(canvas, top=700)
    canvas.save()
    parsed = parse(tmp_path / "a.pdf", filename="a.pdf")
    (table,) = shown(parsed, "table")
    assert "note" not in table
    assert parsed.text.count("a note at the side") == 6


def test_shaded_rows_do_not_melt_the_columns_together(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    canvas.setFillGray(0.9)
    for number in (1, 3):
        canvas.rect(70, 696 - number * 15, 360, 15, stroke=0, fill=1)
    canvas.setFillGray(0)
    draw_table(canvas, TABLE, top=700, step=120)
    canvas.save()
    (table,) = shown(parse(tmp_path / "a.pdf", filename="a.pdf"), "table")
    assert "| France | 68,287,487 | 551,695 |" in table
    assert "| Iceland | 382,003 | 102,775 |" in table


def test_currency_signs_stand_with_their_numbers(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    for number, (label, value) in enumerate((("Sales", "1,200"), ("Costs", "900"), ("Rent", "80"), ("Profit", "220"))):
        canvas.drawString(72, 700 - number * 15, label)
        for x in (250, 380):
            canvas.drawString(x, 700 - number * 15, "$")
            canvas.drawRightString(x + 70, 700 - number * 15, value)
    canvas.save()
    (table,) = shown(parse(tmp_path / "a.pdf", filename="a.pdf"), "table")
    assert "| Sales | $ 1,200 | $ 1,200 |" in table


def test_text_in_two_columns_is_no_table(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    canvas.setFont("Helvetica", 10)
    for x in (50, 310):
        for number in range(30):
            canvas.drawString(x, 760 - number * 12, "the ferries returned to their old timetable within weeks")
    canvas.save()
    parsed = parse(tmp_path / "a.pdf", filename="a.pdf")
    assert shown(parsed, "table") == []
    assert "weeks the ferries" in parsed.text


def test_a_turned_page_is_read_upright(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    canvas.translate(400, 100)
    canvas.rotate(90)
    draw_table(canvas, TABLE, top=200, step=130)
    canvas.save()
    (table,) = shown(parse(tmp_path / "a.pdf", filename="a.pdf"), "table")
    assert "| Malta | 519,562 | 316 |" in table


def test_the_outline_gives_headings_their_level(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    for number, (title, level) in enumerate((("First part", 0), ("Details of it", 1), ("Second part", 0))):
        canvas.bookmarkPage(title)
        canvas.addOutlineEntry(title, title, level)
        canvas.drawString(72, 760, title)
        write_lines(canvas, BODY, 720)
        canvas.drawString(72, 600, f"Page {number}")
        canvas.showPage()
    canvas.save()
    parsed = parse(tmp_path / "a.pdf", filename="a.pdf")
    headings = [(parsed.text[b.char_from : b.char_to], b.level) for b in parsed.blocks if b.kind == "heading"]
    assert headings == [("First part", 1), ("Details of it", 2), ("Second part", 1)]


def encrypted(source: Path, target: Path, password: str) -> Path:
    writer = PdfWriter(PdfReader(source))
    writer.encrypt(user_password=password, owner_password="owner", algorithm="AES-256")
    writer.write(target)
    return target


def test_only_a_password_that_is_needed_stops_reading(report: Path, tmp_path: Path) -> None:
    assert "ferries" in parse(encrypted(report, tmp_path / "open.pdf", ""), filename="open.pdf").text
    shut = encrypted(report, tmp_path / "shut.pdf", "secret")
    with pytest.raises(PasswordNeeded, match="enter the password"):
        parse(shut, filename="shut.pdf")
    with pytest.raises(PasswordWrong):
        parse(shut, filename="shut.pdf", password="guess")
    assert "ferries" in parse(shut, filename="shut.pdf", password="secret").text


def test_a_scan_holds_no_text(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    canvas.rect(50, 50, 300, 300, fill=1)
    canvas.save()
    with pytest.raises(NoText, match="OCR"):
        parse(tmp_path / "a.pdf", filename="a.pdf")


@pytest.mark.parametrize(
    "content", [b"%PDF-1.7\n", b"%PDF-1.4\n1 0 obj << /Type /Catalog >> endobj", b"%PDF-1.4" + b"\x00" * 5000]
)
def test_a_file_that_only_begins_like_a_pdf_is_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pdf").write_bytes(content)
    with pytest.raises(DamagedFile):
        parse(tmp_path / "a.pdf", filename="a.pdf")


def test_words_named_pdf_are_mislabelled(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_text("Dear all, see attachment.")
    with pytest.raises(MislabelledFile):
        parse(tmp_path / "a.pdf", filename="a.pdf")


def test_too_many_pages_or_characters_are_refused(report: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "MAX_PAGES", 3)
    with pytest.raises(TooMuchContent, match="4 pages"):
        parse(report, filename="report.pdf")
    monkeypatch.setattr(pdf, "MAX_PAGES", 4)
    monkeypatch.setattr(pdf, "MAX_CHARS", 500)
    with pytest.raises(TooMuchContent):
        parse(report, filename="report.pdf")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=6)), min_size=1, max_size=10))
def test_damaged_bytes_end_in_a_typed_error_or_a_text(report: Path, cuts: list[tuple[int, bytes]]) -> None:
    content = bytearray(report.read_bytes())
    for place, replacement in cuts:
        at = place % len(content)
        content[at : at + len(replacement)] = replacement
    broken = report.parent / "broken.pdf"
    broken.write_bytes(content)
    try:
        parsed = parse(broken, filename="broken.pdf")
    except RagError:
        return
    assert all(0 <= page.char_from <= page.char_to <= len(parsed.text) for page in parsed.pages)
