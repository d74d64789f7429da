"""Loads LiteLLM once, when a provider is first needed, quiet and without its own ways to the network.

Its import takes seconds and about 180 MB, so it happens in a thread and never in a process without a provider. All its
asynchronous calls go through the guarded sockets of `egress`; its proxy server is never used.
"""

import asyncio
import importlib
import logging
import os
import threading
import warnings
from functools import lru_cache
from typing import Any

from rag_app.egress import Egress, Rules
from rag_app.settings import get_settings

# A model server on this machine's own loopback, at the usual port of Ollama, is reachable without a setting.
OLLAMA_HOSTS = frozenset({"localhost:11434", "127.0.0.1:11434", "[::1]:11434"})
_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # otherwise the import fetches a price list
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_MODE": "PRODUCTION",  # otherwise the import reads .env into the environment
    "LITELLM_TELEMETRY": "False",
}
_QUIET = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "openai", "httpx", "httpcore")
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


@lru_cache(maxsize=1)
def _load() -> Any:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in _QUIET:  # their lines hold addresses with keys, prompts and documents
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        litellm: Any = importlib.import_module("litellm")
        _rehearse(litellm)
    litellm.telemetry = False
    litellm.drop_params = True
    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    litellm.num_retries = 0
    litellm.set_verbose = False
    _guard()
    return litellm


def _rehearse(litellm: Any) -> None:
    """One pretended call, because LiteLLM builds half of itself (0.6 s, with warnings) in the first one."""
    said: list[Any] = [{"role": "user", "content": "hello"}]
    litellm.completion(model="openai/none", messages=said, mock_response="hello", api_key="none")
    for _ in litellm.completion(model="openai/none", messages=said, mock_response="hello", stream=True, api_key="none"):
        pass


def _guard() -> None:
    """Make every asynchronous client that LiteLLM builds, for whichever provider, use the guarded transport."""
    handler = importlib.import_module("litellm.llms.custom_httpx.http_handler").AsyncHTTPHandler

    def transport(*_: Any, **__: Any) -> Any:
        return provider_egress().transport(refuse_redirects=True)

    handler.create_async_transport = staticmethod(transport)
    handler._create_async_transport = staticmethod(transport)
