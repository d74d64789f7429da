"""Word documents and web pages."""

import contextlib
import zipfile
from pathlib import Path

import docx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_app.errors import DamagedFile, MislabelledFile, NoText, PasswordNeeded, RagError, TooMuchContent
from rag_app.ingestion import office_package
from rag_app.ingestion.html import parse_html
from rag_app.ingestion.parse import parse
from rag_app.ingestion.parsed import ParsedDocument


def shown(parsed: ParsedDocument) -> list[tuple[str, str]]:
    return [(block.kind, parsed.text[block.char_from : block.char_to]) for block in parsed.blocks]


@pytest.fixture
def word_file(tmp_path: Path) -> Path:
    document = docx.Document()
    document.core_properties.title = "Annual report"
    document.add_heading("Results", 1)
    document.add_paragraph("Revenue grew.")
    document.add_heading("Regions", 2)
    document.add_paragraph("North", style="List Bullet")
    document.add_paragraph("South", style="List Bullet")
    document.add_paragraph("first", style="List Number")
    document.add_paragraph("second", style="List Number")
    table = document.add_table(rows=3, cols=3)
    for row in range(3):
        for column in range(3):
            table.cell(row, column).text = f"r{row}c{column}"
    table.cell(0, 1).merge(table.cell(0, 2)).text = "wide"
    table.cell(1, 0).merge(table.cell(2, 0)).text = "tall"
    hidden = document.add_paragraph("seen ").add_run("unseen")
    hidden.font.hidden = True
    path = tmp_path / "report.docx"
    document.save(str(path))
    return path


def test_a_word_document_keeps_its_structure(word_file: Path) -> None:
    parsed = parse(word_file, filename="report.docx")
    assert parsed.title == "Annual report"
    assert shown(parsed) == [
        ("heading", "Results"),
        ("paragraph", "Revenue grew."),
        ("heading", "Regions"),
        ("list", "- North\n- South\n1. first\n2. second"),
        ("table", "| r0c0 | wide |  |\n| --- | --- | --- |\n| tall | r1c1 | r1c2 |\n|  | r2c1 | r2c2 |"),
        ("paragraph", "seen"),
    ]
    assert [block.level for block in parsed.blocks if block.kind == "heading"] == [1, 2]


def _rewritten(source: Path, target: Path, name: str, content: bytes) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, content if entry.filename == name else old.read(entry))
    return target


def test_a_word_document_with_entities_is_refused(word_file: Path, tmp_path: Path) -> None:
    bomb = b"""<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">]>
    <w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>&b;</w:t>
    </w:r></w:p></w:body></w:document>"""
    with pytest.raises(DamagedFile):
        parse(_rewritten(word_file, tmp_path / "b.docx", "word/document.xml", bomb), filename="b.docx")


