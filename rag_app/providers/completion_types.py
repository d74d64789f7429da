"""What a completion is asked with and what streams back, free of any provider's own types."""

from dataclasses import dataclass
from typing import Literal, TypedDict


class ChatMessage(TypedDict):
    """One message as every chat model understands it."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """One call of a chat model. `fallback` is tried when `model` cannot answer before its first token."""

    model: str
    messages: tuple[ChatMessage, ...]
    temperature: float | None = None  # None = the provider's default
    max_tokens: int | None = None
    fallback: str | None = None
    timeout_s: float | None = None  # for the whole call; None = the provider room's default


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """What the call consumed. None = unknown."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_microusd: int | None = None


@dataclass(frozen=True, slots=True)
class CompletionChunk:
    """One piece of a streamed answer; the last ones carry finish_reason and usage, perhaps with empty text."""

    text: str = ""
    finish_reason: str | None = None  # stop, length, content_filter, …
    usage: TokenUsage | None = None
    model: str | None = None  # the model that really answered, when it is known (after a fallback)
