"""How far one answer is: its request, its engine, its trace; and the short calls of a model beside the answer."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field

from rag_app.chat.events import Citation, Done
from rag_app.chat.history import Turn
from rag_app.chat.lexicon import language_of
from rag_app.chat.request import EXTRACTIVE, AnswerRequest, Complete, Engine
from rag_app.chat.trace import AnswerTrace, ModelCall, Purpose
from rag_app.errors import ProviderError
from rag_app.providers.completion_types import ChatMessage, CompletionChunk, CompletionRequest
from rag_app.telemetry import log


@dataclass(slots=True)
class Progress:
    """What one answer has gathered so far."""

    request: AnswerRequest
    engine: Engine
    trace: AnswerTrace = field(default_factory=AnswerTrace)
    started: float = field(default_factory=time.perf_counter)
    queries: tuple[str, ...] = ()
    model: str = EXTRACTIVE

    @property
    def complete(self) -> Complete | None:
        """The model, if this answer may use one."""
        return None if self.request.model == EXTRACTIVE else self.engine.complete

    @property
    def language(self) -> str:
        """That of the reader."""
        return self.request.language or language_of(self.request.question)

    @property
    def history(self) -> tuple[Turn, ...]:
        """What was said before, if the bot remembers."""
        return self.request.history if self.request.memory else ()

    def lap(self, name: str, since: float) -> None:
        """Add the milliseconds since then to a step."""
        took = (time.perf_counter() - since) * 1000
        self.trace.timings_ms[name] = round(self.trace.timings_ms.get(name, 0.0) + took, 1)

    def said(self) -> None:
        """Note when the first word was shown."""
        if "first_token" not in self.trace.timings_ms:
            self.lap("first_token", self.started)

    def done(self, answer: str, citations: tuple[Citation, ...] = (), *, abstained: bool = False) -> Done:
        """The last event."""
        self.lap("total", self.started)
        self.trace.citations_kept = len(citations)
        return Done(
            answer=answer,
            citations=citations,
            abstained=abstained,
            model=self.model,
            usage=self.trace.usage(),
            timings_ms=dict(self.trace.timings_ms),
            queries=self.queries,
        )

    @contextmanager
    def calling(self, purpose: Purpose) -> Iterator[ModelCall]:
        """Note a call of the model while it is made."""
        call = ModelCall(purpose, self.request.model, ok=False)
        self.trace.calls.append(call)
        began = time.perf_counter()
        try:
            yield call
            call.ok = True
        finally:
            call.took_ms = round((time.perf_counter() - began) * 1000, 1)

    def count(self, chunk: CompletionChunk, call: ModelCall) -> None:
        """Take over what a chunk says about the model and its usage."""
        if chunk.model:
            self.model = call.model = chunk.model
        if chunk.usage is not None:
            call.count(chunk.usage)


async def short_answer(
    run: Progress, messages: tuple[ChatMessage, ...], *, purpose: Purpose, max_tokens: int, timeout_s: float
) -> str | None:
    """What the model says to a question of our own; None without a model, when it fails or takes too long."""
    complete = run.complete
    if complete is None:
        return None
    request = CompletionRequest(
        model=run.request.model,
        messages=messages,
        temperature=0.0,
        max_tokens=max_tokens,
        fallback=run.request.fallback_model,
        timeout_s=timeout_s,
    )
    text = ""
    try:
        with run.calling(purpose) as call:
            async with asyncio.timeout(timeout_s), aclosing(closable(complete(request))) as chunks:
                async for chunk in chunks:
                    text += chunk.text
                    run.count(chunk, call)
    except (ProviderError, TimeoutError):
        log.info("short_call_failed", purpose=purpose)
        run.trace.warn([f"{purpose}: the model did not answer in time; it was left out"])
        return None
    return text


async def closable(chunks: AsyncIterator[CompletionChunk]) -> AsyncGenerator[CompletionChunk, None]:
    """The chunks as a generator that closes its source when it is closed."""
    try:
        async for chunk in chunks:
            yield chunk
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()
