"""Edits found again in other texts: applied at the right words or reported, in whatever way the text was cut."""

import random
import re
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_app.ingestion.anchors import Anchor, Place, Words, find, make_anchor, whole_words
from rag_app.ingestion.chunk import cut
from rag_app.ingestion.edits import Edit, EditKind, Placement, apply_edits, hash_of, place_edits
from rag_app.ingestion.markdown import parse_markdown
from rag_app.ingestion.plain import parse_plain
from tests.edit_texts import EDITS_PER_TEXT, Paragraph, revised, some_text

GUIDE = """# Returns

Goods may be returned within thirty days of delivery. Ask the desk for a label.

## Refunds

The refund is paid to the original card within five working days. Cash is never paid out.

## Gifts

A gift voucher is valid for three years from the day it was bought.
"""
REFUND = "The refund is paid to the original card within five working days."


def edit_of(text: str, quote: str, *, kind: EditKind = "hide", replacement: str = "") -> Edit:
    """An edit of the first place where the quote stands."""
    start = text.index(quote)
    span = whole_words(text, start, start + len(quote))
    assert span
    anchor = make_anchor(Words(text), *span)
    return Edit(uuid4(), kind, anchor, hash_of(text), replacement, 1)


def placed(edit: Edit, text: str) -> str | None:
    """The words an edit applies to in a text, or its reason in brackets."""
    [found] = place_edits(text, [edit])
    return text[slice(*found.span)] if found.span else f"[{found.reason}]"


def test_the_same_text_has_the_edit_where_it_was_even_among_likes() -> None:
    text = "row one\n" * 40
    anchor = make_anchor(Words(text), 80, 87)
    edit = Edit(uuid4(), "hide", anchor, hash_of(text), "", 1)
    [found] = place_edits(text, [edit])
    assert found.span == (80, 87)


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (GUIDE.replace("# Returns\n", "# Returns\n\nA new beginning.\n"), "paid to the original card"),
        (GUIDE.replace("paid to the original card", "paid  to the\noriginal card"), "paid  to the\noriginal card"),
        (GUIDE.upper(), "PAID TO THE ORIGINAL CARD"),
        (
            GUIDE.replace("The refund is paid to the original card within five working days.", "No refunds."),
            "[not_found]",
        ),
        ("Something else altogether.", "[not_found]"),
        ("", "[not_found]"),
    ],
)
def test_a_stretch_is_found_again_by_its_words(new: str, expected: str) -> None:
    assert placed(edit_of(GUIDE, "paid to the original card"), new) == expected


def test_a_stretch_that_changed_a_little_in_its_place_is_still_the_same() -> None:
    edit = edit_of(GUIDE, "The refund is paid to the original card within five working days.")
    new = GUIDE.replace("is paid to the original card within five", "is always paid to the original card within ten")
    assert placed(edit, new) == "The refund is always paid to the original card within ten working days."


def test_a_likeness_elsewhere_is_not_the_stretch() -> None:
    first, second = "Plan A costs ten euros a month for one seat.", "Plan B costs six euros a month for one seat."
    text = f"{first}\n\nAbout plans.\n\n{second}"
    edit = edit_of(text, first)
    assert edit.anchor.likes
    without = text.replace(f"{first}\n\n", "")
    assert placed(edit, without) == "[not_found]"


def test_a_stretch_that_stands_twice_in_equal_surroundings_is_ambiguous() -> None:
    edit = edit_of(GUIDE, "Cash is never paid out.")
    part = GUIDE[GUIDE.index("## Refunds") : GUIDE.index("## Gifts")]
    assert placed(edit, GUIDE.replace(part, part * 2)) == "[ambiguous]"


def test_a_short_stretch_needs_its_surroundings() -> None:
    edit = edit_of(GUIDE, "three years")
    assert placed(edit, "The guarantee ends after three years. Then nothing is repaired for free.") == "[not_found]"
    assert placed(edit, GUIDE.replace("Gifts", "Vouchers")) == "three years"


def test_a_correction_of_other_figures_is_a_conflict_but_hidden_figures_stay_hidden() -> None:
    text = GUIDE.replace("five", "5")
    quote = "The refund is paid to the original card within 5 working days."
    new = text.replace("within 5", "within 8")
    assert placed(edit_of(text, quote, kind="correct"), new) == "[changed]"
    assert placed(edit_of(text, quote), new) == quote.replace("5", "8")


def test_a_script_without_spaces_is_matched_character_by_character() -> None:
    text = "退款将在五个工作日内支付到原卡。礼品券有效期为三年。我们不支付现金。"
    edit = edit_of(text, "礼品券有效期为三年")
    assert placed(edit, f"新的开头。{text}") == "礼品券有效期为三年"


def test_a_span_is_widened_to_whole_words_and_needs_one() -> None:
    assert whole_words("the refund is", 6, 9) == (4, 10)
    assert whole_words("a -- b", 2, 4) is None
    assert whole_words("one (two) three", 3, 10) == (4, 9)


