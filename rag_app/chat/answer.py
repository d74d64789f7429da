"""Answers one question as a stream of typed events; search, completion and embedding are handed in."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from rag_app.chat import phrases, prompt
from rag_app.chat.appearance import shown
from rag_app.chat.citations import CitationList
from rag_app.chat.confidence import answerable
from rag_app.chat.events import Citation, Cited, Done, Event, Failed, Found, Searching, Token, Usage
from rag_app.chat.extractive import Selected, candidates, select
from rag_app.chat.history import Turn, accepted_rewrite, needs_context, rewrite_locally, rewrite_request
from rag_app.chat.lexicon import language_of
from rag_app.chat.refusal import says_not_found
from rag_app.chat.relevance import passage_language, texts_to_embed
from rag_app.chat.sentences import Span
from rag_app.chat.small_talk import SmallTalk, small_talk_in
from rag_app.chat.writer import AnswerWriter
from rag_app.errors import ProviderError, RagError
from rag_app.providers.completion_types import ChatMessage, CompletionChunk, CompletionRequest
from rag_app.retrieval.passages import Passage, SearchResult
from rag_app.telemetry import log

EXTRACTIVE = "local/extractive"
SAY_NO_BELOW = 0.25  # calibrated probability that the passages answer; below it an extractive answer says no
SAY_NO_BELOW_WITH_MODEL = 0.15  # a model reads the passages itself and may still say no
REWRITE_TIMEOUT_S = 6.0

Search = Callable[[str, int], Awaitable[SearchResult]]
Complete = Callable[[CompletionRequest], AsyncIterator[CompletionChunk]]
Embed = Callable[[list[str]], Awaitable[npt.NDArray[np.float32]]]


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """One question with what the bot is set to."""

    question: str
    history: tuple[Turn, ...] = ()
    instructions: str = ""
    model: str = EXTRACTIVE
    fallback_model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    language: str = ""  # of the reader (ISO 639-1); "" = that of the question
    has_knowledge: bool = True
    memory: bool = True
    limit: int = 8  # passages asked of the search
    context_tokens: int = prompt.CONTEXT_TOKENS


@dataclass(frozen=True, slots=True)
class Engine:
    """The outside functions an answer needs. Without `complete` every answer is extractive."""

    search: Search
    complete: Complete | None = None
    embed: Embed | None = None


@dataclass(slots=True)
class _Run:
    """What one answer has gathered so far."""

    request: AnswerRequest
    engine: Engine
    started: float = field(default_factory=time.perf_counter)
    timings: dict[str, float] = field(default_factory=dict)
    queries: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)
    model: str = EXTRACTIVE

    @property
    def complete(self) -> Complete | None:
        return None if self.request.model == EXTRACTIVE else self.engine.complete

    @property
    def language(self) -> str:
        return self.request.language or language_of(self.request.question)

    @property
    def history(self) -> tuple[Turn, ...]:
        return self.request.history if self.request.memory else ()

    def lap(self, name: str, since: float) -> None:
        self.timings[name] = round((time.perf_counter() - since) * 1000, 1)

    def said(self) -> None:
        """Note when the first word was shown."""
        if "first_token" not in self.timings:
            self.lap("first_token", self.started)

    def done(self, answer: str, citations: tuple[Citation, ...] = (), *, abstained: bool = False) -> Done:
        self.lap("total", self.started)
        return Done(
            answer=answer,
            citations=citations,
            abstained=abstained,
            model=self.model,
            usage=self.usage,
            timings_ms=dict(self.timings),
            queries=self.queries,
        )


async def answer(request: AnswerRequest, engine: Engine) -> AsyncGenerator[Event, None]:
    """The events of one answer: Searching, Found, then Token and Cited, and last Done or Failed.

    A typed error of the search or the provider becomes Failed; what was said before it stays valid. Cancelling the
    task or closing the generator ends it at once and closes the provider's stream.
    """
    run = _Run(request, engine)
    run.model = request.model if run.complete else EXTRACTIVE
    try:
        async with aclosing(_events(run)) as events:
            async for event in events:
                if isinstance(event, Token):
                    run.said()
                yield event
    except RagError as error:
        log.warning("answer_failed", code=error.code)
        yield Failed(error.code, error.message)


async def _events(run: _Run) -> AsyncGenerator[Event, None]:
    """Choose the way this question is answered."""
    talk = small_talk_in(run.request.question)
    if talk or not run.request.has_knowledge:
        async with aclosing(_without_documents(run, talk)) as events:
            async for event in events:
                yield event
        return
    query = await _standalone_question(run)
    run.queries = (query,)
    yield Searching(run.queries)
    began = time.perf_counter()
    result = await run.engine.search(query, run.request.limit)
    run.lap("search", began)
    if run.complete:
        result = replace(result, passages=prompt.fit_passages(result.passages, run.request.context_tokens))
    yield Found(result.passages)
    bar = SAY_NO_BELOW_WITH_MODEL if run.complete else SAY_NO_BELOW
    if not result.passages or await asyncio.to_thread(answerable, query, result) < bar:
        async for event in _say(run, phrases.phrase("not_found", run.language), abstained=True):
            yield event
        return
    told = _from_model(run, run.complete, query, result) if run.complete else _quoted(run, query, result)
    async with aclosing(told) as events:
        async for event in events:
            yield event


async def _standalone_question(run: _Run) -> str:
    """The question as it is searched: a follow-up is filled in by the model, else by the local rule."""
    question, history = run.request.question, run.history
    if not history or not needs_context(question, run.language):
        return question
    began = time.perf_counter()
    rewritten = await _rewritten_by_model(run, run.complete) if run.complete else None
    rewritten = rewritten or rewrite_locally(question, history, run.language)
    run.lap("rewrite", began)
    return rewritten


async def _rewritten_by_model(run: _Run, complete: Complete) -> str | None:
    """One short call; None when it fails or takes too long, because the local rule is good enough then."""
    call = CompletionRequest(
        model=run.request.model,
        messages=rewrite_request(run.request.question, run.history),
        temperature=0.0,
        max_tokens=120,
        fallback=run.request.fallback_model,
        timeout_s=REWRITE_TIMEOUT_S,
    )
    text = ""
    try:
        async with asyncio.timeout(REWRITE_TIMEOUT_S), aclosing(_closable(complete(call))) as chunks:
            async for chunk in chunks:
                text += chunk.text
                _count(run, chunk)
    except (ProviderError, TimeoutError):
        log.info("rewrite_failed")
        return None
    return accepted_rewrite(text, run.request.question)


async def _say(run: _Run, text: str, *, abstained: bool = False) -> AsyncIterator[Event]:
    """One fixed sentence as the whole answer."""
    yield Token(text)
    run.said()
    yield run.done(text, abstained=abstained)


async def _without_documents(run: _Run, talk: SmallTalk | None) -> AsyncGenerator[Event, None]:
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


async def _from_model(run: _Run, complete: Complete, query: str, result: SearchResult) -> AsyncGenerator[Event, None]:
    """The model's answer with its markers checked."""
    messages = prompt.grounded(
        run.request.question, result.passages, instructions=run.request.instructions, history=run.history
    )
    writer = AnswerWriter(result.passages, question=query)
    async with aclosing(_stream(run, complete, messages, writer)) as events:
        async for event in events:
            yield event
    abstained = not writer.citations and (writer.says_nothing_found or says_not_found(writer.text))
    log.info("citations_checked", kept=len(writer.citations), refused=writer.refused)
    yield run.done(writer.text, writer.citations, abstained=abstained)


