"""Answers one question as a stream of typed events; search, completion and embedding are handed in."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from rag_app.chat import phrases, prompt
from rag_app.chat.appearance import shown
from rag_app.chat.citations import CitationList
from rag_app.chat.confidence import answerable
from rag_app.chat.events import Cited, Event, Failed, Found, Searching, Token
from rag_app.chat.extractive import Selected, candidates, select
from rag_app.chat.progress import Progress, closable
from rag_app.chat.queries import (
    LookedUp,
    asked_itself,
    hops_left,
    look_apart,
    look_further,
    look_up,
    next_queries,
    planned,
)
from rag_app.chat.refusal import says_not_found
from rag_app.chat.relevance import passage_language, texts_to_embed
from rag_app.chat.request import AnswerRequest, Complete, Engine
from rag_app.chat.sentences import Span
from rag_app.chat.small_talk import SmallTalk, small_talk_in
from rag_app.chat.trace import AnswerTrace
from rag_app.chat.writer import AnswerWriter
from rag_app.errors import ProviderError, RagError
from rag_app.providers.completion_types import ChatMessage, CompletionRequest
from rag_app.retrieval.passages import Passage, SearchResult
from rag_app.telemetry import log

SAY_NO_BELOW = 0.25  # calibrated probability that the passages answer; below it an extractive answer says no
SAY_NO_BELOW_WITH_MODEL = 0.15  # a model reads the passages itself and may still say no
_MOST_OF_A_PART = 2  # sentences quoted for each part of a question


async def answer(
    request: AnswerRequest, engine: Engine, *, trace: AnswerTrace | None = None
) -> AsyncGenerator[Event, None]:
    """The events of one answer: Searching, Found, then Token and Cited, and last Done or Failed.

    A typed error of the search or the provider becomes Failed; what was said before it stays valid. Cancelling the
    task or closing the generator ends it at once and closes the provider's stream. `trace` is filled in on the way.
    """
    run = Progress(request, engine, trace or AnswerTrace())
    run.model = request.model if run.complete else run.model
    try:
        async with aclosing(_events(run)) as events:
            async for event in events:
                if isinstance(event, Token):
                    run.said()
                yield event
    except RagError as error:
        log.warning("answer_failed", code=error.code)
        yield Failed(error.code, error.message)


async def _events(run: Progress) -> AsyncGenerator[Event, None]:
    """Choose the way this question is answered."""
    talk = small_talk_in(run.request.question)
    if talk or not run.request.has_knowledge:
        run.trace.way = "talk"
        async with aclosing(_without_documents(run, talk)) as events:
            async for event in events:
                yield event
        return
    queries = await planned(run)
    yield Searching(tuple(query.text for query in queries))
    found = await look_up(run, queries)
    for hop in range(1, run.request.hops):
        more = await next_queries(run, found) if hops_left(run, hop) else ()
        if not more:
            break
        yield Searching((*found.texts, *(query.text for query in more)))
        found = await look_further(run, found, more)
    parts = await _answerable_parts(run, found)
    itself = None if parts else asked_itself(run, found)
    if itself is not None:
        yield Searching((*found.texts, itself.text))
        apart = await look_apart(run, itself)
        parts = await _answerable_parts(run, apart)
        found = apart if parts else found
    result = _fitted(run, found.pooled)
    yield Found(result.passages)
    if not result.passages or not parts:
        run.trace.way = "refused"
        async for event in _say(run, phrases.phrase("not_found", run.language), abstained=True):
            yield event
        return
    run.trace.way = "model" if run.complete else "quotes"
    told = (
        _from_model(run, run.complete, found.parts[0][0], result)
        if run.complete
        else _quoted(run, parts, found=found, result=result)
    )
    async with aclosing(told) as events:
        async for event in events:
            yield event


def _fitted(run: Progress, pooled: SearchResult) -> SearchResult:
    """What fits into a prompt; quotes may use everything."""
    kept = prompt.fit_passages(pooled.passages, run.request.context_tokens) if run.complete else pooled.passages
    run.trace.chose(pooled.passages, kept)
    note = run.trace.prompt
    note.passages, note.budget_tokens = len(kept), run.request.context_tokens if run.complete else 0
    note.passage_tokens = sum(prompt.tokens_in(each.text) for each in kept)
    return replace(pooled, passages=kept)


async def _answerable_parts(run: Progress, found: LookedUp) -> tuple[tuple[str, SearchResult], ...]:
    """The parts that the passages are likely to answer; all of them count when a hop found more.

    The highest probability so far is noted, beside the one that was wanted.
    """
    default = SAY_NO_BELOW_WITH_MODEL if run.complete else SAY_NO_BELOW
    bar = default if run.request.minimum_evidence is None else run.request.minimum_evidence
    pairs = zip(found.texts, found.results, strict=True)
    likely = [await asyncio.to_thread(probability, query, result) for query, result in pairs]
    run.trace.probability, run.trace.bar = max([run.trace.probability or 0.0, *likely]), bar
    if len(found.parts) < len(found.results) and max(likely) >= bar:
        return found.parts
    return tuple(part for part, value in zip(found.parts, likely, strict=False) if value >= bar)


def probability(query: str, result: SearchResult) -> float:
    """Of these passages answering the question, 0..1; none answer nothing."""
    return answerable(query, result) if result.passages else 0.0


async def _say(run: Progress, text: str, *, abstained: bool = False) -> AsyncIterator[Event]:
    """One fixed sentence as the whole answer."""
    yield Token(text)
    run.said()
    yield run.done(text, abstained=abstained)


async def _without_documents(run: Progress, talk: SmallTalk | None) -> AsyncGenerator[Event, None]:
    """Small talk, or a bot without a knowledge base."""
    complete = run.complete
    if complete is None:
        async for event in _say(run, phrases.phrase(talk or "needs_model", run.language)):
            yield event
        return
    messages = prompt.ungrounded(run.request.question, instructions=run.request.instructions, history=run.history)
    writer = AnswerWriter((), question=run.request.question)
    async with aclosing(_stream(run, complete, messages, writer)) as events:
        async for event in events:
            yield event
    yield run.done(writer.text)


async def _from_model(
    run: Progress, complete: Complete, query: str, result: SearchResult
) -> AsyncGenerator[Event, None]:
    """The model's answer with its markers checked."""
    messages = prompt.grounded(
        run.request.question, result.passages, instructions=run.request.instructions, history=run.history
    )
    writer = AnswerWriter(result.passages, question=query)
    async with aclosing(_stream(run, complete, messages, writer)) as events:
        async for event in events:
            yield event
    abstained = not writer.citations and (writer.says_nothing_found or says_not_found(writer.text))
    run.trace.citations_refused = writer.refused
    log.info("citations_checked", kept=len(writer.citations), refused=writer.refused)
    yield run.done(writer.text, writer.citations, abstained=abstained)


