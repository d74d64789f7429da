"""The lexical leg: BM25 as the inner product of stored weights and the question's idf, among the rarest terms' hits."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from rag_app.retrieval.filters import filter_values, passage_filter
from rag_app.retrieval.question import Question
from rag_app.retrieval.scope import Scope
from rag_app.retrieval.terms import TERM_SPACE

MOST_CANDIDATES = 20_000
SPARES = (0.4, 0.0)
"""Shares of the question that may be left unlooked-for at first: common words make up most of the work, and of the
score next to nothing. Everything is looked for when the first pass leaves a doubt."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found by one leg; a higher score is better."""

    passage_id: UUID
    score: float


async def search_lexical(
    connection: AsyncConnection, question: Question, knowledge_base_ids: Sequence[UUID], scope: Scope, *, limit: int
) -> list[Hit]:
    """The best `limit` passages by BM25. None of the question's terms known gives an empty list."""
    if not question.hashes:
        return []
    values = {
        "kbs": list(knowledge_base_ids),
        "question": sparse_literal(question),
        "limit": limit,
        **filter_values(scope),
    }
    statement = _FILTERED if scope.filter else _PLAIN
    hits: list[Hit] = []
    for spare in SPARES:
        essential = question.essential(spare=spare, most_candidates=MOST_CANDIDATES)
        rows = await connection.execute(statement, values | {"essential": essential.terms})
        hits = [Hit(row.passage_id, -row.distance) for row in rows]
        if essential.complete or _is_settled(hits, essential.missed, scope.limit):
            break
    return hits


def _is_settled(hits: Sequence[Hit], missed: float, limit: int) -> bool:
    """True when no passage that was not looked at is likely to belong among the first `limit`."""
    return len(hits) >= limit and hits[limit - 1].score >= missed


def sparse_literal(question: Question) -> str:
    """The question as pgvector's text form of a sparse vector."""
    parts = ",".join(f"{number}:{weight:.5g}" for number, weight in sorted(question.weights().items()) if weight > 0)
    return f"{{{parts}}}/{TERM_SPACE}"


_SEARCH = """
    SELECT l.passage_id, l.weights <#> CAST(:question AS sparsevec) AS distance
    FROM lexical l
    WHERE l.terms && CAST(:essential AS integer[]) AND l.knowledge_base_id = ANY(CAST(:kbs AS uuid[])) {filter}
    ORDER BY distance, l.passage_id LIMIT :limit
"""
_PLAIN = text(_SEARCH.format(filter=""))
_FILTERED = text(_SEARCH.format(filter=passage_filter("l")))
