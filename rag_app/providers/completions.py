"""Streams the answer of any chat model, with time limits, retries before the first token, and a fallback model."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx

from rag_app.errors import ProviderError
from rag_app.providers.circuit import SWITCHBOARD, now_s
from rag_app.providers.completion_types import CompletionChunk, CompletionRequest, TokenUsage
from rag_app.providers.credentials import Credentials, Keyring, Route, route_to
from rag_app.providers.failures import Failure, failure_of, left_alone, provider_problems, too_slow
from rag_app.providers.library import library
from rag_app.providers.prices import cost_microusd
from rag_app.telemetry import cost_microusd_total, log, tokens_total


@dataclass(frozen=True, slots=True)
class Patience:
    """How long each part of a call may take, in seconds, and how often it is tried before its first token."""

    connect_s: float = 8.0
    first_token_s: float = 30.0  # for all attempts with one model
    between_tokens_s: float = 30.0
    total_s: float = 300.0
    attempts: int = 3
    backoff_s: float = 0.4  # doubles with each attempt; the pause is random between half and all of it


DEFAULT_PATIENCE = Patience()


async def complete(
    request: CompletionRequest, credentials: Keyring | Credentials, *, patience: Patience = DEFAULT_PATIENCE
) -> AsyncGenerator[CompletionChunk]:
    """Stream a completion; close the iterator to stop the provider.

    `credentials` are one provider's, or a keyring for the model and its fallback; a key that is missing is looked up
    in the environment. Before the first token, rate limits, server errors and broken connections are tried again,
    then `request.fallback` is asked. Raises ProviderError or ProviderTimeout with a plain sentence; after the first
    token that happens at once, behind what was said.
    """
    deadline = now_s() + (request.timeout_s or patience.total_s)
    models = [request.model, *([request.fallback] if request.fallback else [])]
    for place, model in enumerate(models):
        started = False
        try:
            async with aclosing(_Call(request, route_to(model, credentials), patience, deadline).chunks()) as chunks:
                async for chunk in chunks:
                    started = True
                    yield chunk
            return
        except ProviderError as problem:
            if started or place + 1 == len(models):
                raise
            log.warning("model_fell_back", model=model, fallback=models[place + 1], code=problem.code)


class _Call:
    """One model asked once, from the connection to its last token."""

    def __init__(self, request: CompletionRequest, route: Route, patience: Patience, deadline: float) -> None:
        self._request, self._route, self._patience, self._deadline = request, route, patience, deadline
        self._circuit = SWITCHBOARD.circuit(route.circuit)
        self._litellm: Any = None
        self._stream: Any = None

    async def chunks(self) -> AsyncGenerator[CompletionChunk]:
        """The whole answer; whatever happens, the connection is closed in the end."""
        try:
            yield await self._open()
            while (chunk := await self._next()) is not None:
                yield chunk
        finally:
            await self._close()

    async def _open(self) -> CompletionChunk:
        """The first piece of the answer. Raises ProviderError once all attempts have failed."""
        self._litellm = await library()
        until = min(now_s() + self._patience.first_token_s, self._deadline)
        failure: Failure | None = None
        for attempt in range(1, self._patience.attempts + 1):
            if not self._circuit.admit(now_s()):
                raise failure.error if failure else left_alone(self._route, self._circuit.wait_s(now_s()))
            outcome = await self._attempt(until)
            if isinstance(outcome, CompletionChunk):
                self._circuit.succeeded()
                return outcome
            await self._close()
            failure = outcome
            pause = failure.pause_s(attempt, backoff_s=self._patience.backoff_s)
            if attempt == self._patience.attempts or pause is None or now_s() + pause >= until:
                raise failure.error
            await asyncio.sleep(pause)
        raise AssertionError("the last attempt has no pause")

    async def _next(self) -> CompletionChunk | None:
        """The next piece, or None at the end. Raises ProviderError when the answer breaks off."""
        idle = self._patience.between_tokens_s
        until = min(now_s() + idle, self._deadline)
        try:
            async with asyncio.timeout(until - now_s()):
                return await self._piece()
        except TimeoutError:
            what = "finish the answer" if until == self._deadline else "go on with the answer"
            seconds = self._request.timeout_s or self._patience.total_s if until == self._deadline else idle
            failure = too_slow(self._route, seconds, what=what)
        except provider_problems(self._litellm) as problem:
            failure = failure_of(problem, self._route, said_something=True)
        self._note(failure)
        raise failure.error

    async def _close(self) -> None:
        """End the connection to the provider."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.aclose()

    async def _attempt(self, until: float) -> CompletionChunk | Failure:
        try:
            async with asyncio.timeout(until - now_s()):
                self._stream = await self._litellm.acompletion(**self._arguments())
                piece = await self._piece()
        except TimeoutError:
            failure = too_slow(self._route, self._patience.first_token_s, what="begin to answer")
        except provider_problems(self._litellm) as problem:
            failure = failure_of(problem, self._route)
        else:
            return piece or CompletionChunk(finish_reason="stop", model=self._route.model)
        self._note(failure)
        return failure

    async def _piece(self) -> CompletionChunk | None:
        """The next event that means something: text, an end, usage, or (as empty text) that the model is thinking."""
        async for event in self._stream:
            choice = event.choices[0] if event.choices else None
            text = (choice.delta.content or "") if choice else ""
            finish_reason = choice.finish_reason if choice else None
            usage = self._usage(getattr(event, "usage", None))
            thinking = choice is not None and bool(getattr(choice.delta, "reasoning_content", None))
            if text or finish_reason or usage or thinking:
                return CompletionChunk(text, finish_reason, usage, self._route.model)
        return None

    def _usage(self, usage: Any) -> TokenUsage | None:
        if usage is None or not self._was_reported():
            return None
        cost = cost_microusd(self._litellm, self._route, usage)
        tokens_total.labels("prompt").inc(usage.prompt_tokens or 0)
        tokens_total.labels("completion").inc(usage.completion_tokens or 0)
        cost_microusd_total.inc(cost or 0)
        return TokenUsage(usage.prompt_tokens, usage.completion_tokens, cost)

    def _was_reported(self) -> bool:
        """LiteLLM guesses the usage when the provider does not tell it; a guess is not passed on as a fact."""
        return any(getattr(chunk, "usage", None) is not None for chunk in self._stream.chunks)

    def _arguments(self) -> dict[str, Any]:
        request, route, patience = self._request, self._route, self._patience
        optional = {"temperature": request.temperature, "max_tokens": request.max_tokens}
        return {
            **route.arguments(),
            "messages": [dict(message) for message in request.messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            # The limits proper are held here; these only keep a lost socket from staying open.
            "timeout": httpx.Timeout(patience.total_s, connect=patience.connect_s),
            **{name: value for name, value in optional.items() if value is not None},
        }

    def _note(self, failure: Failure) -> None:
        if failure.counts:
            self._circuit.failed(now_s())
        details = failure.error.details
        log.warning("model_call_failed", model=self._route.model, code=failure.error.code, status=details.get("status"))
