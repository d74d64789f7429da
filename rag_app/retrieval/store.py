"""Writes what a search reads: lexical rows, statistics as deltas, and vectors, inside the caller's transaction."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from rag_app.retrieval import rows as binary
from rag_app.retrieval.statistics import merge_if_due
from rag_app.retrieval.terms import hashes_of, terms_of
from rag_app.retrieval.weights import document_weights

MOST_TERMS = 16_000
"""pgvector's limit on the non-zero elements of one sparse vector."""


@dataclass(frozen=True, slots=True)
class PassageRow:
    """A passage as the store wants it. `context` is title, heading path, table header: found, not shown."""

    knowledge_base_id: UUID
    workspace_id: UUID
    index_id: int | None
    passage_id: UUID
    text: str
    context: str
    language: str
    embedding: "np.ndarray[Any, np.dtype[np.float32]] | None"
    cutting_id: int = 0


@dataclass(frozen=True, slots=True)
class Delta:
    """What a change does to the lexical statistics of one language in one knowledge base."""

    knowledge_base_id: UUID
    language: str
    passages: int
    length: int
    terms: str  # an array as Postgres writes it: the driver takes ten times as long for as many numbers
    counts: str  # likewise: in how many of the passages each term stands
    cutting_id: int = 0


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows ready to be copied into the tables."""

    lexical: bytes
    embeddings: bytes
    deltas: tuple[Delta, ...]


async def insert(connection: AsyncConnection, rows: Sequence[PassageRow]) -> None:
    """Make passages searchable: their rows in `passages` must be there already.

    Analyses the text in a thread; a caller that wants a short transaction calls `prepare` before it and
    `insert_prepared` inside it.
    """
    if rows:
        await insert_prepared(connection, await asyncio.to_thread(prepare, rows))


async def insert_prepared(connection: AsyncConnection, prepared: Prepared) -> None:
    """Copy prepared rows and append their deltas."""
    raw = await connection.get_raw_connection()
    driver = raw.driver_connection
    if driver is None:
        raise RuntimeError("the connection is closed")
    async with driver.cursor() as cursor:
        async with cursor.copy(_COPY_LEXICAL) as copy:
            await copy.write(prepared.lexical)
        if prepared.embeddings:
            async with cursor.copy(_COPY_EMBEDDINGS) as copy:
                await copy.write(prepared.embeddings)
    await _append(connection, prepared.deltas)
    for knowledge_base_id in {delta.knowledge_base_id for delta in prepared.deltas}:
        await merge_if_due(connection, knowledge_base_id)


async def insert_embeddings(
    connection: AsyncConnection, rows: Sequence[tuple[UUID, UUID, UUID]], vectors: Any, *, index_id: int
) -> None:
    """Copy vectors of passages that have none in this index yet. A row is (knowledge base, passage, workspace)."""
    records = [binary.HEADER]
    for (knowledge_base_id, passage_id, workspace_id), vector in zip(rows, vectors, strict=True):
        records.append(_embedding_record((knowledge_base_id, passage_id, workspace_id), index_id, vector))
    driver = (await connection.get_raw_connection()).driver_connection
    if driver is None:
        raise RuntimeError("the connection is closed")
    async with driver.cursor() as cursor, cursor.copy(_COPY_EMBEDDINGS) as copy:
        await copy.write(b"".join([*records, binary.TRAILER]))


async def delete(
    connection: AsyncConnection, knowledge_base_id: UUID, version_id: UUID, *, kept: Sequence[UUID] = ()
) -> None:
    """Take a version, but for the passages that are kept, out of the search.

    Call it before its rows in `passages` are deleted.
    """
    values = {"kb": knowledge_base_id, "version": version_id, "kept": list(kept)}
    await connection.execute(_DELETE_LEXICAL, values)
    await connection.execute(_DELETE_EMBEDDINGS, values)


def prepare(rows: Sequence[PassageRow]) -> Prepared:
    """Analyse passages (about 0.2 ms each). Pure and blocking."""
    lexical, embeddings = [binary.HEADER], [binary.HEADER]
    deltas: dict[tuple[UUID, str, int], _Tally] = {}
    for row in rows:
        indices, weights, length = _lexical_vector(row)
        lexical.append(
            binary.record(
                (
                    binary.uuid(row.knowledge_base_id),
                    binary.uuid(row.passage_id),
                    binary.uuid(row.workspace_id),
                    row.language.encode(),
                    binary.integer(length),
                    binary.integers(indices),
                    binary.sparsevec(indices, weights),
                    binary.bigint(row.cutting_id),
                )
            )
        )
        deltas.setdefault((row.knowledge_base_id, row.language, row.cutting_id), _Tally()).add(indices.tolist(), length)
        if row.embedding is not None and row.index_id is not None:
            embeddings.append(
                _embedding_record(
                    (row.knowledge_base_id, row.passage_id, row.workspace_id), row.index_id, row.embedding
                )
            )
    return Prepared(
        lexical=b"".join([*lexical, binary.TRAILER]),
        embeddings=b"".join([*embeddings, binary.TRAILER]) if len(embeddings) > 1 else b"",
        deltas=tuple(tally.delta(*key) for key, tally in deltas.items()),
    )


class _Tally:
    def __init__(self) -> None:
        self.passages = 0
        self.length = 0
        self.counts: Counter[int] = Counter()

    def add(self, terms: Iterable[int], length: int) -> None:
        self.passages += 1
        self.length += length
        self.counts.update(terms)

    def delta(self, knowledge_base_id: UUID, language: str, cutting_id: int) -> Delta:
        terms, counts = _array(self.counts.keys()), _array(self.counts.values())
        return Delta(knowledge_base_id, language, self.passages, self.length, terms, counts, cutting_id)


def _lexical_vector(row: PassageRow) -> tuple[Any, Any, int]:
    weights, length = document_weights(terms_of(row.text, row.language), terms_of(row.context, row.language))
    numbers = list(map(hashes_of(row.knowledge_base_id, row.cutting_id).__getitem__, weights))
    indices = np.array(numbers, dtype=np.int64)
    values = np.fromiter(weights.values(), dtype=np.float32, count=len(numbers))
    if len(set(numbers)) < len(numbers):  # two terms with one number: the heavier counts
        heaviest = np.argsort(-values, kind="stable")
        indices, first = np.unique(indices[heaviest], return_index=True)
        values = values[heaviest][first]
    if len(indices) > MOST_TERMS:
        strongest = np.argpartition(-values, MOST_TERMS)[:MOST_TERMS]
        indices, values = indices[strongest], values[strongest]
    order = np.argsort(indices)
    return indices[order], values[order], length


def _embedding_record(
    owner: tuple[UUID, UUID, UUID], index_id: int, embedding: "np.ndarray[Any, np.dtype[np.float32]]"
) -> bytes:
    knowledge_base_id, passage_id, workspace_id = owner
    length = float(np.linalg.norm(embedding))
    vector = embedding / length if length > 0 else embedding  # unit length, so that inner product is the cosine
    return binary.record(
        (
            binary.uuid(knowledge_base_id),
            binary.uuid(passage_id),
            binary.bigint(index_id),
            binary.uuid(workspace_id),
            binary.halfvec(vector),
        )
    )


async def _append(connection: AsyncConnection, deltas: Sequence[Delta]) -> None:
    values = [
        {
            "kb": delta.knowledge_base_id,
            "language": delta.language,
            "cutting": delta.cutting_id,
            "passages": delta.passages,
            "length": delta.length,
            "terms": delta.terms,
            "counts": delta.counts,
        }
        for delta in deltas
    ]
    await connection.execute(_APPEND_DELTA, values)


def _array(numbers: Iterable[int]) -> str:
    return f"{{{','.join(map(str, numbers))}}}"


_COPY_LEXICAL = (
    "COPY lexical (knowledge_base_id, passage_id, workspace_id, language, length, terms, weights, cutting_id) "
    "FROM STDIN (FORMAT binary)"
)
_COPY_EMBEDDINGS = (
    "COPY embeddings (knowledge_base_id, passage_id, index_id, workspace_id, embedding) FROM STDIN (FORMAT binary)"
)
_APPEND_DELTA = text("""
    INSERT INTO lexical_deltas (knowledge_base_id, cutting_id, language, passages, length, terms, counts)
    VALUES (:kb, :cutting, :language, :passages, :length, CAST(:terms AS integer[]), CAST(:counts AS integer[]))
