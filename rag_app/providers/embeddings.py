"""Embeds texts with the bundled model or with any provider's, in batches, and checks what comes back."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import httpx
import numpy as np

from rag_app.errors import ProviderError
from rag_app.providers import local_embedder
from rag_app.providers.circuit import SWITCHBOARD, now_s
from rag_app.providers.credentials import NO_KEYS, Credentials, Keyring, Route, route_to
from rag_app.providers.failures import Failure, failure_of, left_alone, provider_problems, too_slow
from rag_app.providers.library import is_loaded, library, load
from rag_app.telemetry import log

Purpose = Literal["document", "query"]
Rows = np.ndarray[Any, np.dtype[np.float32]]

BATCH_TEXTS = 96  # the smallest limit among the providers (Cohere's)
BATCH_CHARACTERS = 48_000  # about 12,000 tokens; Mistral takes 16,000 in one call
_QUICK = 16  # so many local texts are embedded at once on the event loop (some milliseconds)
_ATTEMPTS: dict[Purpose, int] = {"document": 5, "query": 2}
_SECONDS: dict[Purpose, float] = {"document": 60.0, "query": 10.0}  # for one call
_BACKOFF_S = 0.5

# Models that tell a question from a passage want to know which one it is.
_PARAMETERS: dict[str, tuple[str, dict[Purpose, str]]] = {
    "cohere": ("input_type", {"document": "search_document", "query": "search_query"}),
    "voyage": ("input_type", {"document": "document", "query": "query"}),
    "gemini": ("task_type", {"document": "RETRIEVAL_DOCUMENT", "query": "RETRIEVAL_QUERY"}),
}
_PREFIXES: dict[str, dict[Purpose, str]] = {
    "nomic-embed-text": {"document": "search_document: ", "query": "search_query: "},
    "e5-": {"document": "passage: ", "query": "query: "},
    "mxbai-embed-large": {
        "document": "",
        "query": "Represent this sentence for searching relevant passages: ",
    },
}


def is_local(model: str) -> bool:
    """True for the bundled embedder."""
    return model == local_embedder.NAME


def dense_weight(model: str) -> float:
    """The embedder's share in the convex fusion with BM25, 0..1; measured: .3 for the bundled one, .5 for others."""
    return 0.35 if is_local(model) else 0.5


def dimensions(model: str) -> int | None:
    """How many numbers a row of this model has, if that is known without a call; see measure_dimensions."""
    if is_local(model):
        return local_embedder.DIMENSIONS
    if not is_loaded():
        return None
    listed = load().model_cost
    found = listed.get(model) or listed.get(model.partition("/")[2]) or {}
    size = found.get("output_vector_size")
    return int(size) if size else None


async def measure_dimensions(model: str, credentials: Keyring | Credentials = NO_KEYS) -> int:
    """How many numbers a row of this model really has, by a call. Raises ProviderError."""
    rows = await embed(["dimensions"], model=model, credentials=credentials, purpose="query")
    return int(rows.shape[1])


async def embed(
    texts: Sequence[str], *, model: str, credentials: Keyring | Credentials = NO_KEYS, purpose: Purpose
) -> Rows:
    """One float32 row of length 1 per text, in order. Raises ProviderError or ProviderTimeout with a plain sentence."""
    if is_local(model):
        if len(texts) <= _QUICK:
            return local_embedder.embed(texts)
        return await asyncio.to_thread(local_embedder.embed, texts)
    if not texts:
        return np.zeros((0, dimensions(model) or 0), dtype=np.float32)
    route = route_to(model, credentials)
    prefix = next((each[purpose] for name, each in _PREFIXES.items() if name in model), "")
    found: list[Rows] = []
    for batch in _batches([prefix + (text.strip() or " ") for text in texts]):
        rows = _checked(await _call(batch, route, purpose), len(batch), route)
        if found and rows.shape[1] != found[0].shape[1]:
            raise _wrong(route, f"rows of {found[0].shape[1]} and of {rows.shape[1]} numbers")
        found.append(rows)
    return np.concatenate(found)


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and (len(batch) == BATCH_TEXTS or size + len(text) > BATCH_CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    if batch:
        yield batch


async def _call(batch: list[str], route: Route, purpose: Purpose) -> Any:
    """The provider's answer to one batch, after retries."""
    litellm = await library()
    circuit = SWITCHBOARD.circuit(route.circuit)
    failure: Failure | None = None
    for attempt in range(1, _ATTEMPTS[purpose] + 1):
        if not circuit.admit(now_s()):
            raise failure.error if failure else left_alone(route, circuit.wait_s(now_s()))
        outcome = await _attempt(litellm, batch, route, purpose)
        if not isinstance(outcome, Failure):
            circuit.succeeded()
            return outcome
        failure = outcome
        if failure.counts:
            circuit.failed(now_s())
        log.warning("embedding_call_failed", model=route.model, code=failure.error.code, attempt=attempt)
        pause = failure.pause_s(attempt, backoff_s=_BACKOFF_S)
        if pause is None or attempt == _ATTEMPTS[purpose] or pause > _SECONDS[purpose]:
            raise failure.error
        await asyncio.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


async def _attempt(litellm: Any, batch: list[str], route: Route, purpose: Purpose) -> Any:
    seconds = _SECONDS[purpose]
    name, values = _PARAMETERS.get(route.provider, ("", {}))
    extra = {name: values[purpose]} if name else {}
    try:
        async with asyncio.timeout(seconds):
            return await litellm.aembedding(
                input=batch,
                encoding_format="float",
                timeout=httpx.Timeout(seconds, connect=min(8.0, seconds)),
                **route.arguments(),
                **extra,
            )
    except TimeoutError:
        return too_slow(route, seconds, what="embed the text")
    except provider_problems(litellm) as problem:
        return failure_of(problem, route)


def _checked(answer: Any, expected: int, route: Route) -> Rows:
    """The rows in the order of the texts, of length 1. Raises ProviderError when they cannot be trusted."""
    try:
        entries = sorted((_plain(entry) for entry in answer.data), key=lambda entry: int(entry["index"]))
        numbers = [entry["embedding"] for entry in entries]
        if len(numbers) != expected:
            raise _wrong(route, f"{len(numbers)} rows for {expected} texts")
        sizes = {len(row) for row in numbers}
        if len(sizes) != 1 or 0 in sizes:
            raise _wrong(route, f"rows of {' and of '.join(map(str, sorted(sizes)))} numbers")
        rows = np.asarray(numbers, dtype=np.float32)
    except (TypeError, ValueError, KeyError, AttributeError) as problem:
        raise _wrong(route, "something that is no list of numbers") from problem
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.isfinite(lengths).all():
        raise _wrong(route, "numbers that are not finite")
    if not lengths.all():
        raise _wrong(route, "rows of zeros")
    return np.asarray(rows / lengths, dtype=np.float32)


def _plain(entry: Any) -> dict[str, Any]:
    return entry if isinstance(entry, dict) else dict(entry)


def _wrong(route: Route, what: str) -> ProviderError:
    message = f"{route.label} returned {what} for the embedding model {route.model}; the result cannot be used."
    return ProviderError(message, provider=route.provider, model=route.model)
