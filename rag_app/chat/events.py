"""The typed events of one answer, in the order a reader meets them."""

from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from rag_app.retrieval.passages import Passage
from rag_app.retrieval.places import Place


@dataclass(frozen=True, slots=True)
class Citation:
    """A checked pointer into one version: `text[char_from:char_to] == quote`."""

    n: int
    answer_from: int
    answer_to: int
    knowledge_base_id: UUID
    document_id: UUID
    version_id: UUID
    passage_id: UUID
    external_id: str | None
    title: str
    url: str | None
    page_from: int | None
    page_to: int | None
    char_from: int
    char_to: int
    quote: str
    verified: bool = True
    place: Place = field(default_factory=dict)  # beyond pages: sheet and rows, slide, part, time
    corrected_by: str | None = None  # who wrote the correction that is cited, "" = not known; None: it is none
    corrected_at: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer consumed. None = unknown."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_microusd: int | None = None


@dataclass(frozen=True, slots=True)
class Searching:
    """The questions that are looked up."""

    queries: tuple[str, ...]
    kind: Literal["searching"] = "searching"


@dataclass(frozen=True, slots=True)
class Found:
    """The passages the answer may use."""

    passages: tuple[Passage, ...]
    kind: Literal["passages"] = "passages"


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the answer; never half a marker."""

    text: str
    kind: Literal["token"] = "token"


@dataclass(frozen=True, slots=True)
class Cited:
    """A verified citation; comes before the token that holds its marker."""

    citation: Citation
    kind: Literal["citation"] = "citation"


@dataclass(frozen=True, slots=True)
class Done:
    """The whole answer."""

    answer: str
    citations: tuple[Citation, ...]
    abstained: bool
    model: str
    usage: Usage = field(default_factory=Usage)
    timings_ms: dict[str, float] = field(default_factory=dict)
    queries: tuple[str, ...] = ()
    kind: Literal["done"] = "done"


@dataclass(frozen=True, slots=True)
class Failed:
    """The answer could not be finished; what was said so far stays."""

    code: str
    message: str
    kind: Literal["error"] = "error"


Event = Searching | Found | Token | Cited | Done | Failed
