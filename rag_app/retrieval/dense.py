"""The dense leg: an exact scan of small indexes, HNSW for large ones."""

import os
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from rag_app.database.engine import HNSW_EF_SEARCH
from rag_app.errors import InvalidInput
from rag_app.retrieval.filters import filter_values, passage_filter
from rag_app.retrieval.hits import Hit, LegQuery
from rag_app.retrieval.partitions import has_own_table
from rag_app.retrieval.reader import Reader, integers, uuids
from rag_app.retrieval.scope import Scope, Target

HNSW_FROM = 10_000
"""Passages in an index from which `build_hnsw` pays: below, an exact scan is quick and misses nothing."""
CALM_TIMES = 100
_ELEMENT_BYTES = 700
WIDEST_HNSW = 4_000
EF_SEARCH_ALONE = 200
"""Without the lexical leg beside it, which finds and gets the exact cosine of most that matters."""

Vector: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]


async def search_dense(reader: Reader, asked: LegQuery, targets: Sequence[Target], *, scope: Scope) -> list[Hit]:
    """The best passages by cosine similarity, over the active indexes of the targets, best first."""
    values = {
        "kbs": uuids(target.knowledge_base_id for target in targets),
        "indexes": integers(target.index_id for target in targets if target.index_id is not None),
        "question": asked.vector,
        "sparse": asked.sparse,
        "limit": asked.limit,
    }
    settings: dict[str, str] = {}
    if len(targets) == 1 and targets[0].has_hnsw:
        statement = _hnsw_statement(targets[0], limit=asked.limit, filtered=bool(scope.filter))
        effort = max(EF_SEARCH_ALONE if scope.mode == "dense" else HNSW_EF_SEARCH, asked.limit)
        if effort != HNSW_EF_SEARCH:
            settings["hnsw.ef_search"] = str(min(effort, 1000))
    else:
        statement = _FILTERED if scope.filter else _PLAIN
    rows = await reader.rows(statement, values | filter_values(scope), settings=settings)
    hits = [Hit(passage_id, -(bm25 or 0.0), -distance) for passage_id, distance, bm25 in rows]
    hits.sort(key=lambda hit: (-(hit.cosine or 0.0), hit.passage_id))
    return hits


def check_dimensions(vector: Vector, targets: Sequence[Target]) -> None:
    """Raise InvalidInput when the vector has another dimension than the indexes."""
    dimensions = {target.dimensions for target in targets}
    if dimensions != {len(vector)}:
        raise InvalidInput(f"The question has {len(vector)} dimensions, the index {sorted(dimensions)}.")


def vector_literal(vector: Vector) -> str:
    """The unit vector as pgvector's text form."""
    length = float(np.linalg.norm(vector))
    unit = vector / length if length > 0 else vector
    return "[" + ",".join(["%.5g"] * len(unit)) % tuple(unit.tolist()) + "]"


async def build_hnsw(engine: AsyncEngine, *, index_id: int, dimensions: int) -> None:
    """Build the HNSW of one index beside running searches and ingestion, then let searches use it.

    May be called again after a crash: what an interrupted build left is dropped first. Does nothing for vectors too
    wide for HNSW, and when somebody else is building it: a large one takes minutes.
    """
    if dimensions > WIDEST_HNSW:
        return
    async with engine.connect() as connection:
        outside = await connection.execution_options(isolation_level="AUTOCOMMIT")
        # Tried, never waited for: building an index beside others waits for everybody who waits.
        if not (await outside.execute(_CLAIM, {"id": index_id})).scalar_one():
            return
        try:
            await _build(outside, index_id=index_id, dimensions=dimensions)
        finally:
            await outside.execute(_GIVE_BACK, {"id": index_id})


async def _build(outside: AsyncConnection, *, index_id: int, dimensions: int) -> None:
    name = f"embeddings_hnsw_{int(index_id)}"
    if not (await outside.execute(_IS_BUILT, {"name": name})).scalar_one():
        build = f"USING hnsw ((embedding::halfvec({int(dimensions)})) halfvec_ip_ops)"
        if await has_own_table(outside, index_id):
            create = f"CREATE INDEX CONCURRENTLY {name} ON embeddings_{int(index_id)} {build}"
        else:
            create = f"CREATE INDEX CONCURRENTLY {name} ON embeddings_default {build} WHERE index_id = {int(index_id)}"
        memory = f"{await _build_memory_mb(outside, index_id)}MB"
        await outside.execute(_MEMORY, {"memory": memory})
        await outside.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {name}"))
        await outside.execute(text(create))
        await outside.execute(text("RESET maintenance_work_mem"))
    await outside.execute(text("UPDATE indexes SET has_hnsw = true WHERE id = :id"), {"id": index_id})


async def _build_memory_mb(connection: AsyncConnection, index_id: int) -> int:
    """Enough for the whole graph (else the build becomes many times slower), but at most a quarter of the machine.

    An element takes its vector of two bytes a number, room for 2 m + m neighbours on average, and its frame (hnsw.h).
    """
    found = (await connection.execute(_SIZE, {"id": index_id})).one()
    needed = found.passages * (2 * found.dimensions + _ELEMENT_BYTES) / 1_000_000
    most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 4_000_000
    return int(max(64, min(needed * 1.2, most)))


