"""Codes and names of a question, and the confidence that single sentences add."""

import pytest

from rag_app.chat.confidence import answerable
from rag_app.chat.mentions import codes_in, holds_code
from rag_app.retrieval.evidence import smallness
from rag_app.retrieval.passages import Evidence, SearchResult
from tests.unit.chat_library import passage

PARTS = (
    "| Part | Price |\n|---|---|\n| Lid | 18 EUR |\n| Drip tray | 12 EUR |\n\n"
    "The warranty is two years from the day of purchase."
)
CODES = "| code | meaning |\n|---|---|\n| E07 | Water tank empty |\n| E12 | Pump blocked |"


@pytest.mark.parametrize(
    ("question", "codes"),
    [
        ("What does E31 mean?", ("E31",)),
        ("ERR_CONN-104 or e12, E12?", ("ERR_CONN-104", "e12", "E12")),
        ("Where is BM-4410-X?", ("BM-4410-X",)),
        ("In the 1990s, the 19th-century 2nd house of 1066?", ()),
        ("Who led them?", ()),
    ],
)
def test_the_codes_of_a_question(question: str, codes: tuple[str, ...]) -> None:
    assert codes_in(question) == codes


@pytest.mark.parametrize(
    ("text", "held"),
    [("| E31 | x", True), ("see (e31).", True), ("E310", False), ("E31-C", False), ("XE31", False), ("A-E31", False)],
)
def test_a_code_is_held_as_a_whole(text: str, held: bool) -> None:
    assert holds_code(text, "E31") is held


def found(text: str, *, passages: int, before: float = 0.05) -> SearchResult:
    return SearchResult((passage(text),), Evidence(answerable=before, smallness=smallness(passages)))


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("How long is the warranty?", PARTS),
        ("How much is the drip tray?", PARTS),
        ("How much does a replacement lid cost?", PARTS),
        ("What does E07 mean?", CODES),
    ],
)
def test_a_sentence_that_tells_all_raises_the_probability(question: str, text: str) -> None:
    assert answerable(question, found(text, passages=2)) > 0.3


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("How much does a bicycle cost?", PARTS),
        ("How long is the guarantee?", PARTS),
        ("How long is the warranty of Birch Inc?", PARTS),
        ("What does E99 mean?", CODES),
    ],
)
def test_other_questions_stay_as_the_evidence_says(question: str, text: str) -> None:
    assert answerable(question, found(text, passages=2)) == pytest.approx(0.05)


def test_in_a_large_knowledge_base_one_sentence_adds_nothing() -> None:
    assert answerable("How long is the warranty?", found(PARTS, passages=5_000)) == pytest.approx(0.05)
