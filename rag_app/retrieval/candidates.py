"""Reads what both legs found in one statement: the passage, its document, and its score in either leg."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from rag_app.retrieval.dense import Vector, vector_literal
from rag_app.retrieval.lexical import sparse_literal
from rag_app.retrieval.question import Question
from rag_app.retrieval.scope import ACCESS, Scope, Target, access_values


@dataclass(frozen=True, slots=True)
class Found:
    """A candidate with everything that fusion, evidence and the answer need."""

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
    bm25: float
    cosine: float | None
    stems: frozenset[str]  # those of the question that stand in it


async def read_candidates(
    connection: AsyncConnection,
    ids: Sequence[UUID],
    *,
    question: Question,
    vector: Vector | None,
    targets: Sequence[Target],
    scope: Scope,
) -> list[Found]:
    """The candidates that this person may see and whose documents are not deleted, with their scores in both legs."""
    values = access_values(scope) | {
        "kbs": [target.knowledge_base_id for target in targets],
        "ids": list(ids),
        "asked": list(question.hashes),
        "sparse": sparse_literal(question),
        "vector": None if vector is None else vector_literal(vector),
        "indexes": [target.index_id for target in targets if target.index_id is not None],
    }
    rows = await connection.execute(_READ, values)
    return [
        Found(
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
            bm25=row.bm25 or 0.0,
            cosine=row.cosine,
            stems=frozenset(question.hashes[number] for number in row.asked),
        )
        for row in rows
    ]


_READ = text(f"""
    SELECT p.id, p.knowledge_base_id, p.document_id, p.version_id, p.ordinal, d.external_id, d.title, d.url, p.text,
           p.heading, p.page_from, p.page_to, p.char_from, p.char_to, coalesce(l.language, p.language) AS language,
           -(l.weights <#> CAST(:sparse AS sparsevec)) AS bm25,
           -(e.embedding <#> CAST(:vector AS halfvec)) AS cosine,
           ARRAY(SELECT asked FROM unnest(CAST(:asked AS integer[])) AS asked WHERE asked = ANY(l.terms)) AS asked
    FROM knowledge_bases k
    JOIN passages p ON p.knowledge_base_id = k.id
    JOIN documents d ON d.knowledge_base_id = p.knowledge_base_id AND d.id = p.document_id
    LEFT JOIN lexical l ON l.knowledge_base_id = p.knowledge_base_id AND l.passage_id = p.id
    LEFT JOIN embeddings e ON e.knowledge_base_id = p.knowledge_base_id AND e.passage_id = p.id
         AND e.index_id = k.active_index_id AND CAST(:vector AS text) IS NOT NULL
    WHERE {ACCESS} AND p.id = ANY(CAST(:ids AS uuid[])) AND d.deleted_at IS NULL
""")  # noqa: S608 -- ACCESS is a constant with bound parameters