def test_a_passage_is_cut_around_what_is_hidden_and_its_parts_are_not_neighbours() -> None:
    parsed = parse_plain("One two three. Four five six. Seven eight nine.")
    start = parsed.text.index("Four")
    cuts = apply_edits(parsed.text, cut(parsed), [Placement(uuid4(), (start, start + 13))])
    assert [parsed.text[each.char_from : each.char_to] for each in cuts] == ["One two three.", "Seven eight nine."]
    assert cuts[1].ordinal - cuts[0].ordinal == 2


def test_a_hidden_heading_is_no_context_either() -> None:
    parsed = parse_markdown(GUIDE)
    cuts = cut(parsed, target_tokens=12, max_tokens=20, whole_tokens=10)
    assert any("Refunds" in each.context for each in cuts)
    edit = edit_of(parsed.text, "## Refunds")
    kept = apply_edits(parsed.text, cuts, place_edits(parsed.text, [edit]))
    assert kept and not any("Refunds" in each.context + each.heading for each in kept)
    assert any(each.heading == "Returns" for each in kept)


def test_a_corrected_passage_keeps_its_heading_as_context_of_others() -> None:
    parsed = parse_markdown(GUIDE)
    cuts = cut(parsed, target_tokens=12, max_tokens=20, whole_tokens=10)
    quote = "## Refunds\n\nThe refund is paid to the original card within five working days."
    edit = edit_of(parsed.text, quote, kind="correct", replacement=quote.replace("five", "two"))
    kept = apply_edits(parsed.text, cuts, place_edits(parsed.text, [edit]))
    shown = [parsed.text[each.char_from : each.char_to] for each in kept]
    assert "Cash is never paid out." in shown
    assert next(each for each in kept if "Cash" in parsed.text[each.char_from : each.char_to]).heading.endswith(
        "Refunds"
    )


@settings(max_examples=500 // EDITS_PER_TEXT, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_each_edit_is_applied_at_the_right_words_or_reported_whatever_becomes_of_the_text(seed: int) -> None:
    """Ten random edits of a random text, which is then revised and cut in another way; 500 edits in all."""
    dice = random.Random(seed)
    old = some_text(dice)
    text = "\n\n".join(each.text for each in old)
    edits = [_random_edit(dice, old, text) for _ in range(EDITS_PER_TEXT)]
    new = revised(dice, old)
    after = "\n\n".join(each.text for each in new)
    placements = place_edits(after, [edit for edit, _ in edits])
    assert [each.edit_id for each in placements] == [edit.id for edit, _ in edits]  # none vanishes
    parsed = parse_plain(after)
    target = dice.choice((20, 60, 220))
    kept = apply_edits(after, cut(parsed, target_tokens=target, max_tokens=target * 2), placements)
    shown = [after[each.char_from : each.char_to] for each in kept]
    for (edit, paragraph), placement in zip(edits, placements, strict=True):
        if placement.span is None:
            assert placement.reason
            survivor = next((each for each in new if each.key == paragraph.key), None)
            assert survivor is None or survivor.text != paragraph.text or _is_repeated(after, edit.anchor)
            continue
        owner = _owner(new, placement.span[0])
        assert owner.key == paragraph.key, (edit.anchor.quote, after[slice(*placement.span)])
        for low, high in [(each.char_from, each.char_to) for each in kept]:
            assert high <= placement.span[0] or low >= placement.span[1]
    covered = [each.span for each in placements if each.span]
    for found in re.finditer(r"\w+", after):  # what nobody touched is still there
        if not any(low < found.end() and high > found.start() for low, high in covered):
            assert any(each.char_from <= found.start() and found.end() <= each.char_to for each in kept)
    assert all(piece == piece.strip() and piece for piece in shown)


def _random_edit(dice: random.Random, paragraphs: list[Paragraph], text: str) -> tuple[Edit, Paragraph]:
    paragraph = dice.choice(paragraphs)
    start = text.index(paragraph.text)
    words = [found.span() for found in re.finditer(r"\w+", paragraph.text)]
    first = dice.randrange(len(words))
    last = min(len(words) - 1, first + dice.choice((0, 2, 8, 30)))
    span = (start + words[first][0], start + words[last][1])
    anchor = make_anchor(Words(text), *span)
    return Edit(uuid4(), dice.choice(("hide", "correct")), anchor, hash_of(text), "", 1), paragraph


def _owner(paragraphs: list[Paragraph], place: int) -> Paragraph:
    position = 0
    for paragraph in paragraphs:
        position += len(paragraph.text) + 2
        if place < position:
            return paragraph
    raise AssertionError("the place is behind the text")


def _is_repeated(text: str, anchor: Anchor) -> bool:
    return not isinstance(find(anchor, Words(text)), Place)
