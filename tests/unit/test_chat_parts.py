"""Questions of several parts: where they are taken apart, and where they are left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.chat.parts import MOST_PARTS, accepted_parts, parts_of, split_request


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        (
            "How long is the warranty on the lamp and who pays for the return parcel?",
            ("How long is the warranty on the lamp?", "who pays for the return parcel?"),
        ),
        (
            "When did the oil crisis begin? How high did the price of oil rise?",
            ("When did the oil crisis begin?", "How high did the price of oil rise?"),
        ),
        (
            "Which port does the server use, and in which file is the log level set?",
            ("Which port does the server use?", "in which file is the log level set?"),
        ),
        (
            "Wie lange gilt die Garantie der Lampe und wer bezahlt das Rückporto?",
            ("Wie lange gilt die Garantie der Lampe?", "wer bezahlt das Rückporto?"),
        ),
    ],
)
def test_a_second_question_becomes_a_part(question: str, parts: tuple[str, ...]) -> None:
    assert parts_of(question) == parts


def test_a_part_that_leans_on_the_first_gets_its_subject() -> None:
    first, second = parts_of("When was the Eiffel Tower built and how high is it in metres?")
    assert first == "When was the Eiffel Tower built?"
    assert "Eiffel Tower" in second


@pytest.mark.parametrize(
    "question",
    [
        "What is the difference between the basic plan and the team plan?",
        "Compare the basic plan with the team plan",
        "the basic plan vs the team plan",
    ],
)
def test_a_comparison_gives_the_question_and_its_sides(question: str) -> None:
    whole, one, other = parts_of(question)
    assert whole == question
    assert "basic plan" in one and "team plan" in other


@pytest.mark.parametrize(
    "question",
    [
        "How long is the warranty?",
        "What do salt and pepper cost?",
        "Who wrote the opera and the ballet of that name?",
        "What did Marie Curie discover and name?",
        "Where do black and white squirrels live?",
        "and why?",
        "?",
        "",
        "Why?? How??",
        "What is it and how is it?",
    ],
)
def test_one_question_stays_whole(question: str) -> None:
    assert parts_of(question) == (question,)


@given(st.text(max_size=200), st.sampled_from(["", "en", "de", "fr", "zz"]))
def test_whatever_is_typed_gives_a_few_parts(text: str, language: str) -> None:
    parts = parts_of(text, language)
    assert 1 <= len(parts) <= MOST_PARTS
    assert parts == (text,) or all(part.strip() for part in parts)


@pytest.mark.parametrize(
    ("reply", "accepted"),
    [
        ("What is A?\nWhat is B?", ("What is A?", "What is B?")),
        ("1. What is A?\n2) What is B?", ("What is A?", "What is B?")),
        ("- “What is A?”\n- What is A?", ("What is A?",)),
        ("Questions: What is A?", ("What is A?",)),
        ("", ()),
        ("a\nb\nc\nd", ()),
        ("x" * 5000, ()),
    ],
)
def test_what_a_model_replies_is_taken_only_when_it_is_usable(reply: str, accepted: tuple[str, ...]) -> None:
    assert accepted_parts(reply, "What are A and B?") == accepted


def test_the_conversation_goes_in_as_data() -> None:
    system, user = split_request("And B?", ())
    assert "as data" in system["content"]
    assert "And B?" in user["content"]
