"""Cutting: what must hold for any document, and what a good cut looks like."""

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_app.errors import TooMuchContent
from rag_app.ingestion import chunk
from rag_app.ingestion.chunk import cut
from rag_app.ingestion.delimited import parse_delimited
from rag_app.ingestion.draft import MOST_BLOCKS
from rag_app.ingestion.encoding import clean
from rag_app.ingestion.markdown import parse_markdown
from rag_app.ingestion.parsed import Block, BlockKind, Cut, PageSpan, ParsedDocument
from rag_app.ingestion.pieces import estimate_tokens
from rag_app.ingestion.plain import parse_plain

SENTENCE = "The committee agreed on the budget for the coming year without a vote. "


def texts(parsed: ParsedDocument, cuts: list[Cut]) -> list[str]:
    return [parsed.text[each.char_from : each.char_to] for each in cuts]


_LINES = st.lists(
    st.one_of(
        st.sampled_from(
            ["", "", "# Top", "## Second", "### Third", "- item", "| a | b |", "|---|---|", "| 1 | 2 |", "```"]
        ),
        st.text(max_size=80),
        st.integers(1, 12).map(lambda count: SENTENCE * count),
        st.integers(1, 900).map(lambda count: "x" * count),
        st.integers(1, 400).map(lambda count: "漢字。" * count),
    ),
    max_size=60,
)


def check(parsed: ParsedDocument, cuts: list[Cut], limit: int) -> None:
    """The promises of `cut`."""
    position = 0
    for number, each in enumerate(cuts):
        assert each.ordinal == number
        assert position <= each.char_from < each.char_to <= len(parsed.text)
        assert not parsed.text[position : each.char_from].strip()
        shown = parsed.text[each.char_from : each.char_to]
        assert shown == shown.strip()
        assert estimate_tokens(shown) <= limit
        position = each.char_to
    assert not parsed.text[position:].strip()


@settings(max_examples=150, deadline=None)
@given(_LINES, st.sampled_from([(220, 300), (40, 60), (5, 8)]))
def test_the_promises_hold_for_any_markdown(lines: list[str], sizes: tuple[int, int]) -> None:
    parsed = parse_markdown("\n".join(lines).replace("\r", ""))
    cuts = cut(parsed, target_tokens=sizes[0], max_tokens=sizes[1], whole_tokens=0)
    check(parsed, cuts, sizes[1])
    assert cuts == cut(parsed, target_tokens=sizes[0], max_tokens=sizes[1], whole_tokens=0)
    tops = [block.char_from for block in parsed.blocks if block.kind == "heading" and block.level == 1]
    for each in cuts:
        assert not any(each.char_from < top < each.char_to for top in tops)


_KINDS: tuple[BlockKind, ...] = get_args(BlockKind)
_PLACES = st.integers(0, 600)
_BLOCKS = st.builds(
    lambda kind, ends, level, header_to: Block(kind, min(ends), max(ends), level, header_to),
    st.sampled_from(_KINDS), st.tuples(_PLACES, _PLACES), st.integers(0, 12), _PLACES,
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=600), st.lists(_BLOCKS, max_size=12))
def test_the_promises_hold_for_blocks_that_overlap_or_lie_outside(text: str, blocks: list[Block]) -> None:
    parsed = ParsedDocument(text, tuple(blocks))
    check(parsed, cut(parsed, target_tokens=20, max_tokens=30, whole_tokens=0), 30)


def test_a_short_text_is_one_passage() -> None:
    parsed = parse_plain(SENTENCE * 10)
    (only,) = cut(parsed)
    assert (only.char_from, only.char_to) == (0, len(parsed.text.strip()))
    assert only.heading == ""
    assert (only.page_from, only.page_to) == (None, None)


_FLAT_BLOCKS = st.lists(
    st.builds(
        Block, st.sampled_from(["paragraph", "list", "table", "code"]), st.integers(0, 80), st.integers(0, 80),
        header_to=st.integers(0, 80),
    ),
    max_size=4,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80) | st.text(" \n\t\u3000a", max_size=80), _FLAT_BLOCKS, st.integers(1, 30))
def test_a_short_document_without_headings_needs_no_pieces(text: str, blocks: list[Block], tokens: int) -> None:
    parsed = ParsedDocument(text, tuple(blocks), title="Title")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunk, "_whole", lambda *_: None)
        expected = cut(parsed, whole_tokens=tokens)
    assert cut(parsed, whole_tokens=tokens) == expected


def test_a_document_about_one_thing_stays_whole_a_little_longer() -> None:
    parsed = parse_plain(SENTENCE * 25)
    assert 300 < estimate_tokens(parsed.text) <= 512
    assert len(cut(parsed)) == 1
    assert len(cut(parsed, whole_tokens=300)) == 2
    assert len(cut(parse_plain(SENTENCE * 30))) > 1


def test_nothing_gives_no_passage() -> None:
    assert cut(ParsedDocument("", ())) == []
    assert cut(ParsedDocument(" \n ", ())) == []


