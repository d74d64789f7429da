"""Scanned pages: named honestly without the OCR extra, read with it, in order and within the limits of a child."""

from pathlib import Path

import pypdfium2
import pytest
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from rag_app.errors import NoText
from rag_app.ingestion import scans
from rag_app.ingestion.ocr import content_of_page, in_reading_order
from rag_app.ingestion.parse import parse
from rag_app.ingestion.parsed import RecognisedLine, RecognisedPage
from rag_app.ingestion.recognition import is_installed
from rag_app.ingestion.sandbox import ParserPool
from rag_app.ingestion.scans import Wanted

WORDS = "The ferry leaves at nine in the morning and returns at four."
TYPED = "This page has letters of its own, more than enough of them to be read without any help at all."


def scan(folder: Path, *, typed: bool) -> Path:
    """A PDF whose first page is a picture of words; with another page of text if `typed`."""
    drawn = folder / "drawn.pdf"
    canvas = Canvas(str(drawn), pagesize=(500, 200))
    canvas.setFont("Helvetica", 14)
    canvas.drawString(40, 120, WORDS)
    canvas.save()
    document = pypdfium2.PdfDocument(drawn)
    picture = document[0].render(scale=2).to_pil()
    document.close()
    path = folder / "scan.pdf"
    canvas = Canvas(str(path), pagesize=(500, 200))
    canvas.drawImage(ImageReader(picture), 0, 0, 500, 200)
    canvas.showPage()
    if typed:
        canvas.drawString(20, 100, TYPED)
        canvas.showPage()
    canvas.save()
    return path


def recognised(*lines: RecognisedLine) -> dict[int, RecognisedPage]:
    return {1: RecognisedPage(200.0, lines)}


def test_a_scan_says_which_page_it_is_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoText, match="Page 1 is a picture of text without a text layer") as problem:
        parse(scan(tmp_path, typed=False), filename="scan.pdf")
    assert problem.value.details["scans"] == [1]
    parsed = parse(scan(tmp_path, typed=True), filename="scan.pdf")
    assert parsed.scans == (1,) and TYPED in parsed.text
    [warning] = parsed.warnings
    assert warning.startswith("Page 1 is a picture without a text layer and left out.") and "OCR extra" in warning


def test_empty_pages_and_drawings_are_told_from_scans(tmp_path: Path) -> None:
    for name, draws, words in (("blank", False, "are empty"), ("drawn", True, "holds drawings")):
        path = tmp_path / f"{name}.pdf"
        canvas = Canvas(str(path))
        if draws:
            canvas.line(10, 10, 200, 200)
        canvas.showPage()
        canvas.save()
        with pytest.raises(NoText, match=words):
            parse(path, filename=path.name)


def test_recognised_lines_stand_on_their_page(tmp_path: Path) -> None:
    lines = recognised((WORDS, 40, 60, 450, 76))
    parsed = parse(scan(tmp_path, typed=True), filename="scan.pdf", recognised=lines)
    assert parsed.scans == ()
    first = parsed.pages[0]
    assert parsed.text[first.char_from : first.char_to] == WORDS and TYPED in parsed.text
    assert parsed.warnings == ("1 page is a picture, whose text was recognised by OCR; some letters may be wrong.",)
    with pytest.raises(NoText, match="no letters were found"):
        parse(scan(tmp_path, typed=False), filename="scan.pdf", recognised=recognised())


def line(text: str, x: float, y: float) -> RecognisedLine:
    return (text, x, y, x + 200, y + 10)


def test_columns_are_read_one_after_the_other_below_their_headline() -> None:
    head: RecognisedLine = ("A headline over both of the columns of text", 0, 0, 450, 14)
    left = [line(f"left column line number {number}", 0, 30 + 14 * number) for number in range(6)]
    right = [line(f"right column line number {number}", 250, 30 + 14 * number) for number in range(6)]
    shuffled = [each for pair in zip(right, left, strict=True) for each in pair]
    assert in_reading_order([*shuffled, head]) == [head, *left, *right]


def test_cells_of_a_table_stay_in_their_rows() -> None:
    cells = [("a", 0.0, 14.0 * row, 50.0, 14.0 * row + 10) for row in range(6)]
    other = [("b", 300.0, 14.0 * row + 1, 350.0, 14.0 * row + 11) for row in range(6)]
    ordered = in_reading_order([*other, *cells])
    assert [each[0] for each in ordered] == ["a", "b"] * 6


def test_letters_of_about_one_size_make_no_headings() -> None:
    page = RecognisedPage(200.0, (("one", 0, 0, 50, 10), ("two", 0, 20, 50, 33), ("Title", 0, 40, 50, 80)))
    assert [item.size for item in content_of_page(1, page).items if hasattr(item, "size")] == [13, 13, 40]


async def nothing(_: float) -> None:
    """No progress is shown."""


async def test_without_the_extra_a_scan_stays_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scans, "is_installed", lambda: False)
    async with ParserPool(1) as pool:
        wanted = Wanted(scan(tmp_path, typed=True), "scan.pdf", None, None, 60)
        assert (await scans.read(pool, wanted, nothing)).scans == (1,)
        with pytest.raises(NoText):
            await scans.read(pool, Wanted(scan(tmp_path, typed=False), "scan.pdf", None, None, 60), nothing)


@pytest.mark.skipif(not is_installed(), reason="the OCR extra is not installed (scripts/install ocr)")
async def test_with_the_extra_a_scan_is_read(tmp_path: Path) -> None:
    shares: list[float] = []

    async def progress(share: float) -> None:
        shares.append(share)

    async with ParserPool(1) as pool:
        parsed = await scans.read(pool, Wanted(scan(tmp_path, typed=True), "scan.pdf", None, None, 60), progress)
    assert WORDS.replace(" ", "") in parsed.text.replace(" ", "") and TYPED in parsed.text
    assert shares == [0.0] and parsed.scans == ()
