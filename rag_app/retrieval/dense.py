"""The dense leg: an exact scan of small indexes, HNSW for large ones."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from rag_app.errors import InvalidInput
from rag_app.retrieval.filters import filter_values, passage_filter
from rag_app.retrieval.lexical import Hit
from rag_app.retrieval.scope import Scope, Target

HNSW_FROM = 10_000
"""Passages in an index from which `build_hnsw` pays: below, an exact scan is quick and misses nothing."""
WIDEST_HNSW = 4_000
EF_SEARCH = 200

Vector: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]


async def search_dense(
    connection: AsyncConnection, vector: Vector, targets: Sequence[Target], scope: Scope, *, limit: int
) -> list[Hit]:
    """The best `limit` passages by cosine similarity, over the active indexes of the targets.

    Raises InvalidInput when the vector has another dimension than the index.
    """
    dimensions = {target.dimensions for target in targets}
    if dimensions != {len(vector)}:
        raise InvalidInput(f"The question has {len(vector)} dimensions, the index {sorted(dimensions)}.")
    values = {
        "kbs": [target.knowledge_base_id for target in targets],
        "indexes": [target.index_id for target in targets],
        "question": vector_literal(vector),
        "limit": limit,
    }
    if len(targets) == 1 and targets[0].has_hnsw:
        await connection.execute(_EF_SEARCH, {"value": str(max(EF_SEARCH, min(limit * 2, 1000)))})
        statement = _hnsw_statement(targets[0], filtered=bool(scope.filter))
    else:
        statement = _FILTERED if scope.filter else _PLAIN
    rows = await connection.execute(statement, values | filter_values(scope))
    return [Hit(row.passage_id, -row.distance) for row in rows]


def vector_literal(vector: Vector) -> str:
    """The unit vector as pgvector's text form."""
    length = float(np.linalg.norm(vector))
    unit = vector / length if length > 0 else vector
    return "[" + ",".join(f"{value:.5g}" for value in unit.tolist()) + "]"


async def build_hnsw(engine: AsyncEngine, *, index_id: int, dimensions: int) -> None:
    """Build the HNSW of one index beside running searches and ingestion, then let searches use it.

    May be called again after a crash: what an interrupted build left is dropped first. Does nothing for vectors too
    wide for HNSW.
    """
    if dimensions > WIDEST_HNSW:
        return
    name = f"embeddings_hnsw_{int(index_id)}"
    async with engine.connect() as connection:
        outside = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await outside.execute(text("SET maintenance_work_mem = '256MB'"))
        await outside.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {name}"))
        await outside.execute(
            text(
                f"CREATE INDEX CONCURRENTLY {name} ON embeddings_default USING hnsw "
                f"((embedding::halfvec({int(dimensions)})) halfvec_ip_ops) WHERE index_id = {int(index_id)}"
            )
        )
        await outside.execute(text("RESET maintenance_work_mem"))
        await outside.execute(text("UPDATE indexes SET has_hnsw = true WHERE id = :id"), {"id": index_id})


async def drop_hnsw(engine: AsyncEngine, *, index_id: int) -> None:
    """Go back to exact scans for one index, for example before the index is retired."""
    async with engine.connect() as connection:
        outside = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await outside.execute(text("UPDATE indexes SET has_hnsw = false WHERE id = :id"), {"id": index_id})
        await outside.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS embeddings_hnsw_{int(index_id)}"))


async def indexes_that_want_hnsw(connection: AsyncConnection) -> list[tuple[int, int]]:
    """(index id, dimensions) of active indexes that have grown past HNSW_FROM without an HNSW."""
    rows = await connection.execute(_WANTING, {"least": HNSW_FROM, "widest": WIDEST_HNSW})
    return [(row.id, row.dimensions) for row in rows]


async def orphaned_hnsw(connection: AsyncConnection) -> list[int]:
    """Ids whose HNSW is left although the index itself is gone."""
    return [int(row.id) for row in await connection.execute(_ORPHANED)]


def _hnsw_statement(target: Target, *, filtered: bool) -> Any:
    # The planner takes the partial index only for the literal expression and condition it was built with.
    width, index_id = int(target.dimensions), int(target.index_id or 0)
    condition = passage_filter("e") if filtered else ""
    return text(f"""
        SELECT e.passage_id,
               e.embedding::halfvec({width}) <#> CAST(:question AS halfvec({width})) AS distance
        FROM embeddings e
        WHERE e.index_id = {index_id} AND e.knowledge_base_id = ANY(CAST(:kbs AS uuid[])) {condition}
        ORDER BY e.embedding::halfvec({width}) <#> CAST(:question AS halfvec({width})) LIMIT :limit
    """)  # noqa: S608 -- two integers of our own and constants


_SEARCH = """
    SELECT e.passage_id, e.embedding <#> CAST(:question AS halfvec) AS distance
    FROM embeddings e
    WHERE e.knowledge_base_id = ANY(CAST(:kbs AS uuid[])) AND e.index_id = ANY(CAST(:indexes AS bigint[])) {filter}
    ORDER BY distance, e.passage_id LIMIT :limit
"""
_PLAIN = text(_SEARCH.format(filter=""))
_FILTERED = text(_SEARCH.format(filter=passage_filter("e")))
_EF_SEARCH = text("SELECT set_config('hnsw.ef_search', :value, false)")
_ORPHANED = text("""
    SELECT CAST(substr(c.relname, length('embeddings_hnsw_') + 1) AS bigint) AS id FROM pg_class c
    WHERE c.relkind = 'i' AND c.relname ~ '^embeddings_hnsw_[0-9]+$'
    AND NOT EXISTS (SELECT FROM indexes i WHERE 'embeddings_hnsw_' || i.id = c.relname)
""")
_WANTING = text("""
    SELECT i.id, i.dimensions FROM indexes i JOIN lexical_totals t ON t.knowledge_base_id = i.knowledge_base_id
    WHERE i.state = 'active' AND NOT i.has_hnsw AND i.dimensions <= :widest
    GROUP BY i.id, i.dimensions HAVING sum(t.passages) >= :least
""")
