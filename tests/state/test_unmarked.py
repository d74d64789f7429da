"""A passage is shown as it reads, and nothing that is no mark of Markdown is lost."""

import pytest

from rag_app.state.unmarked import unmarked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("## Hotels\n\nAt most 140 euros.", "Hotels\n\nAt most 140 euros."),
        ("| Town | Limit |\n|------|:-----:|\n| Bonn | 140 |\n", "Town  ·  Limit\nBonn  ·  140\n"),
        ("It is **never** refunded.", "It is never refunded."),
        ("Room #12, 2**3**4, __init__, a | b", "Room #12, 2**3**4, __init__, a | b"),
        ("- one\n- two", "- one\n- two"),
        ("#hash and ####### seven", "#hash and ####### seven"),
        ("", ""),
    ],
)
def test_only_marks_go(text: str, shown: str) -> None:
    assert unmarked(text) == shown
