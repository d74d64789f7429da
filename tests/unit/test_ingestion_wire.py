"""What a parser child hands over arrives whole, and nothing that it makes up is believed."""

import json
from dataclasses import fields
from typing import Any

import pytest

from rag_app.errors import ParserCrashed
from rag_app.ingestion.parsed import Block, PageSpan, ParsedDocument, PlaceSpan
from rag_app.ingestion.parsed_wire import document, packed

WHOLE = ParsedDocument(
    text="A table of wool.",
    blocks=(Block("table", 0, 16, 0, 7),),
    pages=(PageSpan(1, 0, 16),),
    title="Wool",
    language="en",
    metadata={"author": "Ada"},
    warnings=("A picture was left out.",),
    places=(PlaceSpan(0, 16, {"sheet": "Wool"}),),
    scans=(2,),
    names=("borealis",),
)


def wired(body: dict[str, Any]) -> ParsedDocument:
    """The document after its way through JSON."""
    return document(json.loads(json.dumps({"document": body})))


def test_every_field_arrives() -> None:
    bare = ParsedDocument("", ())
    assert [each.name for each in fields(WHOLE) if getattr(WHOLE, each.name) == getattr(bare, each.name)] == []
    assert wired(packed(WHOLE)) == WHOLE


@pytest.mark.parametrize("name", [each.name for each in fields(WHOLE) if each.type != "str" and each.type is not str])
@pytest.mark.parametrize("value", [None, 7])
def test_what_is_no_document_is_a_crash(name: str, value: object) -> None:
    with pytest.raises(ParserCrashed):
        wired({**packed(WHOLE), name: value})


def test_a_missing_field_is_a_crash() -> None:
    for name in packed(WHOLE):
        with pytest.raises(ParserCrashed):
            wired({key: value for key, value in packed(WHOLE).items() if key != name})


def test_a_nul_in_words_beside_the_text_is_left_out() -> None:
    poisoned = {"title": "W\0ool", "metadata": {"au\0thor": "A\0da"}, "warnings": ["left\0 out"], "names": ["bo\0rea"]}
    found = wired({**packed(WHOLE), **poisoned, "places": [[0, 16, {"part": "a\0b.txt"}]]})
    assert (found.warnings, found.names, found.places[0].place) == (("left out",), ("borea",), {"part": "ab.txt"})
    assert (found.title, found.metadata) == ("Wool", {"author": "Ada"})
    with pytest.raises(ParserCrashed):
        wired({**packed(WHOLE), "text": "A table\0of wool."})
