"""What is needed to reach one provider, and which of it applies to a model's name."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rag_app.errors import ProviderError
from rag_app.providers.catalogue import OLLAMA_URL, PROVIDERS, label_of
from rag_app.settings import ENV_FILE


@dataclass(frozen=True, slots=True)
class Credentials:
    """Key and address of one provider; the key never shows in a repr, a log line or a message."""

    provider: str
    api_key: str | None = field(default=None, repr=False)
    base_url: str | None = None
    api_version: str | None = None  # Azure only


Keyring = Mapping[str, Credentials]
NO_KEYS: Keyring = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Route:
    """One model behind one address, in LiteLLM's terms."""

    model: str  # the product's name for it
    litellm_model: str
    provider: str
    label: str
    api_key: str | None = field(default=None, repr=False)
    base_url: str | None = None
    api_version: str | None = None

    @property
    def circuit(self) -> tuple[str, str, str]:
        """What fails together: provider, address, model."""
        return self.provider, self.base_url or "", self.litellm_model

    def arguments(self) -> dict[str, Any]:
        """What every call of LiteLLM along this route is given."""
        optional = {"api_key": self.api_key, "api_base": self.base_url, "api_version": self.api_version}
        given = {name: value for name, value in optional.items() if value is not None}
        # One loop of retries only, and it is ours.
        return {"model": self.litellm_model, "num_retries": 0, "max_retries": 0, **given}


def keyring(credentials: Iterable[Credentials]) -> Keyring:
    """Credentials by the provider's name."""
    return {each.provider: each for each in credentials}


def provider_of(model: str) -> str:
    """The provider a model's name begins with; a bare name is taken for OpenAI's, Anthropic's or Google's."""
    prefix, slash, _ = model.partition("/")
    if slash:
        return prefix
    return {"claude": "anthropic", "gemini": "gemini"}.get(model.partition("-")[0], "openai")


def from_environment(provider: str) -> Credentials | None:
    """Credentials from the provider's usual variable in the environment or `.env`, or None."""
    known = PROVIDERS.get(provider)
    if known is None or not known.key_variable:
        return None
    key = os.environ.get(known.key_variable) or _env_file(ENV_FILE).get(known.key_variable)
    return Credentials(provider, api_key=key) if key else None


def configured_in_environment() -> list[str]:
    """The providers whose key stands in the environment or `.env`."""
    return [name for name in PROVIDERS if from_environment(name) is not None]


def route_to(model: str, credentials: Keyring | Credentials) -> Route:
    """How to reach a model. Raises ProviderError when its provider has no key or no address."""
    provider = provider_of(model)
    given = {credentials.provider: credentials} if isinstance(credentials, Credentials) else credentials
    found = given.get(provider) or from_environment(provider) or Credentials(provider)
    known = PROVIDERS.get(provider)
    base_url = found.base_url or (OLLAMA_URL if provider == "ollama" else None)
    if known is not None and known.needs_key and not found.api_key:
        raise ProviderError(f"No key for {label_of(provider, base_url)} is set; enter one on the Models page.")
    if known is not None and known.needs_url and not base_url:
        raise ProviderError(f"No address for {known.label} is set; enter one on the Models page.")
    if found.base_url and (known is None or not known.takes_url):
        raise ProviderError(f"{label_of(provider, None)} cannot be used with an address of its own.")
    name = model.removeprefix(provider + "/")
    openai_wire = known is not None and known.openai_wire
    return Route(
        model=model,
        litellm_model=f"openai/{name}" if openai_wire else f"{provider}/{name}",
        provider=provider,
        label=label_of(provider, base_url),
        # A server that wants no key still gets one, or LiteLLM would send the one of OpenAI from the environment.
        api_key=found.api_key or ("none" if openai_wire else None),
        base_url=_wire_address(provider, base_url),
        api_version=found.api_version,
    )


def _wire_address(provider: str, base_url: str | None) -> str | None:
    if base_url is None:
        return None
    trimmed = base_url.rstrip("/")
    return f"{trimmed}/v1" if provider == "ollama" and not trimmed.endswith("/v1") else trimmed


@lru_cache(maxsize=4)
def _env_file(path: str) -> dict[str, str | None]:
    from dotenv import dotenv_values

    return dotenv_values(path) if Path(path).is_file() else {}
