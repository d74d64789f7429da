"""Asks a provider's reranker how well each of some texts answers a question, within a time limit."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import httpx

from rag_app.errors import ProviderError
from rag_app.providers.circuit import SWITCHBOARD, now_s
from rag_app.providers.credentials import Credentials, Keyring, Route, route_to
from rag_app.providers.failures import Failure, failure_of, left_alone, provider_problems, too_slow
from rag_app.providers.library import library
from rag_app.telemetry import log

# Servers with OpenAI's wire format have no call for this; they take the one of vLLM, which is Cohere's and Jina's.
_WIRE = {"compatible": "hosted_vllm"}


async def rerank(
    query: str, texts: Sequence[str], *, model: str, credentials: Keyring | Credentials, timeout_s: float
) -> list[float | None]:
    """One score per text, in their order; higher is better, None = the provider left it out.

    Tried once: an answer waits for it. Raises ProviderTimeout when it takes longer than `timeout_s`, ProviderError
    with a plain sentence for everything else.
    """
    route = _route(model, credentials)
    circuit = SWITCHBOARD.circuit(("rerank", *route.circuit[1:]))
    if not circuit.admit(now_s()):
        raise left_alone(route, circuit.wait_s(now_s()))
    until = now_s() + timeout_s
    try:
        async with asyncio.timeout(timeout_s):
            litellm = await library()  # the first time this takes seconds, which are not the provider's
    except TimeoutError as problem:
        raise too_slow(route, timeout_s, what="rerank the passages").error from problem
    try:
        async with asyncio.timeout(max(0.0, until - now_s())):
            answer = await litellm.arerank(
                query=query,
                documents=list(texts),
                top_n=len(texts),
                return_documents=False,
                timeout=httpx.Timeout(timeout_s, connect=min(8.0, timeout_s)),
                **route.arguments(),
            )
    except TimeoutError:
        failure = too_slow(route, timeout_s, what="rerank the passages")
    except provider_problems(litellm) as problem:
        failure = failure_of(problem, route)
    else:
        circuit.succeeded()
        return _scores(answer, len(texts), route)
    _note(failure, route)
    if failure.counts:
        circuit.failed(now_s())
    raise failure.error


def _route(model: str, credentials: Keyring | Credentials) -> Route:
    route = route_to(model, credentials)
    wire = _WIRE.get(route.provider)
    if wire is None:
        return route
    return replace(route, litellm_model=f"{wire}/{route.litellm_model.partition('/')[2]}")


def _scores(answer: Any, expected: int, route: Route) -> list[float | None]:
    """The scores by the place of their text; what cannot be trusted is an error."""
    scores: list[float | None] = [None] * expected
    try:
        for each in answer.results or ():
            place, score = int(each["index"]), float(each["relevance_score"])
            if not 0 <= place < expected or not math.isfinite(score):
                raise _wrong(route)
            scores[place] = score
    except (TypeError, ValueError, KeyError, AttributeError) as problem:
        raise _wrong(route) from problem
    if all(score is None for score in scores):
        raise _wrong(route)
    return scores


def _note(failure: Failure, route: Route) -> None:
    log.warning("rerank_call_failed", model=route.model, code=failure.error.code)


def _wrong(route: Route) -> ProviderError:
    message = f"{route.label} returned something that is no ranking for {route.model}; it was left out."
    return ProviderError(message, provider=route.provider, model=route.model)
