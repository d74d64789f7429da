"""What the forms on a passage make of the words that a person leaves in them."""

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.errors import InvalidInput
from rag_app.services.documents import StoredPassage
from rag_app.state.change_rows import changed_part, places_of
from rag_app.state.edits import corrected, hidden
from rag_app.state.passage_view import without

TEXT = "## Refunds\n\nThe refund takes five days. Cash is never paid. A label comes by post."
PASSAGE = StoredPassage(UUID(int=1), 0, 100, 100 + len(TEXT), None, None, "Refunds", "Guide", TEXT, {})


def of(start: int, end: int) -> str:
    """The words of the document that an edit names."""
    return TEXT[start - 100 : end - 100]


def test_a_part_of_a_passage_is_hidden_whatever_the_white_space() -> None:
    new = hidden(PASSAGE, " Cash is\nnever   paid. ")
    assert (new.kind, of(new.char_from, new.char_to)) == ("hide", "Cash is never paid.")
    for words in ("a", "not there", "  "):
        with pytest.raises(InvalidInput):
            hidden(PASSAGE, words)


def test_of_equal_words_those_that_were_marked_are_hidden() -> None:
    body = TEXT.replace("never", "Cash is")
    passage = replace(PASSAGE, text=body)
    place = body.rindex("Cash is")
    for near in (place, place - 1):
        new = hidden(passage, "Cash is", near)
        assert new.char_from == passage.char_from + place and new.char_to == new.char_from + 7
    assert hidden(passage, "Cash is", 0).char_from == passage.char_from + body.index("Cash is")
    for near in (-1, len(body), 1_000_000):
        with pytest.raises(InvalidInput):
            hidden(passage, "Cash is", near)


def test_a_correction_is_of_the_sentences_that_were_changed() -> None:
    new = corrected(PASSAGE, TEXT.replace("five", "two").replace("\n", "\r\n"))
    assert (new.kind, of(new.char_from, new.char_to)) == ("correct", "The refund takes five days.")
    assert new.text == "The refund takes two days."


def test_a_sentence_that_was_taken_out_is_hidden() -> None:
    new = corrected(PASSAGE, TEXT.replace("Cash is never paid. ", ""))
    assert (new.kind, of(new.char_from, new.char_to).strip()) == ("hide", "Cash is never paid.")


def test_a_sentence_that_was_added_makes_a_correction_of_its_neighbour() -> None:
    new = corrected(PASSAGE, TEXT + " It is free.")
    assert new.kind == "correct" and new.text.endswith("It is free.") and "A label comes by post." in new.text


def test_nothing_changed_or_nothing_left_is_said() -> None:
    for words in (TEXT, f" {TEXT}\n", "", "  "):
        with pytest.raises(InvalidInput):
            corrected(PASSAGE, words)


def test_words_are_found_at_most_twice() -> None:
    assert places_of("a b", "a b, a  b, a\nb") == [(0, 3), (5, 9)]
    assert places_of("", "a") == []


@given(st.text("ab \n", max_size=12), st.text("ab \n", max_size=12))
def test_putting_the_changed_part_in_its_place_gives_the_new_text(before: str, after: str) -> None:
    start, end, text = changed_part(before, after)
    assert before[:start] + text + before[end:] == after


def test_what_is_hidden_is_not_shown_around_a_quote() -> None:
    assert without("one two three four", (0, 18), [(4, 7), (8, 13)]) == "one  […]   […]  four"
    assert without("one two three", (4, 13), [(0, 5)]) == " […] wo three"
    assert without("one two", (0, 7), []) == "one two"
