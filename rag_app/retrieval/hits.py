"""What both legs of a search are asked, and what each finds."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class LegQuery:
    """A question for both legs: each gives its hits the score of the other one too."""

    sparse: str  # as a sparse vector, see lexical.sparse_literal
    vector: str | None  # as a vector, see vector_literal; None = nothing was embedded
    limit: int  # how many hits a leg returns


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that one leg found, with its scores in both; higher is better."""

    passage_id: UUID
    bm25: float
    cosine: float | None
