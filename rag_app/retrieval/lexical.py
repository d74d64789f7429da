"""The lexical leg: BM25 as the inner product of stored weights and the question's idf, among the rarest terms' hits."""

from collections.abc import Mapping, Sequence
from typing import Any

from rag_app.retrieval.filters import filter_values, passage_filter
from rag_app.retrieval.hits import Hit, LegQuery
from rag_app.retrieval.question import Question
from rag_app.retrieval.reader import Reader, integers, uuids
from rag_app.retrieval.scope import Scope, Target
from rag_app.retrieval.terms import TERM_SPACE

MOST_CANDIDATES = 20_000
SPARE = 0.4
"""Share of the question that may be left unlooked-for at first: common words make up most of the work, and of the
score next to nothing. When the first pass leaves a doubt, so many more terms are looked for that it is gone."""


async def search_lexical(
    reader: Reader, question: Question, targets: Sequence[Target], *, asked: LegQuery, scope: Scope
) -> list[Hit]:
    """The best passages by BM25, best first. None of the question's terms known gives an empty list."""
    if not question.hashes:
        return []
    values = {
        "kbs": uuids(target.knowledge_base_id for target in targets),
        "cuttings": integers(target.cutting_id for target in targets),
        "indexes": integers(target.index_id for target in targets if target.index_id is not None),
        "question": asked.sparse,
        "limit": asked.limit,
        **filter_values(scope),
    }
    if asked.vector is not None:
        values["vector"] = asked.vector
    statement = _STATEMENTS[bool(scope.filter), asked.vector is not None]
    essential = question.essential(spare=SPARE, most_candidates=MOST_CANDIDATES)
    hits = await _hits(reader, statement, values | {"essential": integers(essential.terms)})
    if not essential.complete and (len(hits) < scope.limit or hits[scope.limit - 1].bm25 < essential.missed):
        enough = hits[scope.limit - 1].bm25 if len(hits) >= scope.limit else 0.0
        essential = question.essential(enough=enough, most_candidates=MOST_CANDIDATES)
        hits = await _hits(reader, statement, values | {"essential": integers(essential.terms)})
    return hits


async def _hits(reader: Reader, statement: bytes, values: Mapping[str, Any]) -> list[Hit]:
    rows = await reader.rows(statement, values)
    return [Hit(passage_id, -distance, None if further is None else -further) for passage_id, distance, further in rows]


def sparse_literal(question: Question) -> str:
    """The question as pgvector's text form of a sparse vector."""
    parts = ",".join(f"{number}:{weight:.5g}" for number, weight in sorted(question.weights().items()) if weight > 0)
    return f"{{{parts}}}/{TERM_SPACE}"


_BEST = """
    WITH best AS MATERIALIZED (
        SELECT l.knowledge_base_id, l.passage_id, l.weights <#> CAST(%(question)s AS sparsevec) AS distance
        FROM lexical l
        WHERE l.terms && (SELECT CAST(%(essential)s AS integer[]))
          AND l.knowledge_base_id = ANY(CAST(%(kbs)s AS uuid[])) AND l.cutting_id = ANY(CAST(%(cuttings)s AS bigint[]))
          {filter}
        ORDER BY distance, l.passage_id LIMIT %(limit)s
    )
    SELECT b.passage_id, b.distance, {cosine} FROM best b ORDER BY b.distance, b.passage_id
"""
_COSINE = """(
        SELECT e.embedding <#> CAST(%(vector)s AS halfvec) FROM embeddings e
        WHERE e.knowledge_base_id = b.knowledge_base_id AND e.passage_id = b.passage_id
          AND e.index_id = ANY(CAST(%(indexes)s AS bigint[])))"""
# (with a filter, with a vector) -> statement
_STATEMENTS = {
    (filtered, embedded): _BEST.format(
        filter=passage_filter("l") if filtered else "", cosine=_COSINE if embedded else "NULL"
    ).encode()
    for filtered in (False, True)
    for embedded in (False, True)
}
