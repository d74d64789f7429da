"""Documents of one kind: how a series is known, how the question's names choose, and that none crowds out others."""

from dataclasses import replace
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.ingestion.names import names_of
from rag_app.retrieval.candidates import Found
from rag_app.retrieval.evidence import Features
from rag_app.retrieval.fusion import Candidate
from rag_app.retrieval.question import Question
from rag_app.retrieval.ranking import Judged
from rag_app.retrieval.series import REPEATED_WEIGHT, Named, is_series, lifted, spread
from rag_app.retrieval.terms import terms_of

REPORT = "Quarterly report of Borealis Corp. to its members. " + "In this quarter Borealis sold more wool. " * 150


def found(document: int, heading: str, place: int = 0) -> Found:
    """A passage of a document under a heading."""
    base = UUID(int=1)
    return Found(
        id=UUID(int=1000 * document + place), knowledge_base_id=base, document_id=UUID(int=document), version_id=base,
        ordinal=place, external_id=None, title="", url=None, text="", heading=heading, page_from=None, page_to=None,
        char_from=0, char_to=0, place={}, language="en", stems=frozenset(),
    )  # fmt: skip


def asked(text: str) -> Question:
    """A question of an English knowledge base."""
    return Question(text, {"en": tuple(terms_of(text, "en"))}, {}, {}, {})


def judged(document: int, place: int, fused: float) -> Judged:
    """A passage with its fused score."""
    return Judged(found(document, "Debt", place), Features(0.0, 0.0, None, fused))


def test_a_document_goes_by_the_names_of_its_opening_that_return() -> None:
    assert names_of(REPORT) == ("borealis",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        REPORT[:900],  # short: every passage is near the title
        REPORT.replace("Borealis", "borealis"),
        REPORT.replace("In this quarter Borealis", "In this quarter Borealis or another borealis"),
        "A report. " + "Nothing is named here. " * 200 + "We are Borealis. " * 200,  # not in the opening
        "We are Borealis. " + "It sold more wool in this quarter. " * 200,  # does not return
        "四半期報告書 " * 800,
    ],
)
def test_a_document_without_names(text: str) -> None:
    assert names_of(text) == ()


@given(st.text(max_size=200).map(lambda text: text * 60))
def test_names_stand_in_any_text(text: str) -> None:
    assert all(name in text.lower() for name in names_of(text))


def test_documents_that_share_headings_are_a_series() -> None:
    assert is_series([found(1, "Report › Note 5 – Debt"), found(2, "Report › Note 7: Debt"), found(3, "Wool")])


@pytest.mark.parametrize(
    "passages",
    [
        [],
        [found(1, "Debt"), found(1, "Debt", 1)],
        [found(1, "Debt"), found(2, "Wool")],
        [found(1, ""), found(2, "")],
        [found(1, "Note 1"), found(2, "Wool"), found(3, "Sheep"), found(4, "Note 2"), found(5, "Yarn")],
    ],
)
def test_other_documents_are_none(passages: list[Found]) -> None:
    assert not is_series(passages)


DOCUMENTS = (
    Named(UUID(int=1), "Form 10-Q (2022 Q3 BOR)", ("borealis", "form"), "en"),
    Named(UUID(int=2), "Form 10-Q (2023 Q1 BOR)", ("borealis", "form"), "en"),
    Named(UUID(int=3), "Form 10-Q (2023 Q1 AUS)", ("australis", "form"), "en"),
)
CANDIDATES = [Candidate(UUID(int=10 + at), 0.0, None, fused=0.5 - at / 100) for at in range(3)]
NAMED = dict(zip((each.passage_id for each in CANDIDATES), DOCUMENTS, strict=True))


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("What did Australis sell?", 2),
        ("what did australis sell in q1 2023", 2),
        ("Borealis in Q1 2023", 1),
        ("Borealis sales", 0),  # both of its reports, the better one first
        ("Sales in 2022", 0),
    ],
)
def test_the_question_chooses_by_name(question: str, first: int) -> None:
    order = lifted(CANDIDATES, NAMED, asked(question))
    assert order[0].passage_id == CANDIDATES[first].passage_id
    assert all(0 <= each.fused <= 1 for each in order)
    assert [each.fused for each in order] == sorted((each.fused for each in order), reverse=True)


@pytest.mark.parametrize("question", ["How much wool was sold?", "What is in the form 10-Q?"])
def test_names_that_none_or_all_bear_change_nothing(question: str) -> None:
    assert lifted(CANDIDATES, NAMED, asked(question)) == CANDIDATES


def test_each_document_gets_its_turn_when_passages_are_about_as_good() -> None:
    order = spread([judged(1, 0, 0.9), judged(1, 1, 0.89), judged(2, 0, 0.85), judged(1, 2, 0.6)])
    assert [each.found.document_id.int for each in order] == [1, 2, 1, 1]


def test_a_far_better_passage_stays_first() -> None:
    order = spread([judged(1, 0, 0.9), judged(1, 1, 0.85), judged(2, 0, 0.5)])
    assert [each.found.document_id.int for each in order] == [1, 1, 2]


@given(st.lists(st.tuples(st.integers(1, 4), st.floats(0, 1)), max_size=30))
def test_spreading_keeps_all_and_the_list_falls(passages: list[tuple[int, float]]) -> None:
    given_ones = [judged(document, at, fused) for at, (document, fused) in enumerate(passages)]
    order = spread(given_ones)
    assert sorted(each.found.id for each in order) == sorted(each.found.id for each in given_ones)
    scores = [each.score for each in order]
    assert all(one >= other - 1e-9 for one, other in pairwise(scores))
    for each in order:
        mates = [one for one in order if one.found.document_id == each.found.document_id]
        assert each.lowered == pytest.approx(REPEATED_WEIGHT * mates.index(each))
        assert replace(each, lowered=0.0) in given_ones
