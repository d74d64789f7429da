"""Loads LiteLLM once, when a provider is first needed, quiet and without its own ways to the network.

Its import takes seconds and about 180 MB, so it happens in a thread and never in a process without a provider. All its
asynchronous calls go through the guarded sockets of `egress`; its proxy server is never used.
"""

import asyncio
import importlib
import inspect
import json
import logging
import os
import threading
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import httpx

from rag_app.egress import Egress, Rules
from rag_app.providers.transport import BoundedTransport
from rag_app.settings import get_settings

# A model server on this machine's own loopback, at the usual port of Ollama, is reachable without a setting.
OLLAMA_HOSTS = frozenset({"localhost:11434", "127.0.0.1:11434", "[::1]:11434"})
_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # otherwise the import fetches a price list
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_MODE": "PRODUCTION",  # otherwise the import reads .env into the environment
    "LITELLM_TELEMETRY": "False",
    "REPEATED_STREAMING_CHUNK_LIMIT": "5000",  # a hundred equal pieces may be a table; the time limits end a loop
}
_QUIET = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "openai", "httpx", "httpcore")
_LONGEST_CALL_S = 600.0
_importing = threading.Lock()


def provider_egress() -> Egress:
    """The way to model providers: public hosts, the private ones of the settings, and Ollama on its usual port."""
    return Egress(Rules(get_settings().private_hosts | OLLAMA_HOSTS))


async def library() -> Any:
    """The litellm module, imported on first use without blocking the event loop."""
    if is_loaded():
        return _load()
    return await asyncio.to_thread(load)


def load() -> Any:
    """The litellm module; blocks for some seconds the first time."""
    with _importing:
        return _load()


def is_loaded() -> bool:
    """True once LiteLLM is in memory."""
    return _load.cache_info().currsize > 0


def warm_in_background() -> None:
    """Import LiteLLM in a thread, so that the first question need not wait. Call it when a provider exists."""
    if not is_loaded():
        threading.Thread(target=load, name="warm-litellm", daemon=True).start()


async def close_clients() -> None:
    """Close the connections to providers that belong to this event loop; call it before the loop ends."""
    if not is_loaded():
        return
    cache = _load().in_memory_llm_clients_cache
    ours = f"-{id(asyncio.get_running_loop())}"  # how LiteLLM marks a client with its loop
    for key in [key for key in cache.cache_dict if str(key).endswith(ours)]:
        client = cache.cache_dict.pop(key)
        cache.ttl_dict.pop(key, None)
        closing = client.close()
        if inspect.isawaitable(closing):
            await closing
    await _load().module_level_aclient.close()  # opens anew by itself


@lru_cache(maxsize=1)
def _load() -> Any:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in _QUIET:  # their lines hold addresses with keys, prompts and documents
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        litellm: Any = importlib.import_module("litellm")
    # What Pydantic has to say about LiteLLM's code helps nobody who runs this.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"litellm(\.|$)")
    warnings.filterwarnings("ignore", message=".* is using the `ReadOnly` qualifier")
    litellm.telemetry = False
    litellm.drop_params = True
    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    litellm.num_retries = 0
    litellm.DEFAULT_MAX_RETRIES = 0  # taken for embeddings in place of the 0 that a call names
    litellm.set_verbose = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _rehearse(litellm)
    handler = _use_transport(lambda: BoundedTransport(provider_egress().transport(refuse_redirects=True)))
    litellm.module_level_aclient = handler(timeout=_LONGEST_CALL_S)  # some providers are called through this one
    return litellm


def _rehearse(litellm: Any) -> None:
    """One pretended call that leaves no process: LiteLLM builds half of itself (0.8 s, with warnings) in the first."""

    def pretend(_: httpx.Request) -> httpx.Response:
        delta = {"index": 0, "delta": {"content": "hello"}, "finish_reason": None}
        event = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "none", "choices": [delta]}
        text = f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n"
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, text=text)

    async def call() -> None:
        stream = await litellm.acompletion(
            model="openai/none",
            messages=[{"role": "user", "content": "hello"}],
            api_key="none",
            api_base="http://rehearsal.invalid/v1",
            stream=True,
            stream_options={"include_usage": True},
        )
        async for _ in stream:
            pass

    _use_transport(lambda: httpx.MockTransport(pretend))
    own_loop = threading.Thread(target=asyncio.run, args=(call(),), name="rehearse-litellm")
    own_loop.start()
    own_loop.join()
    litellm.in_memory_llm_clients_cache.flush_cache()


def _use_transport(make: Callable[[], httpx.AsyncBaseTransport]) -> Any:
    """Make every asynchronous client that LiteLLM builds, for whichever provider, use such a transport.

    Returns LiteLLM's class of such clients.
    """
    handler: Any = importlib.import_module("litellm.llms.custom_httpx.http_handler").AsyncHTTPHandler

    def transport(*_: Any, **__: Any) -> httpx.AsyncBaseTransport:
        return make()

    handler.create_async_transport = staticmethod(transport)
    handler._create_async_transport = staticmethod(transport)
    return handler
