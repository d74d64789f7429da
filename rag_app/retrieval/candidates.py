"""Completes what the legs found: the score each hit would have in the other leg, then the passages themselves."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from rag_app.retrieval.dense import Vector, vector_literal
from rag_app.retrieval.fusion import Candidate
from rag_app.retrieval.lexical import Hit, sparse_literal
from rag_app.retrieval.question import Question
from rag_app.retrieval.scope import ACCESS, Scope, Target, access_values


@dataclass(frozen=True, slots=True)
class Legs:
    """What the legs returned, best first; None = did not run."""

    lexical: list[Hit] | None
    dense: list[Hit] | None
    vector: Vector | None


@dataclass(frozen=True, slots=True)
class Found:
    """A passage with everything that evidence and the answer need."""

    id: UUID
    knowledge_base_id: UUID
    document_id: UUID
    version_id: UUID
    ordinal: int
    external_id: str | None
    title: str
    url: str | None
    text: str
    heading: str
    page_from: int | None
    page_to: int | None
    char_from: int
    char_to: int
    language: str
    stems: frozenset[str]  # those of the question that stand in it


async def complete_scores(
    connection: AsyncConnection, legs: Legs, *, question: Question, targets: Sequence[Target]
) -> list[Candidate]:
    """Every hit of either leg with its score in both, as if each leg had looked at all of them."""
    bm25 = {hit.passage_id: hit.score for hit in legs.lexical or ()}
    cosine = {hit.passage_id: hit.score for hit in legs.dense or ()}
    values = {
        "kbs": [target.knowledge_base_id for target in targets],
        "indexes": [target.index_id for target in targets if target.index_id is not None],
        "lexical_ids": [each for each in cosine if each not in bm25] if question.hashes else [],
        "dense_ids": [each for each in bm25 if each not in cosine] if legs.vector is not None else [],
        "sparse": sparse_literal(question),
        "vector": None if legs.vector is None else vector_literal(legs.vector),
    }
    if values["lexical_ids"] or values["dense_ids"]:
        for row in await connection.execute(_SCORES, values):
            (bm25 if row.is_lexical else cosine)[row.passage_id] = -row.distance
    return [Candidate(each, bm25.get(each, 0.0), cosine.get(each)) for each in bm25.keys() | cosine.keys()]


async def read_passages(
    connection: AsyncConnection, ids: Collection[UUID], *, question: Question, targets: Sequence[Target], scope: Scope
) -> dict[UUID, Found]:
    """Those passages that this person may see and whose documents are not deleted."""
    values: dict[str, Any] = access_values(scope) | {
        "kbs": [target.knowledge_base_id for target in targets],
        "ids": list(ids),
        "asked": list(question.hashes),
    }
    rows = await connection.execute(_READ, values)
    return {
        row.id: Found(
            id=row.id,
            knowledge_base_id=row.knowledge_base_id,
            document_id=row.document_id,
            version_id=row.version_id,
            ordinal=row.ordinal,
            external_id=row.external_id,
            title=row.title,
            url=row.url,
            text=row.text,
            heading=row.heading,
            page_from=row.page_from,
            page_to=row.page_to,
            char_from=row.char_from,
            char_to=row.char_to,
            language=row.language,
            stems=frozenset(question.hashes[number] for number in row.asked),
        )
        for row in rows
    }


_SCORES = text("""
    SELECT true AS is_lexical, passage_id, weights <#> CAST(:sparse AS sparsevec) AS distance
    FROM lexical
    WHERE knowledge_base_id = ANY(CAST(:kbs AS uuid[])) AND passage_id = ANY(CAST(:lexical_ids AS uuid[]))
    UNION ALL
    SELECT false, passage_id, embedding <#> CAST(:vector AS halfvec)
    FROM embeddings
    WHERE knowledge_base_id = ANY(CAST(:kbs AS uuid[])) AND passage_id = ANY(CAST(:dense_ids AS uuid[]))
      AND index_id = ANY(CAST(:indexes AS bigint[]))
""")
_READ = text(f"""
    SELECT p.id, p.knowledge_base_id, p.document_id, p.version_id, p.ordinal, d.external_id, d.title, d.url, p.text,
           p.heading, p.page_from, p.page_to, p.char_from, p.char_to, coalesce(l.language, p.language) AS language,
           ARRAY(SELECT asked FROM unnest(CAST(:asked AS integer[])) AS asked WHERE asked = ANY(l.terms)) AS asked
    FROM passages p
    JOIN knowledge_bases k ON k.id = p.knowledge_base_id
    JOIN documents d ON d.knowledge_base_id = p.knowledge_base_id AND d.id = p.document_id
    LEFT JOIN lexical l ON l.knowledge_base_id = p.knowledge_base_id AND l.passage_id = p.id
    WHERE p.knowledge_base_id = ANY(CAST(:kbs AS uuid[])) AND p.id = ANY(CAST(:ids AS uuid[]))
      AND d.deleted_at IS NULL AND {ACCESS}
""")  # noqa: S608 -- ACCESS is a constant with bound parameters
