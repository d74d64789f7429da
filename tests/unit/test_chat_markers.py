"""Markers in streamed text: found in all spellings, never in code, never half, however the stream is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.chat.markers import Marker, MarkerFilter, Piece, Text


def pieces_of(chunks: list[str]) -> list[Piece]:
    """The pieces of a stream, neighbouring texts joined."""
    marker_filter = MarkerFilter()
    found = [piece for chunk in chunks for piece in marker_filter.feed(chunk)] + marker_filter.finish()
    joined: list[Piece] = []
    for piece in found:
        last = joined[-1] if joined else None
        if isinstance(piece, Text) and isinstance(last, Text):
            joined[-1] = Text(last.text + piece.text)
        else:
            joined.append(piece)
    return joined


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("a [1] b", (1,)),
        ("a [1, 2] b", (1, 2)),
        ("a [1; 3] b", (1, 3)),
        ("a 【2】 b", (2,)),
        ("a 【4:0†report.pdf】 b", (4,)),
        ("a [[3]] b", (3,)),
        (r"a \[1\] b", (1,)),
        ("a [^2] b", (2,)),
        ("a [Source 5] b", (5,)),
        ("a [1-3] b", (1, 2, 3)),
        ("a [1](https://evil.example/x) b", (1,)),
        ("a [1000] b", (1000,)),
        ("a [99999999999999999999] b", (10_000,)),
        ("a [1,1,1,1] b", (1,)),
    ],
)
def test_spellings(text: str, numbers: tuple[int, ...]) -> None:
    assert pieces_of([text]) == [Text("a"), Marker(numbers, " "), Text(" b")]


@pytest.mark.parametrize(
    "text",
    [
        "`list[1]`",
        "``a ` [1]`` b",
        "```python\nx = a[1]\n# see [2]\n```\n",
        "~~~\n[1]\n~~~\n",
        "```\nnever closed [1]",
        "[a link](https://example.org/1)",
        "[see chapter one] and [x] and [ ]",
        "[Chapter 1]",
        "1] alone",
    ],
)
def test_what_is_no_marker_stays_as_it_is(text: str) -> None:
    assert pieces_of([text]) == [Text(text)]


@pytest.mark.parametrize("half", ["[", "[1", "[1,", "[1, 2", "【1", "[Source", "[[1]", r"\[1", "[1](https://x"])
def test_a_half_marker_at_the_end_is_never_shown(half: str) -> None:
    shown = "".join(piece.text for piece in pieces_of(["so it is ", *half]) if isinstance(piece, Text))
    assert shown == "so it is"


def test_after_a_code_block_markers_count_again() -> None:
    assert pieces_of(["```\na[1]\n```\nSo [2]."]) == [Text("```\na[1]\n```\nSo"), Marker((2,), " "), Text(".")]


def test_a_lone_back_tick_does_not_hide_markers() -> None:
    assert Marker((1,), " ") in pieces_of(["it`s so [1]\nnext"])


def test_nothing_is_shown_before_a_bracket_is_decided() -> None:
    marker_filter = MarkerFilter()
    assert marker_filter.feed("word [") == [Text("word")]
    assert marker_filter.feed("1") == []
    assert marker_filter.feed("] more") == [Marker((1,), " "), Text(" more")]


ALPHABET = st.sampled_from(
    ["[", "]", "1", "2", ",", " ", "\n", "`", "```", "~~~", "\\", "【", "】", "(", ")", "†", ":", "-", "^", "a", "word",
     "[1]", " [2]", "[1, 2]", "```\n", "http"]
)  # fmt: skip


@given(st.lists(ALPHABET, max_size=30), st.data())
def test_the_pieces_do_not_depend_on_how_the_stream_is_cut(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    chunks = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert pieces_of(chunks) == pieces_of([text]) == pieces_of(list(text))


@given(st.text(alphabet="ab .\n", max_size=60))
def test_text_without_brackets_passes_unchanged(text: str) -> None:
    assert "".join(piece.text for piece in pieces_of(list(text)) if isinstance(piece, Text)) == text
