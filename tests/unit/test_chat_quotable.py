"""What of a passage can be quoted, and how a quote looks in an answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.chat.appearance import shown, shown_row, shown_text
from rag_app.chat.quotable import Quotable, cells, quotables

MANUAL = """# Pump

The pump moves water. It needs no oil.

## Starting the pump

Open the valve first. Then the operator runs

    pumpctl start --slow
    pumpctl watch

It hums.

1. Check the gauge.
2. Close the lid.

There are three lamps:

- green: it runs
- amber: it waits

| state | lamp | pressure |
|---|---|---|
| idle | amber | low |
| full \\| overfull | red | |

```sh
pumpctl stop
```
"""


def quoted(text: str, heading: str = "") -> dict[str, Quotable]:
    return {text[each.span.start : each.span.end]: each for each in quotables(text, heading)}


def appearance(text: str) -> list[tuple[str, str]]:
    return [shown(text, each) for each in quotables(text)]


def test_headings_and_headers_are_no_quotes() -> None:
    found = quoted(MANUAL)
    assert not [quote for quote in found if quote.startswith("#") or "---" in quote or "state" in quote]
    assert found["It hums."].under == "Starting the pump"


def test_a_plain_heading_is_known_by_the_heading_path_or_its_looks() -> None:
    text = "Starting the pump\n\nOpen the valve first.\n\nOpening hours 9 to 17\n\nCall us then."
    assert list(quoted(text, "Pump › Starting the pump")) == [
        "Open the valve first.",
        "Opening hours 9 to 17",
        "Call us then.",
    ]


def test_a_passage_of_headings_only_can_be_quoted() -> None:
    assert list(quoted("## What a pump is")) == ["## What a pump is"]


def test_a_sentence_takes_the_code_along_that_it_introduces() -> None:
    assert (
        "Then the operator runs",
        "```\npumpctl start --slow\npumpctl watch\n```",
    ) in appearance(MANUAL)
    assert appearance("```sh\npumpctl stop\n```") == [("`pumpctl stop`", "")]
    assert appearance("Run this:\n\n```\nls -l\n```") == [("Run this: `ls -l`", "")]


def test_a_sentence_takes_the_list_along_that_it_introduces() -> None:
    whole = next(quote for quote in quoted(MANUAL) if quote.startswith("There are three lamps:"))
    assert whole.endswith("- amber: it waits")


def test_a_list_behind_code_is_not_taken_along() -> None:
    assert appearance("Run this:\n\n```\nls -l\n```\n\n- and look") == [("Run this: `ls -l`", ""), ("and look", "")]


@pytest.mark.parametrize(
    "text", ["-" * 4_000 + "x", " " * 4_000 + "[1", "a: \n- " * 600, "`a" * 2_000, "|-" * 2_000 + "x"]
)
def test_hostile_passages_are_read_to_the_end(text: str) -> None:
    found = quotables(text)
    assert [shown(text, each) for each in found]


def test_list_marks_are_not_quoted() -> None:
    found = quoted(MANUAL)
    assert found["Check the gauge."].kind == found["Close the lid."].kind == "item"


def test_a_row_is_shown_with_its_header() -> None:
    found = quoted(MANUAL)
    row = found["| idle | amber | low |"]
    assert row.header == ("state", "lamp", "pressure")
    assert shown(MANUAL, row) == ("idle · lamp: amber · pressure: low", "")
    assert shown(MANUAL, found["| full \\| overfull | red | |"]) == ("full overfull · lamp: red", "")


@pytest.mark.parametrize(
    ("row", "header", "shows"),
    [
        ("| port | the port to listen on |", ("setting", "meaning"), "port: the port to listen on"),
        ("| a | b | c |", (), "a · b · c"),
        ("| a |  | c |", ("x", "y", "z"), "a · z: c"),
        ("| `--wait` | **waits** |", ("", ""), "`--wait`: waits"),
    ],
)
def test_rows_of_all_shapes(row: str, header: tuple[str, ...], shows: str) -> None:
    assert shown_row(row, header) == shows


def test_an_escaped_pipe_stays_in_its_cell() -> None:
    assert cells("| full \\| overfull | red | |") == ("full | overfull", "red", "")


def test_code_between_backticks_stays_as_it_is() -> None:
    assert shown_text("Set `a[0] * b_c` to *one*, [2] then") == "Set `a[0] * b_c` to one, then"


def test_a_fence_in_code_does_not_end_the_block() -> None:
    text = "    a ``` b\n    c"
    assert appearance(f"Say\n\n{text}") == [("Say", "````\na ``` b\nc\n````")]


@given(st.text(alphabet="ab.:|-#`1 \n*\t", max_size=120))
def test_quotes_are_stretches_of_the_text_and_show_no_marker(text: str) -> None:
    for each in quotables(text):
        assert 0 <= each.span.start < each.span.end <= len(text)
        lead, block = shown(text, each)
        assert "\n" not in lead
        assert block == "" or block.startswith("```")
