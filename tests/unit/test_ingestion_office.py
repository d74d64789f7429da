"""Slides, OpenDocument texts and rich text files keep their structure."""

from io import BytesIO
from typing import Any

import pptx
import pptx.chart.data
import pytest
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from rag_app.errors import DamagedFile, EncryptedFile, MislabelledFile, NoText
from rag_app.ingestion.chunk import cut
from rag_app.ingestion.parse import parse
from rag_app.ingestion.parsed import ParsedDocument
from tests.written import odf_cells, open_document

BOX = (Inches(1), Inches(1), Inches(4), Inches(2))


def shown(parsed: ParsedDocument) -> list[tuple[str, str]]:
    return [(block.kind, parsed.text[block.char_from : block.char_to]) for block in parsed.blocks]


@pytest.fixture
def deck() -> Any:
    return pptx.Presentation()


def read(deck: Any) -> ParsedDocument:
    file = BytesIO()
    deck.save(file)
    return parse(file, filename="a.pptx")


def titled(deck: Any, layout: int, title: str) -> Any:
    slide = deck.slides.add_slide(deck.slide_layouts[layout])
    slide.shapes.title.text = title
    return slide


def test_slides_keep_titles_lists_tables_charts_and_notes_in_order(deck: Any) -> None:
    first = titled(deck, 1, "Agenda")
    body = first.placeholders[1].text_frame
    body.text = "First"
    deeper = body.add_paragraph()
    deeper.text, deeper.level = "Deeper", 1
    first.notes_slide.notes_text_frame.text = "Say hello."
    second = titled(deck, 5, "Figures")
    table = second.shapes.add_table(2, 2, *BOX).table
    for number, cell in enumerate(table.iter_cells()):
        cell.text = f"c{number}"
    charts: Any = pptx.chart.data
    figures = charts.CategoryChartData()
    figures.categories = ["East", "West"]
    figures.add_series("Q1", (1.5, 2))
    second.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, *BOX, figures)
    parsed = read(deck)
    assert shown(parsed) == [
        ("heading", "Agenda"),
        ("list", "- First\n  - Deeper"),
        ("paragraph", "Notes: Say hello."),
        ("heading", "Figures"),
        ("table", "| c0 | c1 |\n| --- | --- |\n| c2 | c3 |"),
        ("table", "|  | Q1 |\n| --- | --- |\n| East | 1.5 |\n| West | 2 |"),
    ]
    assert [span.place for span in parsed.places] == [{"slide": 1}, {"slide": 2}]
    assert cut(parsed)[0].place == {"slide": 1, "slide_to": 2}


def test_hidden_slides_are_left_out_and_that_is_said(deck: Any) -> None:
    titled(deck, 5, "Open")
    hidden = titled(deck, 5, "Hidden")
    hidden._element.set("show", "0")
    titled(deck, 5, "Last")
    parsed = read(deck)
    assert "Hidden" not in parsed.text and [span.place["slide"] for span in parsed.places] == [1, 3]
    assert parsed.warnings == ("1 hidden slide was left out: 2.",)


def test_a_presentation_without_words_says_so(deck: Any) -> None:
    deck.slides.add_slide(deck.slide_layouts[6])
    with pytest.raises(NoText):
        read(deck)


def test_an_open_document_text_keeps_headings_lists_tables_and_notes() -> None:
    body = (
        "<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>"
        '<text:h text:outline-level="1">One</text:h><text:p>Some <text:span>bold</text:span> words<text:s text:c="3"/>'
        "here<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>A note.</text:p>"
        "</text:note-body></text:note>.</text:p><text:list><text:list-item><text:p>a</text:p><text:list><text:list-item>"
        "<text:p>nested</text:p></text:list-item></text:list></text:list-item><text:list-item><text:p>b</text:p>"
        f'</text:list-item></text:list><text:h text:outline-level="2">Two</text:h>'
        f"<table:table>{odf_cells([('x', 'y'), ('1', '2')])}</table:table>"
    )
    parsed = parse(BytesIO(open_document("text", body, title="My text")), filename="a.odt")
    assert parsed.title == "My text"
    assert shown(parsed) == [
        ("heading", "One"),
        ("paragraph", "Some bold words here."),
        ("paragraph", "Note: A note."),
        ("list", "- a\n  - nested\n- b"),
        ("heading", "Two"),
        ("table", "| x | y |\n| --- | --- |\n| 1 | 2 |"),
    ]
    assert [block.level for block in parsed.blocks if block.kind == "heading"] == [1, 2]


