"""What a search returns."""

from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from rag_app.retrieval.places import Place

Mode = Literal["hybrid", "dense", "lexical"]


@dataclass(frozen=True, slots=True)
class Ranks:
    """The place (from 1) of a passage in each leg; None = not found by it."""

    dense: int | None = None
    lexical: int | None = None
    fused: int | None = None
    rerank: int | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """One passage found. `text` is `version.text[char_from:char_to]`."""

    id: UUID
    knowledge_base_id: UUID
    document_id: UUID
    version_id: UUID
    external_id: str | None
    title: str
    url: str | None
    text: str
    heading: str
    page_from: int | None
    page_to: int | None
    char_from: int
    char_to: int
    score: float  # calibrated relevance, 0..1
    ranks: Ranks = field(default_factory=Ranks)
    fused: float = 0.0  # the fused score that orders the list, 0..1
    bm25: float = 0.0  # raw BM25 score
    cosine: float | None = None  # similarity of passage and question, -1..1
    language: str = ""
    place: Place = field(default_factory=dict)  # beyond pages: sheet and rows, slide, part, time


@dataclass(frozen=True, slots=True)
class Evidence:
    """How well the question as a whole is covered by what was found; normalised, so that it carries over."""

    bm25_share: float = 0.0  # best BM25 / sum of the question's idf
    idf_coverage: float = 0.0  # idf-weighted share of the question's terms that the best passage holds
    cosine: float = 0.0  # best cosine
    margin: float = 0.0  # best fused score minus the mean of the next ones
    window: float = 0.0  # idf-weighted share of the question's terms that stand close together in one passage
    phrases: float = 0.0  # the same of its pairs of neighbouring terms
    smallness: float = 0.0  # how small what was searched is, in orders of magnitude, see evidence.smallness
    answerable: float = 0.0  # calibrated probability that the passages answer the question, 0..1


Fate = Literal["shown", "joined", "duplicate", "below_limit"]


@dataclass(frozen=True, slots=True)
class Considered:
    """A candidate of a search, how it stood, and what became of it."""

    passage_id: UUID
    knowledge_base_id: UUID
    document_id: UUID
    ranks: Ranks
    bm25: float
    cosine: float | None
    fused: float
    score: float  # calibrated relevance, 0..1
    fate: Fate
    into: UUID | None = None  # the passage that it became a part of


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Passages, best first, with what a person needs to judge them."""

    passages: tuple[Passage, ...]
    evidence: Evidence
    warnings: tuple[str, ...] = ()
    timings_ms: dict[str, float] = field(default_factory=dict)  # embed, dense, lexical, fuse, rerank, total
    # Stem of each term of the question -> idf in these knowledge bases.
    idf: dict[str, float] = field(default_factory=dict)
    considered: tuple[Considered, ...] = ()  # best first; only when the scope asks for it
    dense_weight: float = 0.0  # what cosines weighed in the fusion, 0..1
