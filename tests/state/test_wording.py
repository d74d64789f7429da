"""Figures and texts as people read them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.errors import InvalidInput
from rag_app.services.documents import BlockRange, DocumentText, PageRange, PlaceRange
from rag_app.services.source_runs import RunCard
from rag_app.state import wording
from rag_app.state.access import key_of
from rag_app.state.account import browser_of
from rag_app.state.chat_rows import without_sources
from rag_app.state.document import MOST_CHARS, pipe_cells, read_blocks
from rag_app.state.passage_view import page_at
from rag_app.state.session import as_text
from rag_app.state.source_rows import run_row
from rag_app.state.why_rows import section
from tests.state.conftest import UUID_ONE


@pytest.mark.parametrize(
    ("byte_count", "shown"),
    [(None, "–"), (0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 KB"), (414_123, "414 KB"), (1_900_000, "1.9 MB")],
)
def test_sizes(byte_count: int | None, shown: str) -> None:
    assert wording.size(byte_count) == shown


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_share_stays_between_nothing_and_all(part: float) -> None:
    assert 0 <= wording.percent(part) <= 100


def test_errors_call_fields_as_people_do() -> None:
    said = {
        "overlap_tokens: a number is expected": "Overlap in tokens: a number is expected",
        "secret_key: it is missing": "Secret key: it is missing",
        "char_from, char_to: the stretch": "Char from, char to: the stretch",
        "The site said: no": "The site said: no",
        "example.com: it is away": "example.com: it is away",
        "Nothing was changed.": "Nothing was changed.",
    }
    assert {given: wording.said(InvalidInput(given)) for given in said} == said


@pytest.mark.parametrize(
    ("status", "changed", "failed", "shown"),
    [("done", 0, 0, "no change"), ("failed", 0, 0, "–"), ("done", 0, 2, "2 failed"), ("failed", 3, 0, "~3")],
)
def test_a_run_that_read_nothing_does_not_say_that_nothing_changed(
    status: str, changed: int, failed: int, shown: str
) -> None:
    figures = dict.fromkeys(("found", "visited", "added", "unchanged", "removed", "skipped", "held_back"), 0)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    run = RunCard(
        id=UUID_ONE, source_id=UUID_ONE, task_id=None, status=status, phase="crawling", progress=1.0, prefix="",
        is_complete=True, changed=changed, failed=failed, **figures, error=None, created_at=moment, started_at=moment,
        finished_at=moment,
    )  # fmt: skip
    assert (run_row(run).changes, run_row(run).held_back) == (shown, "")
    assert run_row(replace(run, finished_at=moment + timedelta(seconds=25))).took == "25.0 s"
    assert run_row(replace(run, finished_at=None)).took == ""
    kinds = {"website": "24 pages", "feed": "24 entries", "git": "24 files", "s3": "a mistake in the bucket"}
    for kind, words in kinds.items():
        assert words in run_row(replace(run, held_back=24), kind).held_back


def test_counts_times_and_money() -> None:
    assert wording.counted(1, "document") == "1 document"
    assert wording.counted(1234, "passage") == "1,234 passages"
    assert wording.milliseconds(4.21) == "4.2 ms"
    assert wording.milliseconds(173) == "173 ms"
    assert wording.milliseconds(1530) == "1.5 s"
    assert wording.money(1234) == "$0.0012"
    assert wording.money(None) == ""


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        ("| a | b |", ["a", "b"]),
        ("|a||", ["a", ""]),
        (r"| a \| b | c |", ["a | b", "c"]),
        ("no table", None),
        ("|", None),
    ],
)
def test_cells_of_a_line(line: str, cells: list[str] | None) -> None:
    assert pipe_cells(line) == cells


def test_a_document_is_shown_as_it_was_read() -> None:
    text = "Title\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\nEnd."
    table = text.index("|"), text.rindex("|") + 1
    blocks = (
        BlockRange("heading", 0, 5, 1),
        BlockRange("table", *table, 0),
        BlockRange("paragraph", text.index("End"), len(text), 0),
    )
    pages = (PageRange(1, 0, table[0]), PageRange(2, table[0], len(text)))
    shown, cut_short = read_blocks(DocumentText(UUID_ONE, text, pages, blocks))
    assert not cut_short
    assert [block.kind for block in shown] == ["page", "heading", "page", "table", "paragraph"]
    assert shown[3].head == ["a", "b"]
    assert shown[3].cells == [["1", "2"]]
    assert shown[4].text == "End."


def test_a_very_long_document_is_cut_short_and_says_so() -> None:
    blocks = (BlockRange("paragraph", 0, 5, 0), BlockRange("paragraph", MOST_CHARS, MOST_CHARS + 5, 0))
    shown, cut_short = read_blocks(DocumentText(UUID_ONE, "x" * (MOST_CHARS + 5), (), blocks))
    assert cut_short
    assert len(shown) == 1


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.data())
def test_the_page_of_a_character(lengths: list[int], data: st.DataObject) -> None:
    spans, start = [], 0
    for number, length in enumerate(lengths, start=1):
        spans.append(PageRange(number, start, start + length))
        start += length
    place = data.draw(st.integers(0, start - 1))
    page = page_at(spans, place)
    assert page is not None
    assert spans[page - 1].char_from <= place < spans[page - 1].char_to
    assert page_at([], place) is None


def test_small_things() -> None:
    agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0 Safari/537.36"
    assert browser_of(agent) == "Chrome on Linux"
    assert browser_of("") == "unknown"
    assert without_sources("It is so [1]. And so [12][3].") == "It is so. And so."
    assert key_of("reflex___state____state.rag_app___state___chat____chat_state.ask") == "chat_state.ask"
    assert as_text({"a": 1}) == ""
    assert as_text("x" * 10, 3) == "xxx"


def test_slides_and_parts_are_told_apart_in_a_document_and_sheets_are_not() -> None:
    text = "One\n\nTwo\n\nThree"
    blocks = (BlockRange("heading", 0, 3, 2), BlockRange("heading", 5, 8, 2), BlockRange("paragraph", 10, 15, 0))
    places = (PlaceRange(0, 3, {"slide": 1}), PlaceRange(5, 8, {"slide": 3}), PlaceRange(10, 15, {"slide": 3}))
    shown, _ = read_blocks(DocumentText(UUID_ONE, text, (), blocks, places))
    assert [block.text for block in shown] == ["Slide 1", "One", "Slide 3", "Two", "Three"]
    rows = (PlaceRange(0, 3, {"sheet": "A"}), PlaceRange(5, 8, {"sheet": "A", "rows": [1, 2]}))
    shown, _ = read_blocks(DocumentText(UUID_ONE, text, (), blocks, rows))
    assert [block.text for block in shown] == ["One", "Two", "Three"]
    within = (PlaceRange(0, 3, {"part": "a.pdf", "page": 1}), PlaceRange(5, 8, {"part": "a.pdf", "page": 2}))
    shown, _ = read_blocks(DocumentText(UUID_ONE, text, (), blocks, within))
    assert [block.text for block in shown if block.kind == "page"] == ["a.pdf, page 1", "a.pdf, page 2"]


@pytest.mark.parametrize(
    ("title", "heading", "shown"),
    [
        ("25.1. Vacuuming", "25.1. Vacuuming › Tip", "Tip"),
        ("25.1. Vacuuming", "25.1. Vacuuming", ""),
        ("25.1. Vacuuming", "Tip › 25.1. Vacuuming", "Tip › 25.1. Vacuuming"),
        ("", "", ""),
    ],
)
def test_a_heading_that_is_the_title_is_not_said_twice(title: str, heading: str, shown: str) -> None:
    assert section(title, heading) == shown
