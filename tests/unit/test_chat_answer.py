"""The stream of one answer: extractive, from a model, without documents, refused, cut and cancelled."""

import asyncio
import re
from collections.abc import AsyncIterator

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.chat.answer import answer
from rag_app.chat.events import Cited, Event, Failed, Found, Searching, Token
from rag_app.chat.history import Turn
from rag_app.chat.phrases import NOTICE_MARK
from rag_app.chat.request import AnswerRequest, Engine
from rag_app.chat.writer import AnswerWriter
from rag_app.errors import NotReady, ProviderError, ProviderTimeout
from rag_app.providers.completion_types import CompletionChunk, CompletionRequest
from tests.unit.chat_library import NORMANS, OIL, Library, Model, done_of, events_of, passage

MODEL = "openai/some-model"
QUESTION = "When did the 1973 oil crisis begin?"


def library(answerable: float = 0.9) -> Library:
    return Library(
        (passage(OIL, title="1973 oil crisis", offset=100), passage(NORMANS, title="Normans", fused=0.2)), answerable
    )


async def from_model(text: str, *, size: int = 4, question: str = QUESTION) -> list[Event]:
    return await events_of(AnswerRequest(question, model=MODEL), Engine(library().search, Model([text], size).complete))


async def test_an_extractive_answer_quotes_and_says_that_no_model_is_configured() -> None:
    events = await events_of(AnswerRequest(QUESTION), Engine(library().search))
    done = done_of(events)
    assert [type(event) for event in events[:3]] == [Searching, Found, Cited]
    assert done.answer.startswith("The 1973 oil crisis began in October 1973")
    assert done.answer.count(NOTICE_MARK) == 1
    assert "Settings → Models" in done.answer
    assert 1 <= len(done.citations) <= 3
    assert not done.abstained
    assert done.model == "local/extractive"
    for entry in done.citations:
        assert OIL[entry.char_from - 100 : entry.char_to - 100] == entry.quote
        assert done.answer[entry.answer_to :].startswith(f" [{entry.n}]")
        assert done.answer[entry.answer_from : entry.answer_to] == entry.quote


async def test_similarity_takes_part_when_there_is_an_embedder() -> None:
    asked: list[list[str]] = []

    async def embed(texts: list[str]) -> npt.NDArray[np.float32]:
        asked.append(texts)
        return np.eye(len(texts), 8, dtype=np.float32)

    done_of(await events_of(AnswerRequest(QUESTION), Engine(library().search, None, embed)))
    assert asked[0][0] == QUESTION
    assert OIL.split(". ")[0] + "." in asked[0]


async def test_a_failing_embedder_does_not_cost_the_answer() -> None:
    async def embed(texts: list[str]) -> npt.NDArray[np.float32]:
        raise ProviderTimeout

    done = done_of(await events_of(AnswerRequest(QUESTION), Engine(library().search, None, embed)))
    assert done.citations


async def test_markers_are_checked_and_each_citation_comes_before_its_marker() -> None:
    text = "The 1973 oil crisis began in October 1973 [1]. It ended in 1999 [1]. Foreign [7]. See `x[1]`."
    events = await from_model(text)
    done = done_of(events)
    assert done.answer == "The 1973 oil crisis began in October 1973 [1]. It ended in 1999. Foreign. See `x[1]`."
    assert [entry.n for entry in done.citations] == [1]
    cited = next(at for at, event in enumerate(events) if isinstance(event, Cited))
    marked = next(at for at, event in enumerate(events) if isinstance(event, Token) and "[1]" in event.text)
    assert cited < marked
    assert done.usage.prompt_tokens == 10
    assert done.usage.cost_microusd is None
    assert done.model == "openai/real-name"


async def test_a_number_in_the_answer_leads_to_exactly_one_entry() -> None:
    text = (
        "By March 1974, the price of oil had risen to nearly $12 [1]. The crisis began in October 1973 [1]. "
        "The Normans gave their name to Normandy in France [2]. The crisis began in October 1973 [1]."
    )
    done = done_of(await from_model(text))
    assert re.findall(r"\[(\d+)\]", done.answer) == ["1", "2", "3", "2"]
    assert [entry.n for entry in done.citations] == [1, 2, 3]
    assert len({entry.quote for entry in done.citations}) == 3