def test_long_text_is_cut_at_sentences_into_even_parts() -> None:
    parsed = parse_plain(SENTENCE * 100)
    cuts = cut(parsed)
    sizes = [estimate_tokens(each) for each in texts(parsed, cuts)]
    assert all(each.endswith("vote.") for each in texts(parsed, cuts))
    assert all(150 <= size <= 300 for size in sizes)


def test_small_sections_under_one_parent_are_joined_and_top_headings_divide() -> None:
    source = "# One\n\n" + "".join(f"## Part {n}\n\n{SENTENCE}\n\n" for n in range(4)) + "# Two\n\nShort.\n"
    parsed = parse_markdown(source)
    first, second = cut(parsed)
    assert first.heading == "One"
    assert "Part 3" in texts(parsed, [first, second])[0]
    assert second.heading == "Two"
    assert texts(parsed, [second]) == ["# Two\n\nShort."]


def test_the_heading_path_is_context_and_not_shown_twice() -> None:
    source = "# Manual\n\n## Setup\n\n" + SENTENCE * 40 + "\n\n### Linux\n\n" + SENTENCE * 15
    parsed = parse_markdown("---\ntitle: Handbook\n---\n" + source)
    cuts = cut(parsed)
    assert [each.heading for each in cuts][:1] == ["Manual › Setup"]
    assert cuts[-1].heading == "Manual › Setup › Linux"
    assert cuts[-1].context == "Handbook\nManual › Setup › Linux"
    assert "Handbook" not in parsed.text


def test_a_heading_stays_with_what_follows() -> None:
    source = "".join(f"## Section {n}\n\n{SENTENCE * 12}\n\n" for n in range(8))
    parsed = parse_markdown("# Book\n\n" + source)
    shown = texts(parsed, cut(parsed))
    assert len(shown) == 8
    assert shown[0].startswith("# Book\n\n## Section 0")
    assert all("vote." in each for each in shown)


def test_a_long_table_is_split_by_rows_with_its_header_as_context() -> None:
    rows = "".join(f"country {n},{n * 1000}\n" for n in range(200))
    parsed = parse_delimited("name,inhabitants\n" + rows)
    cuts = cut(parsed)
    assert len(cuts) > 3
    assert "inhabitants" in texts(parsed, cuts)[0]
    for each, shown in list(zip(cuts, texts(parsed, cuts), strict=True))[1:]:
        assert shown.startswith("| country")
        assert shown.endswith("|")
        assert "name | inhabitants" in each.context
        assert "inhabitants" not in shown


def test_a_table_that_fits_is_kept_whole() -> None:
    table = "| a | b |\n|---|---|\n" + "".join(f"| row {n} | value {n} |\n" for n in range(30))
    parsed = parse_markdown(SENTENCE * 14 + "\n\n" + table + "\n" + SENTENCE * 14)
    assert sum("| row 0 |" in shown and "| row 29 |" in shown for shown in texts(parsed, cut(parsed))) == 1


def test_pages_of_a_passage() -> None:
    text = "\n\n".join(SENTENCE.strip() * 8 for _ in range(4))
    length = len(SENTENCE.strip() * 8)
    spans = [(number * (length + 2), number * (length + 2) + length) for number in range(4)]
    empty = PageSpan(3, spans[1][1], spans[1][1])
    pages = (PageSpan(1, *spans[0]), PageSpan(2, *spans[1]), empty, PageSpan(4, *spans[2]), PageSpan(5, *spans[3]))
    blocks = tuple(Block("paragraph", *span) for span in spans)
    cuts = cut(ParsedDocument(text, blocks, pages), target_tokens=140, max_tokens=150, whole_tokens=0)
    assert [(each.page_from, each.page_to) for each in cuts] == [(1, 1), (2, 2), (4, 4), (5, 5)]
    (whole,) = cut(ParsedDocument(text, blocks, pages), target_tokens=1000, max_tokens=2000)
    assert (whole.page_from, whole.page_to) == (1, 5)


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("word", 1), ("a" * 400, 100), ("漢字仮名", 4)])
def test_the_estimate_counts_wide_characters_as_tokens(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


SMALL = [".", "a.", "Bc. ", "word\n\n", "No. 5", "这是。", "}\n", "A line of words.\n\n"]


@given(st.lists(st.sampled_from(SMALL), max_size=700))
@settings(max_examples=30)
def test_many_small_pieces_are_grouped_as_few_are(parts: list[str]) -> None:
    parsed = parse_plain(clean(" ".join(parts)))
    expected = cut(parsed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunk, "_WIDE", 10**9)
        assert cut(parsed) == expected


def test_a_text_of_points_and_one_of_single_words_end() -> None:
    """Each once took hours."""
    assert cut(parse_plain(". " * 200_000))
    assert cut(parse_plain("word\n\n" * 20_000))
    with pytest.raises(TooMuchContent):
        parse_plain("a\n\n" * (MOST_BLOCKS + 1))


def test_underlined_headings_may_follow_each_other_without_end() -> None:
    found = parse_plain("Name\n====\n" * 20_000 + "The end.")
    assert [each.kind for each in found.blocks[-2:]] == ["heading", "paragraph"] and len(found.blocks) == 20_001