async def _stream(
    run: Progress, complete: Complete, messages: tuple[ChatMessage, ...], writer: AnswerWriter
) -> AsyncGenerator[Event, None]:
    """Run the model and pass on what may be shown; when it is cut, what was held back comes before the error."""
    call = CompletionRequest(
        model=run.request.model,
        messages=messages,
        temperature=run.request.temperature,
        max_tokens=run.request.max_tokens,
        fallback=run.request.fallback_model,
    )
    run.trace.prompt.prompt_tokens = sum(prompt.tokens_in(each["content"]) for each in messages)
    run.trace.prompt.history_turns = max(0, len(messages) - 2)
    try:
        with run.calling("answer") as noted:
            async with aclosing(closable(complete(call))) as chunks:
                async for chunk in chunks:
                    run.count(chunk, noted)
                    for event in writer.feed(chunk.text):
                        yield event
    except RagError:
        for event in writer.finish():
            yield event
        raise
    for event in writer.finish():
        yield event
    if not writer.text.strip():
        raise ProviderError("The model gave an empty answer.")


async def _quoted(
    run: Progress, parts: tuple[tuple[str, SearchResult], ...], *, found: LookedUp, result: SearchResult
) -> AsyncGenerator[Event, None]:
    """The sentences that answer best, quoted with their citations; once a conversation also that no model is there."""
    listed = CitationList(result.passages, question=parts[0][0])
    text = ""
    for each in await _chosen_of_parts(run, parts, result, several=len(found.parts) > 1):
        passage: Passage = result.passages[each.passage]
        said, block = shown(passage.text, each.quote)
        gap = "\n\n" if text else ""
        start = len(text) + len(gap)
        n, fresh = listed.add(each.passage, each.quote.span, place=Span(start, start + len(said or block)))
        if fresh is not None:
            yield Cited(fresh)
        piece = f"{gap}{said} [{n}]\n\n{block}".rstrip() if said else f"{gap}{block}\n\n[{n}]"
        text += piece
        yield Token(piece)
    notice = phrases.notice(run.language)
    told = any(turn.role == "assistant" and notice in turn.text for turn in run.request.history)
    closing = _open_parts(run, parts, found) + ("" if told else f"\n\n{notice}")
    if closing:
        yield Token(closing)
    yield run.done(text + closing, listed.entries)


def _open_parts(run: Progress, parts: tuple[tuple[str, SearchResult], ...], found: LookedUp) -> str:
    """A line for each part of the question that nothing was found for."""
    answered = {text for text, _ in parts}
    missing = [query.text for query in found.queries if query.why == "part" and query.text not in answered]
    return "".join(f"\n\n{phrases.phrase('part_not_found', run.language)} {text}" for text in missing)


async def _chosen_of_parts(
    run: Progress, parts: tuple[tuple[str, SearchResult], ...], result: SearchResult, *, several: bool
) -> list[Selected]:
    """The selected sentences of every part in turn, none of them twice."""
    kept: list[Selected] = []
    for question, own in parts:
        chosen = await _chosen(run, question, replace(result, idf=own.idf, evidence=own.evidence))
        for each in chosen[:_MOST_OF_A_PART] if several else chosen:
            if not any(each.passage == other.passage and each.quote.span == other.quote.span for other in kept):
                kept.append(each)
    return kept


async def _chosen(run: Progress, query: str, result: SearchResult) -> tuple[Selected, ...]:
    """The selected sentences; similarity takes part when an embedder is at hand and works."""
    vectors: npt.NDArray[np.float32] | None = None
    if run.engine.embed is not None:
        texts = await asyncio.to_thread(_texts, query, result)
        try:
            vectors = await run.engine.embed(texts)
        except ProviderError:
            log.info("similarity_skipped")
    return await asyncio.to_thread(select, query, result, vectors=vectors)


def _texts(query: str, result: SearchResult) -> list[str]:
    return texts_to_embed(query, candidates(result.passages), passage_language(query, result.passages))