async def test_a_marker_in_the_middle_of_a_sentence_waits_for_its_end() -> None:
    done = done_of(await from_model("According to this [1], the price rose to nearly $12 by March 1974. More."))
    assert done.answer == "According to this, the price rose to nearly $12 by March 1974. [1] More."


async def test_a_thousand_markers_show_once() -> None:
    done = done_of(await from_model("The 1973 oil crisis began in October 1973" + " [1]" * 1_000 + "."))
    assert done.answer == "The 1973 oil crisis began in October 1973 [1]."


async def test_a_failing_marker_before_a_good_one_leaves_its_space() -> None:
    done = done_of(await from_model("The 1973 oil crisis began in October 1973 [9][1]."))
    assert done.answer == "The 1973 oil crisis began in October 1973 [1]."


async def test_an_answer_cut_within_a_marker_shows_no_half() -> None:
    assert done_of(await from_model("It began then [1")).answer == "It began then"


SAID = st.sampled_from(
    ["The 1973 oil crisis began in October 1973", "It ended in 1999", "By March 1974 oil cost nearly $12", " [1]",
     "[2]",
     " [1, 2]", ". ", "\n\n", "- ", "`a[1]`", " [", "According to this", " and ", "```\n", "Yes", "[99]"]
)  # fmt: skip


@given(st.lists(SAID, max_size=12), st.integers(1, 9))
def test_what_is_shown_does_not_depend_on_how_the_stream_was_cut(parts: list[str], size: int) -> None:
    text = "".join(parts)
    found = (passage(OIL), passage(NORMANS))
    shown = []
    for step in (size, len(text) or 1):
        writer = AnswerWriter(found, question=QUESTION)
        events = [event for start in range(0, len(text), step) for event in writer.feed(text[start : start + step])]
        events += writer.finish()
        assert "".join(event.text for event in events if isinstance(event, Token)) == writer.text
        listed = [(entry.n, entry.quote) for entry in writer.citations]
        assert [n for n, _ in listed] == list(range(1, len(listed) + 1))
        shown.append((writer.text, listed))
    assert shown[0] == shown[1]


@pytest.mark.parametrize(
    "text",
    [
        "The documents do not say anything about that. [0]",
        "Dazu steht nichts darin [0]",
        "I could not find this in the documents.",
    ],
)
async def test_a_model_that_finds_nothing_abstains(text: str) -> None:
    done = done_of(await from_model(text))
    assert done.abstained
    assert "[0]" not in done.answer


async def test_a_cited_answer_does_not_abstain_whatever_words_it_uses() -> None:
    done = done_of(
        await from_model("The 1973 oil crisis began in October 1973 [1]. The documents do not say more. [0]")
    )
    assert not done.abstained


@pytest.mark.parametrize(
    ("question", "start"),
    [
        ("What does a parking permit cost?", "I could not find"),
        ("Was kostet ein Parkausweis für die Stadt?", "Dazu habe ich"),
    ],
)
async def test_it_says_no_when_nothing_relevant_is_found(question: str, start: str) -> None:
    model = Model(["never asked"])
    for engine in (Engine(library(0.1).search), Engine(library(0.1).search, model.complete)):
        done = done_of(await events_of(AnswerRequest(question, model=MODEL), engine))
        assert done.abstained
        assert done.citations == ()
        assert done.answer.startswith(start)
    assert model.requests == []


async def test_an_empty_knowledge_base_says_no() -> None:
    assert done_of(await events_of(AnswerRequest(QUESTION), Engine(Library(()).search))).abstained


@pytest.mark.parametrize("text", ["Thanks a lot!", "Guten Morgen", "merci beaucoup", "こんにちは", "bye"])
async def test_small_talk_is_answered_without_a_search(text: str) -> None:
    found = library()
    done = done_of(await events_of(AnswerRequest(text), Engine(found.search)))
    assert found.asked == []
    assert not done.abstained
    assert done.answer


@pytest.mark.parametrize("text", ["Thanks, but when did it begin?", "Hello, what is a permit", "day", "good oil"])
async def test_a_question_with_a_greeting_is_a_question(text: str) -> None:
    found = library()
    await events_of(AnswerRequest(text), Engine(found.search))
    assert found.asked == [text]