def test_a_zip_bomb_is_refused(word_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(office_package, "MAX_PART_BYTES", 100_000)
    bomb = _rewritten(word_file, tmp_path / "b.docx", "word/document.xml", b"<a>" + b" " * 1_000_000 + b"</a>")
    with pytest.raises(TooMuchContent):
        parse(bomb, filename="b.docx")


def test_broken_word_files_say_what_is_wrong(word_file: Path, tmp_path: Path) -> None:
    data = word_file.read_bytes()
    cut_off = tmp_path / "cut.docx"
    cut_off.write_bytes(data[: len(data) // 2])
    with pytest.raises(DamagedFile):
        parse(cut_off, filename="cut.docx")
    protected = tmp_path / "secret.docx"
    protected.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600 + "EncryptedPackage".encode("utf-16-le"))
    with pytest.raises(PasswordNeeded):
        parse(protected, filename="secret.docx")
    old = tmp_path / "old.docx"
    old.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600)
    with pytest.raises(MislabelledFile):
        parse(old, filename="old.docx")
    empty = docx.Document()
    empty.save(str(tmp_path / "empty.docx"))
    with pytest.raises(NoText):
        parse(tmp_path / "empty.docx", filename="empty.docx")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_bytes_of_a_word_file_end_in_a_typed_error_or_a_text(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("word")
    document = docx.Document()
    document.add_heading("Title", 1)
    document.add_paragraph("Some words.")
    document.save(str(folder / "a.docx"))
    content = bytearray((folder / "a.docx").read_bytes())
    for _ in range(data.draw(st.integers(1, 20))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "a.docx").write_bytes(content)
    with contextlib.suppress(RagError):
        assert parse(folder / "a.docx", filename="a.docx").text


PAGE = """<!doctype html><html lang="en-GB"><head><title>A page</title><link rel="canonical" href="https://x.example/a">
<style>p {color: red}</style></head><body><h1>Top</h1><p>One <b>bold</b><br>line.</p>
<script>alert("script text")</script><p hidden>hidden text</p><p style="display:none">styled away</p>
<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul><ol><li>x<li>y</ol>
<table><caption>Prices</caption><tr><th>Item</th><th colspan=2>Cost</th></tr>
<tr><td rowspan=2>Tea</td><td>1</td><td>2</td></tr><tr><td>3</td><td>4</td></tr></table><pre>x = 1
  y</pre><dl><dt>Term</dt><dd>Meaning</dd></dl></body></html>"""


def test_a_page_keeps_what_is_visible_with_its_structure() -> None:
    parsed = parse_html(PAGE)
    assert parsed.title == "A page"
    assert parsed.metadata == {"canonical": "https://x.example/a", "language": "en"}
    assert shown(parsed) == [
        ("heading", "Top"),
        ("paragraph", "One bold\nline."),
        ("list", "- a\n  - b\n- c"),
        ("list", "1. x\n2. y"),
        ("paragraph", "Prices"),
        ("table", "| Item | Cost |  |\n| --- | --- | --- |\n| Tea | 1 | 2 |\n|  | 3 | 4 |"),
        ("code", "x = 1\n  y"),
        ("paragraph", "Term"),
        ("paragraph", "Meaning"),
    ]


def test_an_article_is_read_without_its_frame() -> None:
    words = (
        "The harbour was rebuilt after the storm, and the ferries returned to their old timetable within weeks. " * 6
    )
    source = (
        "<html><head><title>News</title></head><body><nav><a href=/>Home</a><a href=/s>Sport pages</a></nav>"
        f"<article><h1>Harbour</h1><p>{words}</p><h2>Costs</h2><p>{words}</p></article>"
        "<aside>Subscribe now</aside><footer>All rights reserved</footer></body></html>"
    )
    parsed = parse_html(source)
    assert "ferries returned" in parsed.text
    assert ("heading", "Costs") in shown(parsed)
    assert not any(word in parsed.text for word in ("Sport pages", "Subscribe", "All rights"))


_BOOK = """<html><head><title>3.1. Introduction</title>{generator}</head><body>
<div class="navheader"><table><tr><th colspan=5>3.1. Introduction</th></tr><tr><td><a href=2.html
title="2.8. Deletions">Prev</a></td><td><a href=3.html title="Chapter 3. Advanced Features">Up</a></td>
<th>Chapter 3. Advanced Features</th><td><a href=i.html title="The Handbook">Home</a></td>
<td><a href=4.html title="3.2. Views">Next</a></td></tr></table></div>
<h2>3.1. Introduction</h2><p>{words}</p><ul><li>complex queries</li><li>foreign keys</li></ul>
<div class="navfooter"><table><tr><td><a href=2.html title="2.8. Deletions">Prev</a></td><td><a href=3.html
title="Chapter 3. Advanced Features">Up</a></td><td><a href=4.html title="3.2. Views">Next</a></td></tr><tr><td>2.8.
Deletions</td><td><a href=i.html title="The Handbook">Home</a></td><td>3.2. Views</td></tr></table></div></body>
</html>"""


def test_a_page_of_a_generated_book_keeps_its_lists_and_loses_the_way_to_its_neighbours() -> None:
    words = "The previous chapter covered the basics, and this one goes on to what is more advanced. " * 12
    made = _BOOK.format(words=words, generator='<meta name="generator" content="DocBook XSL Stylesheets V1.79">')
    assert shown(parse_html(made)) == [
        ("heading", "3.1. Introduction"),
        ("paragraph", words.strip()),
        ("list", "- complex queries\n- foreign keys"),
    ]


def test_what_is_named_as_navigation_but_tells_something_stays() -> None:
    source = (
        '<title>Canals</title><div class="navigable-rivers"><a href=/r title="Rivers">The rivers</a> of the north '
        "carry ships of up to four metres of draught in every season but the driest one.</div>"
    )
    assert "four metres of draught" in parse_html(source).text


def test_a_fragment_keeps_everything() -> None:
    assert parse_html("<p>Just this.</p><p>And this.</p>").text == "Just this.\n\nAnd this."


def test_a_layout_table_is_read_as_text() -> None:
    parsed = parse_html("<table><tr><td><h2>Left</h2><p>a</p><p>b</p></td><td>right</td></tr></table>")
    assert [kind for kind, _ in shown(parsed)] == ["heading", "paragraph", "paragraph", "paragraph"]


def test_a_page_drawn_by_scripts_holds_no_text() -> None:
    with pytest.raises(NoText):
        parse_html("<html><body><div id=root></div><script>draw()</script></body></html>")


def test_deep_nesting_ends() -> None:
    assert "core" in parse_html("<div>" * 20_000 + "core" + "</div>" * 20_000).text


_TAGS = (
    *(
        "<p>",
        "</p>",
        "<div>",
        "</div>",
        "<table>",
        "<tr>",
        "<td>",
        "<td colspan=9>",
        "</table>",
        "<ul>",
        "<li>",
        "</ul>",
    ),
    *("<h1>", "</h1>", "<nav>", "</nav>", "<pre>", "</pre>", "<br>", "<!--c-->", "&amp;", "&#0;", "word", "\x00"),
    *("<script>", "</script>", "<caption>", "<style>", "</style>"),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(_TAGS)))
def test_any_soup_of_tags_gives_blocks_within_the_text(tags: list[str]) -> None:
    try:
        parsed = parse_html("".join(tags))
    except NoText:
        return
    assert parsed.text.strip()
    assert all(0 <= block.char_from < block.char_to <= len(parsed.text) for block in parsed.blocks)
    assert "<script" not in parsed.text
