"""The lexical leg: BM25 as the inner product of stored weights and the question's idf, among the rarest terms' hits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from rag_app.retrieval.filters import filter_values, passage_filter
from rag_app.retrieval.question import Question
from rag_app.retrieval.scope import Scope
from rag_app.retrieval.terms import TERM_SPACE

MOST_CANDIDATES = 20_000


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found by one leg; a higher score is better."""

    passage_id: UUID
    score: float


async def search_lexical(
    connection: AsyncConnection, question: Question, knowledge_base_ids: Sequence[UUID], scope: Scope, *, limit: int
) -> list[Hit]:
    """The best `limit` passages by BM25. None of the question's terms known gives an empty list."""
    rarest = question.rarest(MOST_CANDIDATES)
    if not rarest:
        return []
    values = {"kbs": list(knowledge_base_ids), "rarest": rarest, "question": sparse_literal(question), "limit": limit}
    rows = await connection.execute(_statement(bool(scope.filter)), values | filter_values(scope))
    return [Hit(row.passage_id, -row.distance) for row in rows]


def sparse_literal(question: Question) -> str:
    """The question as pgvector's text form of a sparse vector."""
    parts = ",".join(f"{number}:{weight:.5g}" for number, weight in sorted(question.weights().items()) if weight > 0)
    return f"{{{parts}}}/{TERM_SPACE}"


def _statement(filtered: bool) -> Any:
    return _FILTERED if filtered else _PLAIN


_SEARCH = """
    SELECT l.passage_id, l.weights <#> CAST(:question AS sparsevec) AS distance
    FROM lexical l
    WHERE l.terms && CAST(:rarest AS integer[]) AND l.knowledge_base_id = ANY(CAST(:kbs AS uuid[])) {filter}
    ORDER BY distance, l.passage_id LIMIT :limit
"""
_PLAIN = text(_SEARCH.format(filter=""))
_FILTERED = text(_SEARCH.format(filter=passage_filter("l")))
