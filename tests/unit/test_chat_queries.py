"""What is searched for one question: pooled fairly, searched again within limits, and noted in a bounded trace."""

import json
import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.chat.answer import answer
from rag_app.chat.history import Turn
from rag_app.chat.listwise import ranking_request, scores_of
from rag_app.chat.phrases import NOTICE_MARK
from rag_app.chat.pooling import pool
from rag_app.chat.queries import MOST_HOP_QUERIES, accepted_hops, hop_request
from rag_app.chat.request import AnswerRequest, Engine
from rag_app.chat.trace import LARGEST_BYTES, AnswerTrace, Query
from rag_app.errors import ProviderTimeout
from rag_app.retrieval.passages import Considered, Evidence, Passage, Ranks, SearchResult
from tests.unit.chat_library import NORMANS, OIL, Library, Model, done_of, events_of, passage

MODEL = "openai/some-model"


def result(*passages: Passage, answerable: float = 0.5) -> SearchResult:
    return SearchResult(passages, Evidence(answerable=answerable), warnings=("a leg is missing",))


@given(st.lists(st.integers(0, 6), min_size=2, max_size=4), st.integers(1, 12))
def test_each_search_has_its_share_of_the_pool(sizes: list[int], limit: int) -> None:
    results = [result(*(passage(f"{n}.{place}") for place in range(size))) for n, size in enumerate(sizes)]
    pooled = pool(results, limit=limit)
    taken = [sum(each in pooled.passages for each in one.passages) for one in results]
    assert len(pooled.passages) == min(limit, sum(sizes))
    for mine, size in zip(taken, sizes, strict=True):
        assert all(mine >= other - 1 for other in taken) or mine == size
    for one in results:
        kept = [each for each in pooled.passages if each in one.passages]
        assert kept == list(one.passages[: len(kept)])


def test_a_passage_stands_once_in_a_pool_also_inside_a_longer_one() -> None:
    long = passage(OIL, offset=10)
    inside = replace(passage(OIL[20:60]), version_id=long.version_id, char_from=30, char_to=70)
    pooled = pool([result(long, answerable=0.2), result(long, inside, answerable=0.9)], limit=8)
    assert pooled.passages == (long,)
    assert (pooled.evidence.answerable, pooled.warnings) == (0.9, ("a leg is missing",))
    assert pool([result(long)], limit=8).passages == (long,)


@pytest.mark.parametrize(
    ("reply", "queries"),
    [
        ("ENOUGH", ()),
        ("**Enough.**", ()),
        ("", ()),
        ("1. Who led the Normans?\n2. Where is Normandy?\n3. More?", ("Who led the Normans?", "Where is Normandy?")),
        ("- “Who led the Normans?”\n- Who led the Normans?", ("Who led the Normans?",)),
        ("x" * 400, ()),
    ],
)
def test_what_a_model_wants_to_search_next(reply: str, queries: tuple[str, ...]) -> None:
    assert accepted_hops(reply) == queries
    assert len(queries) <= MOST_HOP_QUERIES


def test_short_calls_are_bounded_and_fence_the_passages() -> None:
    passages = [passage(f"{n} " + "word " * 5000) for n in range(50)]
    for messages in (hop_request("Why?", passages), ranking_request("Why?", [each.text for each in passages[:30]])):
        user = messages[1]["content"]
        lines = user.splitlines()
        assert lines[0].startswith("=== passages ") and user.count(lines[0]) == 2
        assert len(user) < 30_000
        assert "data" in messages[0]["content"]


@given(st.text(max_size=300), st.integers(0, 20))
def test_whatever_a_model_replies_gives_one_falling_score_per_number(reply: str, count: int) -> None:
    scores = scores_of(reply, count)
    known = [score for score in scores if score is not None]
    assert len(scores) == count
    assert len(set(known)) == len(known)


def test_numbers_become_an_order() -> None:
    assert scores_of("2, 1, 2, 99, 0", 3) == [1 / 2, 1.0, None]


async def test_hops_stop_at_their_limit_and_keep_what_was_found() -> None:
    library = Library((passage(OIL, title="Oil"), passage(NORMANS, title="Normans")))
    model = Model(["Who led the Normans?", "Where is Normandy?", "The oil crisis began in October 1973 [1]."], size=50)
    trace = AnswerTrace()
    request = AnswerRequest("When did the 1973 oil crisis begin?", model=MODEL, hops=3)

    events = [event async for event in answer(request, Engine(library.search, model.complete), trace=trace)]
    assert library.asked == [request.question, "Who led the Normans?", "Where is Normandy?"]
    assert [query.why for query, _ in trace.searches] == ["asked", "hop", "hop"]
    assert done_of(events).citations
    assert [call.purpose for call in trace.calls] == ["hop", "hop", "answer"]
    assert trace.usage().prompt_tokens == 30


