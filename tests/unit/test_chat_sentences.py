"""Sentences are found in any script and cover the whole text."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.chat.sentences import LONGEST, split


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        (
            "Dr. Smith met U.S. president J. F. Kennedy. He left.",
            ["Dr. Smith met U.S. president J. F. Kennedy.", "He left."],
        ),
        ("Version 3.5 is out. It costs $3.20.", ["Version 3.5 is out.", "It costs $3.20."]),
        ("Am 3. Oktober 1990 war es so. Danach nicht.", ["Am 3. Oktober 1990 war es so.", "Danach nicht."]),
        ("東京は日本の首都です。人口は多い！はい。", ["東京は日本の首都です。", "人口は多い！", "はい。"]),
        ("यह है। वह है।", ["यह है।", "वह है।"]),
        ("A line\nof a paragraph.\n\nAnother", ["A line\nof a paragraph.", "Another"]),
        ("Steps:\n- one\n- two", ["Steps:", "- one", "- two"]),
        ("Steps:\n1. one\n2. two", ["Steps:", "1. one", "2. two"]),
        ("Three things make it\n*sure*: a and b.", ["Three things make it\n*sure*: a and b."]),
        ("It grew by\n3.5 million in a year.", ["It grew by\n3.5 million in a year."]),
        ("| a | b |\n| c | d |", ["| a | b |", "| c | d |"]),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        ("", []),
    ],
)
def test_known_texts(text: str, sentences: list[str]) -> None:
    assert [text[span.start : span.end] for span in split(text)] == sentences


@given(st.text(alphabet="aB1 .!?。\n-|\t\"'", max_size=200) | st.text(max_size=120))
def test_only_white_space_is_left_out(text: str) -> None:
    spans = split(text)
    shown = "".join(text[span.start : span.end] for span in spans)
    assert "".join(shown.split()) == "".join(text.split())
    assert all(first.end <= second.start for first, second in pairwise(spans))


def test_a_text_without_stops_is_cut() -> None:
    spans = split("word " * 1_000)
    assert max(span.end - span.start for span in spans) <= LONGEST
