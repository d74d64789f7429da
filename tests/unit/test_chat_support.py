"""The check of a statement against a passage, and the list of citations that comes of it."""

import pytest

from rag_app.chat.citations import CitationList, check_support, statement_before
from rag_app.chat.sentences import Span
from rag_app.chat.support import THRESHOLD, find_evidence
from tests.unit.chat_library import NORMANS, OIL, passage

GERMAN = "Der Antrag kostet 25 Euro. Er gilt nicht für Gewerbe in Köln. Die Frist endet am 3. Oktober 2024."


def supported(statement: str, text: str, *, language: str = "en", title: str = "") -> bool:
    found = find_evidence(statement, text, context=title, language=language)
    return found is not None and found.score >= THRESHOLD


@pytest.mark.parametrize(
    ("statement", "text", "language"),
    [
        ("The 1973 oil crisis began in October 1973.", OIL, "en"),
        ("The price of oil rose to nearly $12 by March 1974.", OIL, "en"),
        ("The Normans gave their name to Normandy in France.", NORMANS, "en"),
        ("The Normans were not Frankish vassals at first.", NORMANS, "en"),
        ("Der Antrag kostet 25 Euro.", GERMAN, "de"),
        ("Für Gewerbe in Köln gilt der Antrag nicht.", GERMAN, "de"),
        ("東京は日本の首都です。", "東京は日本の首都です。人口は約1400万人です。", "ja"),
        ("It employs 1000 people.", "The plant opened in 1990. It employs 1,000 people.", "en"),
        ("It has three towers.", "The castle has 3 towers and a moat.", "en"),
    ],
)
def test_what_the_passage_says_is_supported(statement: str, text: str, language: str) -> None:
    assert supported(statement, text, language=language)


@pytest.mark.parametrize(
    ("statement", "text", "language"),
    [
        ("The 1973 oil crisis began in October 1979.", OIL, "en"),
        ("The price of oil rose to nearly $21 by March 1974.", OIL, "en"),
        ("The 1973 oil crisis did not begin in October 1973.", OIL, "en"),
        ("Members of NATO proclaimed an oil embargo in October 1973.", OIL, "en"),
        ("The Normans gave their name to Burgundy, a region in France.", NORMANS, "en"),
        ("The Normans were Frankish vassals at first.", NORMANS, "en"),
        ("The embargo led to a war between Iran and Iraq.", OIL, "en"),
        ("Der Antrag kostet 52 Euro.", GERMAN, "de"),
        ("Er gilt für Gewerbe in Köln.", GERMAN, "de"),
        ("大阪は日本で二番目に大きい都市です。", "東京は日本の首都です。", "ja"),
    ],
)
def test_what_it_does_not_say_is_not_supported(statement: str, text: str, language: str) -> None:
    assert not supported(statement, text, language=language)


def test_a_quote_is_exactly_its_span_of_the_version() -> None:
    version = "Before it. " * 7 + OIL + " After it."
    found = passage(OIL, offset=version.index(OIL))
    listed = CitationList([found], question="When did the oil crisis begin?")
    checked = listed.check("The 1973 oil crisis began in October 1973.", 1, place=Span(3, 40))
    assert checked is not None
    entry = listed.entries[0]
    assert (checked[0], checked[1]) == (1, entry)
    assert version[entry.char_from : entry.char_to] == entry.quote
    assert "October 1973" in entry.quote
    assert (entry.answer_from, entry.answer_to) == (3, 40)


def test_each_number_stands_for_one_quote() -> None:
    listed = CitationList([passage(OIL)], question="")
    place = Span(0, 1)
    began = listed.check("The 1973 oil crisis began in October 1973.", 1, place=place)
    price = listed.check("By March 1974 the price of oil had risen to nearly $12.", 1, place=place)
    again = listed.check("OAPEC proclaimed an oil embargo in October 1973.", 1, place=place)
    assert began is not None
    assert price is not None
    assert again == (began[0], None)
    assert [entry.n for entry in listed.entries] == [began[0], price[0]] == [1, 2]
    assert listed.entries[0].quote != listed.entries[1].quote


@pytest.mark.parametrize("number", [0, 2, 99, 10_000])
def test_a_number_without_a_passage_is_refused(number: int) -> None:
    listed = CitationList([passage(OIL)], question="")
    assert listed.check("The 1973 oil crisis began in October 1973.", number, place=Span(0, 1)) is None
    assert listed.refused == 1
    assert listed.entries == ()


def test_a_short_answer_takes_the_sentence_the_question_is_about() -> None:
    text = "Paris has many museums. Lyon is older. Paris is the capital of France. It lies on the Seine."
    found = check_support("Paris", passage(text), question="What is the capital of France?")
    assert found is not None
    assert found.score >= THRESHOLD
    assert text[found.span.start : found.span.end] == "Paris is the capital of France."


def test_another_language_is_verified_only_by_its_names_and_numbers() -> None:
    german = "Die Ölkrise begann im Oktober 1973 durch das Embargo der OAPEC."
    wrong = "Die Ölkrise begann im Oktober 1979 durch das Embargo der OAPEC."
    unclear = "Die Krise begann, weil es an vielem fehlte."
    assert (found := check_support(german, passage(OIL))) is not None
    assert found.score >= THRESHOLD
    assert check_support(wrong, passage(OIL)) is None
    assert check_support(unclear, passage(OIL)) is None


def test_the_statement_is_the_sentence_before_the_marker() -> None:
    answer = "First thing. The price rose to twelve dollars"
    assert statement_before(answer, 0) == Span(13, len(answer))
    first = "The price rose to twelve dollars [1]"
    second = first + " and the embargo ended in March"
    span = statement_before(second, len(first))
    assert span is not None
    assert second[span.start : span.end] == "and the embargo ended in March"
    assert statement_before("  \n", 0) is None