async def drop_hnsw(engine: AsyncEngine, *, index_id: int) -> None:
    """Go back to exact scans for one index, for example before the index is retired."""
    async with engine.connect() as connection:
        outside = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await outside.execute(text("UPDATE indexes SET has_hnsw = false WHERE id = :id"), {"id": index_id})
        await outside.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS embeddings_hnsw_{int(index_id)}"))


async def indexes_that_want_hnsw(connection: AsyncConnection) -> list[tuple[int, int]]:
    """(index id, dimensions) of active indexes that have grown past HNSW_FROM without an HNSW.

    One that is being filled waits until CALM_TIMES as much is searchable as is still to come: what is added to an
    HNSW costs several times what it costs to build one over it.
    """
    values = {"least": HNSW_FROM, "widest": WIDEST_HNSW, "times": CALM_TIMES}
    rows = await connection.execute(_WANTING, values)
    return [(row.id, row.dimensions) for row in rows]


async def orphaned_hnsw(connection: AsyncConnection) -> list[int]:
    """Ids whose HNSW is left although the index itself is gone."""
    return [int(row.id) for row in await connection.execute(_ORPHANED)]


def _hnsw_statement(target: Target, *, limit: int, filtered: bool) -> bytes:
    # The planner takes the partial index only for the literal expression and condition it was built with, and keeps a
    # plan only for a limit that it knows.
    width, index_id = int(target.dimensions), int(target.index_id or 0)
    return _completed(f"""
        SELECT e.knowledge_base_id, e.passage_id,
               e.embedding::halfvec({width}) <#> CAST(%(question)s AS halfvec({width})) AS distance
        FROM embeddings e
        WHERE e.index_id = {index_id} AND e.knowledge_base_id = ANY(CAST(%(kbs)s AS uuid[]))
              {passage_filter("e") if filtered else ""}
        ORDER BY e.embedding::halfvec({width}) <#> CAST(%(question)s AS halfvec({width})) LIMIT {int(limit)}
    """)  # noqa: S608 -- integers of our own and constants


def _exact_statement(condition: str) -> bytes:
    return _completed(f"""
        SELECT e.knowledge_base_id, e.passage_id, e.embedding <#> CAST(%(question)s AS halfvec) AS distance
        FROM embeddings e
        WHERE e.knowledge_base_id = ANY(CAST(%(kbs)s AS uuid[]))
              AND e.index_id = ANY(CAST(%(indexes)s AS bigint[])) {condition}
        ORDER BY distance, e.passage_id LIMIT %(limit)s
    """)  # noqa: S608 -- constants


def _completed(best: str) -> bytes:
    """The hits with their BM25."""
    return f"""
        WITH best AS MATERIALIZED ({best})
        SELECT b.passage_id, b.distance, (
            SELECT l.weights <#> CAST(%(sparse)s AS sparsevec) FROM lexical l
            WHERE l.knowledge_base_id = b.knowledge_base_id AND l.passage_id = b.passage_id) AS bm25_distance
        FROM best b
    """.encode()  # noqa: S608 -- constants of this file


_PLAIN = _exact_statement("")
_FILTERED = _exact_statement(passage_filter("e"))
_ORPHANED = text("""
    SELECT CAST(substr(c.relname, length('embeddings_hnsw_') + 1) AS bigint) AS id FROM pg_class c
    WHERE c.relkind = 'i' AND c.relname ~ '^embeddings_hnsw_[0-9]+$'
    AND NOT EXISTS (SELECT FROM indexes i WHERE 'embeddings_hnsw_' || i.id = c.relname)
""")
_CLAIM = text("SELECT pg_try_advisory_lock(hashtextextended('hnsw', CAST(:id AS bigint)))")
_GIVE_BACK = text("SELECT pg_advisory_unlock(hashtextextended('hnsw', CAST(:id AS bigint)))")
_IS_BUILT = text("SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass(:name) AND indisvalid)")
_MEMORY = text("SELECT set_config('maintenance_work_mem', :memory, false)")
_SIZE = text("""
    SELECT i.dimensions, coalesce(sum(t.passages), 0)::bigint AS passages FROM indexes i
    LEFT JOIN lexical_totals t ON t.knowledge_base_id = i.knowledge_base_id AND t.cutting_id = i.cutting_id
    WHERE i.id = :id GROUP BY i.dimensions
""")
_WANTING = text("""
    SELECT i.id, i.dimensions FROM indexes i
    JOIN lexical_totals t ON t.knowledge_base_id = i.knowledge_base_id AND t.cutting_id = i.cutting_id
    WHERE i.state = 'active' AND NOT i.has_hnsw AND i.dimensions <= :widest
    GROUP BY i.id, i.dimensions HAVING sum(t.passages) >= :least AND sum(t.passages) > :times * (
        SELECT count(*) FROM versions v
        WHERE v.knowledge_base_id = i.knowledge_base_id AND v.state IN ('queued', 'working'))
""")
