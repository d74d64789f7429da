"""JSON, XML and subtitles: values under their paths, words with their times."""

import json
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.errors import DamagedFile, EmptyFile, NoText
from rag_app.ingestion.chunk import cut
from rag_app.ingestion.parse import parse
from rag_app.ingestion.parsed import ParsedDocument


def read(text: str | bytes, name: str) -> ParsedDocument:
    return parse(BytesIO(text.encode() if isinstance(text, str) else text), filename=name)


def test_a_json_object_becomes_lines_of_paths_and_values_exactly_as_written() -> None:
    text = '{"title": "Plan", "version": 1.50, "big": 12345678901234567890123, "on": true, "none": null, '
    text += '"a": {"b": [1, "x"]}}'
    parsed = read(text, "a.json")
    assert parsed.title == "Plan"
    assert parsed.text.split("\n") == [
        "title: Plan", "version: 1.50", "big: 12345678901234567890123", "on: true", "a.b: 1, x"
    ]  # fmt: skip


def test_large_parts_of_json_have_headings_and_their_records_stay_whole() -> None:
    servers = [{"name": f"server {n}", "ip": f"10.0.0.{n}", "note": "line one\nline two"} for n in range(40)]
    parsed = read(json.dumps({"title": "Net", "servers": servers}), "a.json")
    headings = [parsed.text[b.char_from : b.char_to] for b in parsed.blocks if b.kind == "heading"]
    assert headings == ["servers"]
    for each in cut(parsed):
        shown = parsed.text[each.char_from : each.char_to]
        assert shown.count("name: ") == shown.count("ip: ") == shown.count("line two")


def test_json_lines_know_their_lines() -> None:
    parsed = read('{"q": "What?"}\n\n{"q": "Why?"}\n"x"', "a.jsonl")
    assert parsed.text == "q: What?\n\nq: Why?\n\nx"
    assert [span.place for span in parsed.places] == [{"lines": [n, n]} for n in (1, 3, 4)]
    assert read('{"q": 1}\n{"q": 2}', "a.json").text == "q: 1\n\nq: 2"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet="abz é\n", max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet="ab.", max_size=3), inner, max_size=4),
    max_leaves=30,
)


def leaves(value: object) -> list[str]:
    if isinstance(value, dict):
        return [leaf for each in value.values() for leaf in leaves(each)]
    if isinstance(value, list):
        return [leaf for each in value for leaf in leaves(each)]
    return value.split() if isinstance(value, str) else [str(value)] if type(value) is int else []


@given(JSON)
def test_no_value_of_json_is_lost_and_all_stay_in_order(value: object) -> None:
    wanted = leaves(value)
    try:
        words = iter(read(json.dumps(value), "a.json").text.replace(",", " ").split())
    except EmptyFile:
        assert not wanted
        return
    assert all(any(word == each for each in words) for word in wanted)


@pytest.mark.parametrize(
    ("name", "text", "error", "reason"),
    [
        ("a.json", '{"a": ', DamagedFile, "line 1"),
        ("a.json", "[" * 100_000, DamagedFile, "nested"),
        ("a.jsonl", '{"a": 1}\n{oops', DamagedFile, "Line 2"),
        ("a.json", "{}", EmptyFile, "no value"),
        ("a.xml", "<a><b></a>", DamagedFile, "line 1"),
        ("a.xml", "<a/>", NoText, "no text"),
        ("a.vtt", "WEBVTT\n\nhello", DamagedFile, "times"),
        ("a.srt", "1\n00:00:01,000 --> 00:00:02,000\n\n", NoText, "no words"),
    ],
)
def test_what_cannot_be_read_says_why(name: str, text: str, error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        read(text, name)


def test_xml_keeps_titles_running_text_code_and_values() -> None:
    parsed = read(
        '<cat><book id="b1"><author>Ann</author><price cur="USD">44.95</price></book>'
        "<chapter><title>One</title><para>Some <em>mixed</em> words.</para>"
        "<programlisting>x = 1\ny = 2</programlisting>"
        "<section><title>Inner</title><para>More.</para></section></chapter></cat>",
        "a.xml",
    )
    assert [(block.kind, parsed.text[block.char_from : block.char_to]) for block in parsed.blocks] == [
        ("list", "book id: b1\nbook.author: Ann\nbook.price cur: USD\nbook.price: 44.95"),
        ("heading", "One"),
        ("paragraph", "Some mixed words."),
        ("code", "x = 1\ny = 2"),
        ("heading", "Inner"),
        ("paragraph", "More."),
    ]


def test_xml_resolves_no_entities_and_reads_any_declared_encoding() -> None:
    hostile = (
        '<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY x SYSTEM "file:///etc/passwd">]><d><p>Hi &a; and &x; there</p></d>'
    )
    assert read(hostile, "a.xml").text == "Hi and there"
    assert read('<?xml version="1.0" encoding="iso-8859-1"?><d>Zürich</d>'.encode("latin-1"), "a.xml").text.endswith(
        "Zürich"
    )
    assert read("<?xml version='1.0' encoding='utf-8'?><d>Zürich liegt</d>".encode("latin-1"), "a.xml").text.endswith(
        "Zürich liegt"
    )


def test_subtitles_become_paragraphs_with_speakers_and_times() -> None:
    parsed = read(
        "WEBVTT - My talk\n\nNOTE no\n\n1\n00:00:01.000 --> 00:00:03.000 align:start\n"
        "<v Ann>Hello <c.x>there</c> &amp; you."
        "\n\n00:00:03.500 --> 00:00:05.000\nIt goes\non.\n\n00:05.500 --> 00:07.000\n<v Bob>I answer.\n\n"
        "00:00:20.500 --> 01:00:27.000\nAfter a pause.\n",
        "a.vtt",
    )
    assert parsed.title == "My talk"
    assert parsed.text == "Ann: Hello there & you. It goes on.\n\nBob: I answer.\n\nAfter a pause."
    assert parsed.places[1].place == {"time_from": "00:00:03.500", "time_to": "00:00:05.000"}
    assert cut(parsed)[0].place == {"time_from": "00:00:01.000", "time_to": "01:00:27.000"}


def test_rolling_subtitles_say_nothing_twice() -> None:
    parsed = read(
        "1\n00:00:01,000 --> 00:00:02,000\nwe begin\n\n2\n00:00:02,000 --> 00:00:03,000\nwe begin\nwith words\n\n"
        "3\n00:00:03,000 --> 00:00:04,000\nwith words\n\n4\n00:00:04,000 --> 00:00:05,000\nJOHN: {\\an8}and <i>end</i>",
        "a.srt",
    )
    assert parsed.text == "we begin with words\n\nJOHN: and end"
