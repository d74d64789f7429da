"""Finds out whether a provider works: a real call for the Models page, and a look for Ollama on its usual port."""

import json
import re
import time
from dataclasses import dataclass

from rag_app.egress import Limits
from rag_app.errors import FetchFailed, ProviderError
from rag_app.providers import embeddings
from rag_app.providers.catalogue import OLLAMA_URL
from rag_app.providers.circuit import SWITCHBOARD
from rag_app.providers.completion_types import CompletionRequest
from rag_app.providers.completions import Patience, complete
from rag_app.providers.credentials import Credentials, route_to
from rag_app.providers.library import library, provider_egress

_TAGS = Limits(max_bytes=1_000_000, timeout_s=0.3)
_LISTING = Limits(max_bytes=1_000_000, timeout_s=2)
_MOST_LISTED = 200
_TRIAL = Patience(attempts=1, first_token_s=20, total_s=25)
_PLAIN = re.compile(r"[\x21-\x7e]{1,150}")
_EMBEDDING_NAMES = ("embed", "bge-", "minilm", "gte-", "e5-")


@dataclass(frozen=True, slots=True)
class OllamaFound:
    """An Ollama that answers, with the names of its models in the product's form (`ollama/…`)."""

    base_url: str
    chat_models: tuple[str, ...]
    embedding_models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """Whether a real call worked, how long it took, and a sentence that says so."""

    ok: bool
    took_ms: float
    message: str


async def detect_ollama(base_url: str = OLLAMA_URL) -> OllamaFound | None:
    """Look for Ollama, for at most 300 ms; None when none answers."""
    try:
        page = await provider_egress().fetch(f"{base_url}/api/tags", _TAGS)
        listed = json.loads(page.body)["models"]
        names = [f"ollama/{str(model['name']).removesuffix(':latest')}" for model in listed]
    except (FetchFailed, ValueError, KeyError, TypeError):
        return None
    embedders = tuple(name for name in names if is_embedder(name))
    return OllamaFound(base_url, tuple(name for name in names if name not in embedders), embedders)


async def list_served(credentials: Credentials) -> tuple[str, ...]:
    """The models that a server with OpenAI's wire format says it has, in the product's form; none when it says nothing.

    Waits two seconds at most. The key goes to the address of the provider and, after a redirect, nowhere else.
    """
    base_url = (credentials.base_url or "").rstrip("/")
    if not base_url:
        return ()
    headers = {"authorization": f"Bearer {credentials.api_key}"} if credentials.api_key else None
    try:
        page = await provider_egress().fetch(f"{base_url}/models", _LISTING, headers)
        listed = json.loads(page.body)["data"]
        names = [str(model["id"]) for model in listed[:_MOST_LISTED]]
    except (FetchFailed, ValueError, KeyError, TypeError):
        return ()
    return tuple(f"{credentials.provider}/{name}" for name in names if _PLAIN.fullmatch(name))


def is_embedder(model: str) -> bool:
    """True when the name of a model says that it makes vectors."""
    return any(part in model.lower() for part in _EMBEDDING_NAMES)


async def try_provider(credentials: Credentials, model: str) -> TrialOutcome:
    """Make a real call of a chat or embedding model with these credentials; never raises for what a provider does."""
    started = time.perf_counter()
    try:
        await library()  # the first time its import takes seconds, which are not the provider's
        started = time.perf_counter()
        SWITCHBOARD.circuit(route_to(model, credentials).circuit).succeeded()
        said = await (_embedded(credentials, model) if is_embedder(model) else _answered(credentials, model))
    except ProviderError as problem:
        return TrialOutcome(False, _since(started), problem.message)
    return TrialOutcome(True, _since(started), said)


async def _answered(credentials: Credentials, model: str) -> str:
    request = CompletionRequest(model, ({"role": "user", "content": "Answer with the single word: ready"},))
    async for chunk in complete(request, credentials, patience=_TRIAL):
        if chunk.text.strip():
            break
    return f"{model} answers."


async def _embedded(credentials: Credentials, model: str) -> str:
    size = await embeddings.measure_dimensions(model, credentials)
    return f"{model} returns vectors of {size} numbers."


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