async def _stream(
    run: _Run, complete: Complete, messages: tuple[ChatMessage, ...], writer: AnswerWriter
) -> AsyncGenerator[Event, None]:
    """Run the model and pass on what may be shown; when it is cut, what was held back comes before the error."""
    call = CompletionRequest(
        model=run.request.model,
        messages=messages,
        temperature=run.request.temperature,
        max_tokens=run.request.max_tokens,
        fallback=run.request.fallback_model,
    )
    try:
        async with aclosing(_closable(complete(call))) as chunks:
            async for chunk in chunks:
                _count(run, chunk)
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


async def _quoted(run: _Run, query: str, result: SearchResult) -> AsyncGenerator[Event, None]:
    """The sentences that answer best, quoted with their citations, and the line that no model is configured."""
    chosen = await _chosen(run, query, result)
    listed = CitationList(result.passages, question=query)
    text = ""
    for at, each in enumerate(chosen):
        passage: Passage = result.passages[each.passage]
        said, block = shown(passage.text, each.quote)
        gap = "\n\n" if at else ""
        start = len(text) + len(gap)
        n, fresh = listed.add(each.passage, each.quote.span, place=Span(start, start + len(said or block)))
        if fresh is not None:
            yield Cited(fresh)
        piece = f"{gap}{said} [{n}]\n\n{block}".rstrip() if said else f"{gap}{block}\n\n[{n}]"
        text += piece
        yield Token(piece)
    closing = f"\n\n{phrases.notice(run.language)}"
    yield Token(closing)
    yield run.done(text + closing, listed.entries)


async def _chosen(run: _Run, query: str, result: SearchResult) -> tuple[Selected, ...]:
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


def _count(run: _Run, chunk: CompletionChunk) -> None:
    """Add the usage a chunk reports; an unknown part stays unknown only when nothing was ever reported."""
    if chunk.model:
        run.model = chunk.model
    if chunk.usage is None:
        return
    run.usage = Usage(
        prompt_tokens=_sum(run.usage.prompt_tokens, chunk.usage.prompt_tokens),
        completion_tokens=_sum(run.usage.completion_tokens, chunk.usage.completion_tokens),
        cost_microusd=_sum(run.usage.cost_microusd, chunk.usage.cost_microusd),
    )


def _sum(known: int | None, more: int | None) -> int | None:
    return known if more is None else (known or 0) + more


async def _closable(chunks: AsyncIterator[CompletionChunk]) -> AsyncGenerator[CompletionChunk, None]:
    """The chunks as a generator that closes its source when it is closed."""
    try:
        async for chunk in chunks:
            yield chunk
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()
