"""Where passages and quotes stand in their originals."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.ingestion.chunk import cut
from rag_app.ingestion.parsed import Block, ParsedDocument, PlaceSpan
from rag_app.retrieval.places import Place, Span, checked, described, joined, place_of

ROWS = "a\nbb\nccc\ndddd"
SPANS: list[Span] = [
    (0, 13, {"sheet": "Q1", "rows": [5, 8]}),
    (15, 20, {"sheet": "Q2", "rows": [1, 1]}),
    (22, 30, {"slide": 3}),
    (32, 40, {"slide": 5}),
]
TEXT = f"{ROWS}\n\nother\n\nslide  3\n\nslide  5"


@pytest.mark.parametrize(
    ("char_from", "char_to", "expected"),
    [
        (0, 1, {"sheet": "Q1", "rows": [5, 5]}),
        (2, 7, {"sheet": "Q1", "rows": [6, 7]}),
        (0, 13, {"sheet": "Q1", "rows": [5, 8]}),
        (9, 20, {"sheet": "Q1", "rows": [8, 8], "to": {"sheet": "Q2", "rows": [1, 1]}}),
        (13, 15, {}),
        (25, 35, {"slide": 3, "slide_to": 5}),
        (100, 120, {}),
    ],
)
def test_the_place_of_a_stretch(char_from: int, char_to: int, expected: Place) -> None:
    assert place_of(SPANS, TEXT, char_from=char_from, char_to=char_to) == expected
    around = TEXT[15:]
    if char_from >= 15:
        assert place_of(SPANS, around, char_from=char_from, char_to=char_to, offset=15) == expected


def test_a_span_with_other_lines_than_rows_is_not_narrowed() -> None:
    assert place_of([(0, 13, {"rows": [1, 2]})], ROWS, char_from=0, char_to=1) == {"rows": [1, 2]}


@pytest.mark.parametrize(
    ("place", "pages", "words"),
    [
        ({}, (None, None), ""),
        ({}, (3, 3), "page 3"),
        ({}, (3, None), "page 3"),
        ({}, (3, 4), "pages 3–4"),
        ({"sheet": "Q1", "rows": [2, 40]}, (None, None), "sheet Q1, rows 2–40"),
        ({"sheet": "Q1", "rows": [2, 2]}, (None, None), "sheet Q1, row 2"),
        ({"slide": 3}, (None, None), "slide 3"),
        ({"slide": 3, "slide_to": 5}, (None, None), "slides 3–5"),
        ({"part": "a.pdf", "page": 2}, (None, None), "a.pdf, page 2"),
        ({"time_from": "00:01:02.000", "time_to": "00:01:40.900"}, (None, None), "1:02–1:40"),
        ({"time_from": "00:00:00.000", "time_to": "01:01:40.900"}, (None, None), "0:00–1:01:40"),
        ({"lines": [7, 9]}, (None, None), "lines 7–9"),
        ({"sheet": "A", "to": {"sheet": "B", "rows": [1, 2]}}, (None, None), "sheet A to sheet B, rows 1–2"),
    ],
)
def test_places_in_words(place: Place, pages: tuple[int | None, int | None], words: str) -> None:
    assert described(place, *pages) == words


def test_three_parts_are_named_by_the_first_and_the_last() -> None:
    parts: list[Place] = [{"part": "a", "page": 1}, {"part": "b"}, {"part": "c", "page": 2}]
    expected = {"part": "a", "page": 1, "to": {"part": "c", "page": 2}}
    assert joined(joined(parts[0], parts[1]), parts[2]) == expected
    assert joined(parts[0], joined(parts[1], parts[2])) == expected


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 50), st.integers(0, 9)), min_size=3, max_size=3))
def test_joining_is_associative(made: list[tuple[str, int, int]]) -> None:
    one, two, three = ({"sheet": name, "rows": [first, first + more]} for name, first, more in sorted(made))
    assert joined(joined(one, two), three) == joined(one, joined(two, three))


def test_what_a_place_may_hold() -> None:
    place = {
        "sheet": "Q",
        "rows": [1, 2],
        "slide": 3,
        "slide_to": 4,
        "part": "p",
        "page": 1,
        "time_from": "00:00:01.000",
    }
    assert checked(place) == place
    wrong_ones: tuple[dict[str, Any], ...] = ({"x": 1}, {"rows": [1]}, {"rows": "ab"}, {"slide": "x"}, {"to": {}})
    for wrong in wrong_ones:
        with pytest.raises((ValueError, TypeError)):
            checked(wrong)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6)), min_size=1, max_size=6),
    st.integers(0, 40),
    st.integers(1, 40),
)
def test_a_stretch_has_a_place_only_when_it_touches_one_and_names_no_more_than_it_touches(
    laid: list[tuple[int, int]], char_from: int, length: int
) -> None:
    """Each span is as many rows as lines, after a gap that stands at no place."""
    text, spans, row_of = "", [], dict[int, int]()
    for number, (gap, lines) in enumerate(laid):
        text += "=" * gap
        body = "\n".join("x" * (1 + line % 3) for line in range(lines))
        first = 10 * number + 1
        for at, char in enumerate(body):
            row_of[len(text) + at] = first + body.count("\n", 0, at) if char != "\n" else 0
        spans.append((len(text), len(text) + len(body), {"rows": [first, first + lines - 1]}))
        text += body + "=="
    place = place_of(spans, text, char_from=char_from, char_to=char_from + length)
    touched = [row_of[at] for at in range(char_from, char_from + length) if row_of.get(at)]
    if not any(at in row_of for at in range(char_from, char_from + length)):
        assert place == {}
    elif touched and 0 not in (row_of.get(char_from, 1), row_of.get(char_from + length - 1, 1)):
        assert place == {"rows": [min(touched), max(touched)]}


def test_cuts_carry_the_places_they_cover() -> None:
    lines = [f"| {number} | {'word ' * 20}|" for number in range(1, 41)]
    table = "\n".join(lines)
    spans = tuple(
        PlaceSpan(
            table.index(lines[first]), table.index(lines[last]) + len(lines[last]), {"rows": [first + 1, last + 1]}
        )
        for first, last in ((0, 19), (20, 39))
    )
    cuts = cut(ParsedDocument(table, (Block("table", 0, len(table)),), places=spans), target_tokens=100, max_tokens=150)
    rows = [each.place["rows"] for each in cuts]
    assert rows[0][0] == 1 and rows[-1][1] == 40 and len(rows) > 3
    assert all(before[1] + 1 == after[0] for before, after in pairwise(rows))
    for each in cuts:
        first, last = each.place["rows"]
        assert table[each.char_from : each.char_to] == "\n".join(lines[first - 1 : last])
