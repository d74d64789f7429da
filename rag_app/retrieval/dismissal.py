"""Removes an index that is not used any more, and its passages when no other index is about them."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from rag_app.database.engine import transaction
from rag_app.retrieval.dense import drop_hnsw
from rag_app.retrieval.partitions import drop_partition

AT_ONCE = 2_000

_INDEX = text("SELECT knowledge_base_id, cutting_id FROM indexes WHERE id = :id AND state = 'dropping'")
_SOME_VECTORS = text(
    "DELETE FROM embeddings WHERE index_id = :id AND knowledge_base_id = :kb AND passage_id IN (SELECT passage_id "
    "FROM embeddings WHERE index_id = :id AND knowledge_base_id = :kb LIMIT :most)"
)
_IS_SHARED = text(
    "SELECT EXISTS (SELECT FROM indexes WHERE knowledge_base_id = :kb AND cutting_id = :cutting AND id <> :id "
    "AND state <> 'dropping')"
)
_SOME_PASSAGES = text(
    "DELETE FROM passages WHERE knowledge_base_id = :kb AND cutting_id = :cutting AND id IN (SELECT id FROM passages "
    "WHERE knowledge_base_id = :kb AND cutting_id = :cutting LIMIT :most)"
)
_LOCK_BASE = text("SELECT id FROM knowledge_bases WHERE id = :kb FOR UPDATE")
_STATISTICS = (
    text("DELETE FROM lexical_deltas WHERE knowledge_base_id = :kb AND cutting_id = :cutting"),
    text("DELETE FROM lexical_counts WHERE knowledge_base_id = :kb AND cutting_id = :cutting"),
    text("DELETE FROM lexical_totals WHERE knowledge_base_id = :kb AND cutting_id = :cutting"),
)
_FORGET = text("DELETE FROM indexes WHERE id = :id AND state = 'dropping'")


async def dismiss(engine: AsyncEngine, index_id: int) -> None:
    """Remove an index in state dropping, in small steps beside searches. May be called again after a crash.

    Raises NotReady when its own table could not be taken away in a quiet moment.
    """
    async with transaction(engine) as session:
        row = (await session.execute(_INDEX, {"id": index_id})).one_or_none()
    if row is None:
        return
    keys = {"id": index_id, "kb": row.knowledge_base_id, "cutting": row.cutting_id}
    if not await drop_partition(engine, index_id=index_id):
        await drop_hnsw(engine, index_id=index_id)
        await _in_steps(engine, _SOME_VECTORS, keys)
    async with transaction(engine) as session:
        is_shared = (await session.execute(_IS_SHARED, keys)).scalar_one()
    if not is_shared:
        await _in_steps(engine, _SOME_PASSAGES, keys)
    async with transaction(engine) as session:
        await session.execute(_LOCK_BASE, keys)
        if not is_shared:
            for statement in _STATISTICS:
                await session.execute(statement, keys)
        await session.execute(_FORGET, keys)


async def _in_steps(engine: AsyncEngine, statement: Any, keys: dict[str, Any]) -> None:
    while True:
        async with transaction(engine) as session:
            done: Any = await session.execute(statement, {**keys, "most": AT_ONCE})
            if not done.rowcount:
                return
