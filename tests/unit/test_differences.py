"""What changed between two texts: nothing invented, nothing left out, bounded."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from rag_app.services.differences import MOST_SHOWN, Segment, TextDiff, diff_texts

LINES = st.lists(st.sampled_from(["", "alpha beta", "gamma", "delta. Epsilon zeta.", "alpha", "1 2 3", "|a|b|"]))


def shown(found: TextDiff, kind: str) -> str:
    """All segments of a kind in one."""
    return " ".join(segment.text for hunk in found.hunks for segment in hunk.segments if segment.kind == kind)


def test_a_changed_word_is_shown_in_its_line_and_the_rest_as_the_same() -> None:
    old = "Returns\n\nGoods may come back within thirty days of delivery.\n\nThat is all.\n"
    found = diff_texts(old, old.replace("thirty", "fourteen"))
    [hunk] = found.hunks
    assert hunk.segments[0].text.startswith("Returns") and hunk.old_from == hunk.new_from == 0
    assert (shown(found, "removed"), shown(found, "added")) == ("thirty", "fourteen")
    assert (found.added_words, found.removed_words, found.is_truncated, found.is_coarse) == (1, 1, False, False)


def test_the_same_text_has_no_changes_and_neither_has_other_space_around_lines() -> None:
    assert diff_texts("a\nb\n", "a\nb\n").hunks == ()
    assert diff_texts("a\nb", "  a\n\n\nb  \n").hunks == ()


def test_changes_far_apart_are_hunks_of_their_own_that_begin_where_they_say() -> None:
    old = "".join(f"line {number}\n" for number in range(40))
    new = old.replace("line 5\n", "line five\n").replace("line 30\n", "")
    found = diff_texts(old, new)
    assert len(found.hunks) == 2
    for hunk in found.hunks:
        before = "".join(segment.text for segment in hunk.segments if segment.kind != "added")
        after = "".join(segment.text for segment in hunk.segments if segment.kind != "removed")
        assert old.startswith(before, hunk.old_from) and new.startswith(after, hunk.new_from)


def test_a_long_line_is_compared_by_its_sentences() -> None:
    sentences = [f"Sentence number {number} says something of its own." for number in range(40)]
    changed = [*sentences[:20], "This one is new.", *sentences[20:]]
    found = diff_texts(" ".join(sentences), " ".join(changed))
    assert found.hunks[0].segments[1] == Segment("added", "This one is new. ") and found.removed_words == 0
    assert sum(len(segment.text) for segment in found.hunks[0].segments) < 300


def test_much_that_is_different_is_cut_short_and_says_so() -> None:
    old = "".join(f"old {number} word\n" for number in range(30_000))
    new = "".join(f"new {number} text\n" for number in range(30_000))
    found = diff_texts(old, new)
    assert found.is_truncated
    assert sum(len(segment.text) for hunk in found.hunks for segment in hunk.segments) <= MOST_SHOWN


def test_a_change_that_is_too_dear_to_take_apart_is_shown_whole_and_says_so() -> None:
    found = diff_texts("a b\n" * 2000, "c d\n" * 2000)
    assert found.is_coarse and found.removed_words == found.added_words == 4000


@settings(max_examples=200, deadline=None)
@given(LINES, LINES)
def test_taking_away_what_was_added_gives_the_old_text(old: list[str], new: list[str]) -> None:
    before, after = "\n".join(old), "\n".join(new)
    found = diff_texts(before, after)
    if before.split() == after.split():
        assert not shown(found, "added").strip() and not shown(found, "removed").strip()
    else:
        assert found.hunks
    for hunk in found.hunks:
        new_side = "".join(segment.text for segment in hunk.segments if segment.kind != "removed")
        old_side = "".join(segment.text for segment in hunk.segments if segment.kind != "added")
        assert f"{after}\n".startswith(new_side, hunk.new_from)
        assert before[hunk.old_from :].split()[: len(old_side.split())] == old_side.split()
    words = len(re.findall(r"\w+", after)) - len(re.findall(r"\w+", before))
    assert words == found.added_words - found.removed_words