""")
_DELETE_LEXICAL = text("""
    WITH gone AS (
        DELETE FROM lexical l USING passages p
        WHERE p.knowledge_base_id = :kb AND p.version_id = :version AND p.id <> ALL(CAST(:kept AS uuid[]))
          AND l.knowledge_base_id = p.knowledge_base_id AND l.passage_id = p.id
        RETURNING l.cutting_id, l.language, l.length, l.terms
    ), totals AS (
        SELECT cutting_id, language, count(*) AS passages, sum(length) AS length FROM gone GROUP BY cutting_id, language
    ), counted AS (
        SELECT cutting_id, language, term, count(*) AS passages FROM gone CROSS JOIN unnest(terms) AS term
        GROUP BY cutting_id, language, term
    ), gathered AS (
        SELECT cutting_id, language, array_agg(term) AS terms, array_agg(-passages) AS counts
        FROM counted GROUP BY cutting_id, language
    )
    INSERT INTO lexical_deltas (knowledge_base_id, cutting_id, language, passages, length, terms, counts)
    SELECT :kb, t.cutting_id, t.language, -t.passages, -t.length,
           coalesce(g.terms, ARRAY[]::integer[]), coalesce(g.counts, ARRAY[]::bigint[])::integer[]
    FROM totals t LEFT JOIN gathered g USING (cutting_id, language)
""")
_DELETE_EMBEDDINGS = text("""
    DELETE FROM embeddings e USING passages p
    WHERE p.knowledge_base_id = :kb AND p.version_id = :version AND p.id <> ALL(CAST(:kept AS uuid[]))
      AND e.knowledge_base_id = p.knowledge_base_id AND e.passage_id = p.id
""")
