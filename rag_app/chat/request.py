"""What an answer is asked with, and the outside functions it is given."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rag_app.chat.history import Turn
from rag_app.chat.prompt import CONTEXT_TOKENS
from rag_app.providers.completion_types import CompletionChunk, CompletionRequest
from rag_app.retrieval.passages import SearchResult

EXTRACTIVE = "local/extractive"
MOST_HOPS = 3

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
    context_tokens: int = CONTEXT_TOKENS
    split: bool = True  # search the parts of a question one by one
    hops: int = 1  # how often it may search, 1..MOST_HOPS; more than once only with a model
    minimum_evidence: float | None = None  # says no below this probability; None = the default


@dataclass(frozen=True, slots=True)
class Engine:
    """The outside functions an answer needs. Without `complete` every answer is extractive."""

    search: Search
    complete: Complete | None = None
    embed: Embed | None = None
