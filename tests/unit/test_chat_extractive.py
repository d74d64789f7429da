"""Which sentences answer without a model, and how they are shown."""

import pytest

from rag_app.chat.appearance import shown_text
from rag_app.chat.cues import asked_kind
from rag_app.chat.extractive import MOST_SENTENCES, candidates, select
from rag_app.chat.relevance import FEATURES, features, texts_to_embed
from rag_app.providers import local_embedder
from rag_app.retrieval.passages import Evidence, SearchResult
from tests.unit.chat_library import NORMANS, OIL, Library, passage

JAPANESE = "富士山は日本で一番高い山です。高さは3776メートルです。東京からも見えます。"


async def chosen(question: str, *texts: str, language: str = "en") -> list[str]:
    passages = tuple(passage(text, fused=1 - at / 10, language=language) for at, text in enumerate(texts))
    result = await Library(passages).search(question, 8)
    vectors = local_embedder.embed(texts_to_embed(question, candidates(result.passages), language))
    found = select(question, result, vectors=vectors)
    return [result.passages[each.passage].text[each.quote.span.start : each.quote.span.end] for each in found]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("When did the oil crisis begin?", "October 1973"),
        ("What was the price of oil in March 1974?", "$12"),
        ("What was the oil crisis later called?", "first oil shock"),
        ("Which region did the Normans give their name to?", "Normandy"),
    ],
)
async def test_the_sentence_with_the_answer_comes_first(question: str, answer: str) -> None:
    found = await chosen(question, OIL, NORMANS)
    assert answer in found[0]
    assert len(found) <= MOST_SENTENCES


async def test_languages_without_spaces_are_quoted_by_sentence() -> None:
    assert "富士山は日本で一番高い山です。" in await chosen("日本で一番高い山は何ですか", JAPANESE, language="ja")


async def test_the_others_follow_in_reading_order() -> None:
    found = await chosen("oil crisis embargo price 1973", OIL)
    places = [OIL.index(sentence) for sentence in found[1:]]
    assert places == sorted(places)


def test_each_candidate_has_one_row_of_features_with_or_without_vectors() -> None:
    result = SearchResult((passage(OIL), passage(NORMANS)), Evidence())
    found = candidates(result.passages)
    assert features("Who?", result, found).shape == (len(found), len(FEATURES))
    vectors = local_embedder.embed(texts_to_embed("Who led?", found, "en"))
    assert features("Who led?", result, found, vectors=vectors).shape == (len(found), len(FEATURES))


def test_the_same_sentence_twice_is_one_candidate() -> None:
    assert len(candidates([passage(OIL), passage(OIL)])) == 3


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("It grew [3] fast.[citation needed]", "It grew fast."),
        ("- **Bold** item\nwith a break", "Bold item with a break"),
        ("<b>a</b> < b", "a < b"),
        ("![x](http://evil.example/a.png) see", "!(x)(http://evil.example/a.png) see"),
    ],
)
def test_a_quote_is_shown_without_marks_of_its_own(sentence: str, shown: str) -> None:
    assert shown_text(sentence) == shown


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Who led them?", "person"),
        ("When was it?", "time"),
        ("How many are there?", "number"),
        ("Wo liegt Köln?", "place"),
        ("Pourquoi ?", "reason"),
        ("いつですか", "time"),
        ("How do I reset it?", "steps"),
        ("Wie kann ich das ändern?", "steps"),
        ("Describe it", "other"),
    ],
)
def test_the_kind_of_answer_asked_for(question: str, kind: str) -> None:
    assert asked_kind(question) == kind


CODES = (
    "| code | meaning | fix |\n|---|---|---|\n| E07 | Water tank empty | Fill the tank |\n"
    "| E12 | Pump blocked | Run the descaling programme twice |\n"
    "| E31 | Heater sensor failed | Replace the sensor cable |\n| E310 | Error in meaning | How do you fix it |\n"
)
PARTS = (
    "Spare parts can be ordered from the shop.\n\n| Part | Price |\n|---|---|\n"
    "| Lid | 18 EUR |\n| Drip tray | 12 EUR |\n\n"
    "The warranty is two years from the day of purchase.\n"
)


async def test_only_the_row_that_holds_the_code_asked_for_is_quoted() -> None:
    found = await chosen("What does error code E31 mean and how do I fix it?", CODES)
    assert found == ["| E31 | Heater sensor failed | Replace the sensor cable |"]


async def test_a_cost_is_a_row_under_a_header_that_says_price() -> None:
    assert (await chosen("How much does a replacement lid cost?", PARTS))[0] == "| Lid | 18 EUR |"


async def test_a_row_named_by_the_question_comes_before_sentences_on_its_subject() -> None:
    text = (
        "Changes in exchange rates impacted net sales by 5 million.\n\nNet sales were as follows (in millions):\n\n"
        "| | 2021 | 2022 |\n|---|---|---|\n| Net sales | 110,812 | 127,101 |\n| Other | 3 | 4 |\n"
    )
    found = await chosen("What were the net sales in 2022?", text)
    assert found[0] == "| Net sales | 110,812 | 127,101 |"
    assert not any(each.endswith(":") for each in found)


def test_a_question_is_no_answer_but_better_than_nothing() -> None:
    assert [each.text for each in candidates([passage("How do I reset it? Press the red button.")])] == [
        "Press the red button."
    ]
    assert len(candidates([passage("How do I reset it?")])) == 1


async def test_what_is_asked_of_one_name_is_not_quoted_from_a_document_on_another() -> None:
    sales = "Net sales in the third quarter were 83 million dollars."
    others = "Net sales were 127 million dollars in all."
    passages = (
        passage(sales, title="Report of Alder Inc", fused=1.0),
        passage(others, title="Report of Birch Inc", fused=0.8),
    )
    question = "What were Birch's net sales in the third quarter?"
    result = await Library(passages).search(question, 8)
    vectors = local_embedder.embed(texts_to_embed(question, candidates(passages), "en"))
    assert {each.passage for each in select(question, result, vectors=vectors)} == {1}
