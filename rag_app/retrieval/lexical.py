"""The lexical leg: BM25 as the inner product of stored weights and the question's idf, among the rarest terms' hits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from rag_app.retrieval.filters import filter_values, passage_filter
from rag_app.retrieval.question import Question
from rag_app.retrieval.reader import Reader, integers, uuids
from rag_app.retrieval.scope import Scope, Target
from rag_app.retrieval.terms import TERM_SPACE

MOST_CANDIDATES = 20_000
SPARE = 0.4
"""Share of the question that may be left unlooked-for at first: common words make up most of the work, and of the
score next to nothing. When the first pass leaves a doubt, so many more terms are looked for that it is gone."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found by one leg; a higher score is better."""

    passage_id: UUID
    score: float


async def search_lexical(
    reader: Reader, question: Question, targets: Sequence[Target], *, scope: Scope, limit: int
) -> list[Hit]:
    """The best `limit` passages by BM25. None of the question's terms known gives an empty list."""
    if not question.hashes:
        return []
    values = {
        "kbs": uuids(target.knowledge_base_id for target in targets),
        "cuttings": integers(target.cutting_id for target in targets),
        "question": sparse_literal(question),
        "limit": limit,
        **filter_values(scope),
    }
    statement = _FILTERED if scope.filter else _PLAIN
    essential = question.essential(spare=SPARE, most_candidates=MOST_CANDIDATES)
    hits = await _hits(reader, statement, values | {"essential": integers(essential.terms)})
    if not essential.complete and (len(hits) < scope.limit or hits[scope.limit - 1].score < essential.missed):
        enough = hits[scope.limit - 1].score if len(hits) >= scope.limit else 0.0
        essential = question.essential(enough=enough, most_candidates=MOST_CANDIDATES)
        hits = await _hits(reader, statement, values | {"essential": integers(essential.terms)})
    return hits


async def _hits(reader: Reader, statement: bytes, values: Mapping[str, Any]) -> list[Hit]:
    return [Hit(row[0], -row[1]) for row in await reader.rows(statement, values)]


def sparse_literal(question: Question) -> str:
    """The question as pgvector's text form of a sparse vector."""
    parts = ",".join(f"{number}:{weight:.5g}" for number, weight in sorted(question.weights().items()) if weight > 0)
    return f"{{{parts}}}/{TERM_SPACE}"


_SEARCH = """
    SELECT l.passage_id, l.weights <#> CAST(%(question)s AS sparsevec) AS distance
    FROM lexical l
    WHERE l.terms && (SELECT CAST(%(essential)s AS integer[])) AND l.knowledge_base_id = ANY(CAST(%(kbs)s AS uuid[]))
      AND l.cutting_id = ANY(CAST(%(cuttings)s AS bigint[])) {filter}
    ORDER BY distance, l.passage_id LIMIT %(limit)s
"""
_PLAIN = _SEARCH.format(filter="").encode()
_FILTERED = _SEARCH.format(filter=passage_filter("l")).encode()