def test_slides_of_an_open_document_presentation() -> None:
    frame = '<draw:frame presentation:class="{}"><draw:text-box><text:p>{}</text:p></draw:text-box></draw:frame>'
    pages = "".join(
        f"<draw:page>{frame.format('outline', f'point {n}')}{frame.format('title', f'Title {n}')}"
        f"<presentation:notes>{frame.format('notes', f'spoken {n}')}</presentation:notes></draw:page>"
        for n in (1, 2)
    )
    parsed = parse(BytesIO(open_document("presentation", pages)), filename="a.odp")
    assert parsed.text.split("\n\n")[:3] == ["Title 1", "point 1", "Notes: spoken 1"]
    assert [span.place for span in parsed.places] == [{"slide": 1}, {"slide": 2}]


def test_an_open_document_with_entities_or_encryption_is_refused() -> None:
    file = open_document("text", "<text:p>x</text:p>")
    bomb = file.replace(b"<office:document-content", b"<!DOCTYPE d><office:document-content")
    with pytest.raises(DamagedFile):
        parse(BytesIO(bomb), filename="a.odt")
    locked = open_document("text", "<text:p>x</text:p>", manifest="<m><f><encryption-data/></f></m>")
    with pytest.raises(EncryptedFile):
        parse(BytesIO(locked), filename="a.odt")
    with pytest.raises(MislabelledFile, match="spreadsheet"):
        parse(BytesIO(open_document("spreadsheet", "")), filename="a.odt")


RICH = rb"""{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fswiss Helvetica;}{\f1\fcharset204 Cyr;}}{\colortbl;\red1;}
{\stylesheet{\s0 Normal;}{\s1\outlinelevel0 heading 1;}{\s2 Heading 2;}}
{\info{\title My file}{\author Ann}}{\header page head}
\pard\s1 Chapter\par
\pard\plain Caf\'e9 \u8212 ? dash \b bold\b0  word {\v hidden}{\f1\'cf\'f0\'e8} and{\footnote \pard A note.} end.\par
{\listtext\'b7\tab}\ilvl0 one\par
{\listtext\'b7\tab}two\par
\pard\s2 Tables\par
\trowd\trhdr\cellx100\cellx200\pard\intbl A\cell B\cell\row
\trowd\pard\intbl 1\cell 2\par x\cell\row
\pard After {\field{\*\fldinst HYPERLINK "http://x"}{\fldrslt a link}}.
{\*\unknown skip}{\pict 0123} \u-10179 ?\u-8703 ?\par}"""


def test_a_rich_text_file_keeps_its_structure_and_its_letters() -> None:
    parsed = parse(BytesIO(RICH), filename="a.rtf")
    assert (parsed.title, parsed.metadata["author"]) == ("My file", "Ann")
    assert shown(parsed) == [
        ("heading", "Chapter"),
        ("paragraph", "Café — dash bold word При and end."),
        ("paragraph", "Note: A note."),
        ("list", "- one\n- two"),
        ("heading", "Tables"),
        ("table", "| A | B |\n| --- | --- |\n| 1 | 2 x |"),
        ("paragraph", "After a link. 😁"),
    ]
    assert [block.level for block in parsed.blocks if block.kind == "heading"] == [1, 2]


def test_rich_text_under_another_name_is_read_and_a_deep_one_refused() -> None:
    assert parse(BytesIO(RICH), filename="letter.doc").title == "My file"
    with pytest.raises(DamagedFile, match="nested"):
        parse(BytesIO(b"{\\rtf1 " + b"{" * 5000 + b"x"), filename="a.rtf")