async def test_a_bot_without_knowledge_talks_with_its_model() -> None:
    model = Model(["I am fine [1]."])
    request = AnswerRequest("How are you today?", model=MODEL, has_knowledge=False, instructions="Be Ada.")
    events = await events_of(request, Engine(library().search, model.complete))
    done = done_of(events)
    assert done.answer == "I am fine."
    assert not any(isinstance(event, Searching | Found) for event in events)
    assert "Be Ada." in model.requests[0].messages[0]["content"]


async def test_without_knowledge_and_model_it_says_what_is_missing() -> None:
    done = done_of(await events_of(AnswerRequest("How are you?", has_knowledge=False), Engine(library().search)))
    assert "Settings → Models" in done.answer


async def test_a_follow_up_is_rewritten_by_the_model() -> None:
    model = Model(["When did the 1973 oil crisis end?", "The oil crisis began in October 1973 [1]."])
    found = library()
    request = AnswerRequest("And when did it end?", history=(Turn("user", QUESTION),), model=MODEL)
    done = done_of(await events_of(request, Engine(found.search, model.complete)))
    assert found.asked == ["When did the 1973 oil crisis end?"]
    assert done.queries == ("When did the 1973 oil crisis end?",)
    assert done.usage.prompt_tokens == 20
    assert {"rewrite", "search", "first_token", "total"} <= set(done.timings_ms)


async def test_a_failing_rewrite_falls_back_to_the_local_rule() -> None:
    calls: list[CompletionRequest] = []

    async def complete(request: CompletionRequest) -> AsyncIterator[CompletionChunk]:
        calls.append(request)
        if len(calls) == 1:
            raise ProviderTimeout
        yield CompletionChunk("The crisis began in October 1973 [1].")

    found = library()
    request = AnswerRequest(
        "When did they leave Normandy?", history=(Turn("user", "Who were the Normans?"),), model=MODEL
    )
    done_of(await events_of(request, Engine(found.search, complete)))
    assert found.asked != ["When did they leave Normandy?"]
    assert "Normans" in found.asked[0]


async def test_a_bot_without_memory_takes_each_question_alone() -> None:
    found = library()
    model = Model(["October 1973 [1]"])
    request = AnswerRequest("And when did it end?", history=(Turn("user", QUESTION),), model=MODEL, memory=False)
    await events_of(request, Engine(found.search, model.complete))
    assert found.asked == ["And when did it end?"]
    assert QUESTION not in str(model.requests[0].messages)


async def test_an_error_in_the_middle_comes_last_and_keeps_what_was_said() -> None:
    model = Model(["The 1973 oil crisis began in October 1973 [1]. And th"], error=ProviderError("The line was cut."))
    events = await events_of(AnswerRequest(QUESTION, model=MODEL), Engine(library().search, model.complete))
    assert events[-1] == Failed("provider_error", "The line was cut.")
    said = "".join(event.text for event in events if isinstance(event, Token))
    assert said == "The 1973 oil crisis began in October 1973 [1]. And th"
    assert sum(isinstance(event, Cited) for event in events) == 1


async def test_a_search_that_fails_is_told() -> None:
    async def search(question: str, limit: int) -> object:
        raise NotReady

    events = await events_of(AnswerRequest(QUESTION), Engine(search))  # type: ignore[arg-type] # it only raises
    assert isinstance(events[-1], Failed)
    assert events[-1].code == "not_ready"


async def test_an_empty_answer_is_an_error() -> None:
    events = await from_model(" \n ")
    assert isinstance(events[-1], Failed)


async def test_closing_the_stream_closes_the_provider() -> None:
    model = Model(["word " * 500])
    stream = answer(AnswerRequest(QUESTION, model=MODEL), Engine(library().search, model.complete))
    async for event in stream:
        if isinstance(event, Token):
            break
    await stream.aclose()
    assert model.closed == 1


async def test_cancelling_passes_through() -> None:
    started = asyncio.Event()
    closed: list[bool] = []

    async def complete(request: CompletionRequest) -> AsyncIterator[CompletionChunk]:
        try:
            yield CompletionChunk("word ")
            started.set()
            await asyncio.sleep(60)
        finally:
            closed.append(True)

    task = asyncio.create_task(events_of(AnswerRequest(QUESTION, model=MODEL), Engine(library().search, complete)))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed == [True]