async def test_a_model_that_is_late_between_searches_is_left_out() -> None:
    library = Library((passage(OIL),))
    model = Model([""], error=ProviderTimeout("late"))
    trace = AnswerTrace()

    request = AnswerRequest("When did the 1973 oil crisis begin?", model=MODEL, hops=2)
    events = [event async for event in answer(request, Engine(library.search, model.complete), trace=trace)]
    assert library.asked == [request.question]
    assert trace.warnings == ["hop: the model did not answer in time; it was left out"]
    assert events[-1].kind == "error"


async def test_without_a_model_there_are_no_hops() -> None:
    library = Library((passage(OIL),))
    await events_of(AnswerRequest("When did the 1973 oil crisis begin?", hops=3), Engine(library.search))
    assert len(library.asked) == 1


CEO = (Turn("user", "Who is the CEO of the company?"), Turn("assistant", "I could not find an answer."))
WARRANTY = "The warranty of the pump lasts twenty-four months from the day of delivery."


@pytest.mark.parametrize(
    ("question", "alone", "says_no", "searched"),
    [
        ("How long is the warranty?", 0.9, False, ["rewritten", "asked"]),
        ("How long is the warranty?", 0.1, True, ["rewritten", "asked"]),
        ("How long does it last?", 0.9, True, ["rewritten"]),
        ("And the warranty?", 0.9, True, ["rewritten"]),
    ],
)
async def test_before_it_says_no_a_follow_up_is_searched_as_it_was_asked(
    question: str, alone: float, says_no: bool, searched: list[str]
) -> None:
    library = Library((passage(WARRANTY),), answerable=0.01, differing={question: alone})
    trace = AnswerTrace()
    request = AnswerRequest(question, history=CEO)
    events = [event async for event in answer(request, Engine(library.search), trace=trace)]
    done = done_of(events)
    assert done.abstained == says_no
    assert ("twenty-four months" in done.answer) != says_no
    assert [query.why for query, _ in trace.searches] == searched
    assert len(done.queries) == len(searched) == len(library.asked)
    assert trace.probability == pytest.approx(max(library.differing[question] if "asked" in searched else 0, 0.01))


async def test_a_rewritten_question_that_is_answered_is_not_searched_again() -> None:
    library = Library((passage(WARRANTY),), answerable=0.9)
    await events_of(AnswerRequest("How long is the warranty?", history=CEO), Engine(library.search))
    assert len(library.asked) == 1 and "CEO" in library.asked[0]


async def test_that_no_model_is_configured_is_said_once_a_conversation() -> None:
    library = Library((passage(OIL),))
    first = done_of(await events_of(AnswerRequest("When did the 1973 oil crisis begin?"), Engine(library.search)))
    history = (Turn("user", "When did the 1973 oil crisis begin?"), Turn("assistant", first.answer))
    second = AnswerRequest("What was the price of oil in March 1974?", history=history, memory=False)
    assert NOTICE_MARK in first.answer
    assert NOTICE_MARK not in done_of(await events_of(second, Engine(library.search))).answer


async def test_the_least_probability_can_be_set() -> None:
    library = Library((passage(NORMANS),), answerable=0.5)
    question = "Which alloy does the bridge of Vienna hold?"
    strict = await events_of(AnswerRequest(question, minimum_evidence=0.9), Engine(library.search))
    assert done_of(strict).abstained
    open_ = await events_of(AnswerRequest(question, minimum_evidence=0.0), Engine(library.search))
    assert not done_of(open_).abstained


def test_a_trace_stays_within_its_size() -> None:
    trace = AnswerTrace()
    one = Considered(uuid.uuid4(), uuid.uuid4(), uuid.uuid4(), Ranks(1, 2, 3), 1.0, 0.5, 0.5, 0.5, "shown")
    found = SearchResult((), Evidence(), considered=(one,) * 110)
    trace.searches = [(Query("word " * 1000, "hop"), found)] * 30
    assert len(json.dumps(trace.as_json())) <= LARGEST_BYTES * 3
    trace.searches = trace.searches[:7]
    data = trace.as_json()
    assert len(json.dumps(data)) <= LARGEST_BYTES
    assert len(data["queries"][0]["candidates"]) == 20
    assert OIL not in json.dumps(data)
