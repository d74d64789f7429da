"""Makes a complete index the one that is searched: one transaction, with everything counted under its locks."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from rag_app.database.engine import transaction
from rag_app.errors import RagError
from rag_app.ingestion.index_rows import Building, is_mine
from rag_app.telemetry import log

# In the order of a publication: documents, then the knowledge base, then indexes.
_LOCK_DOCUMENTS = text("SELECT id FROM documents WHERE knowledge_base_id = :kb ORDER BY id FOR NO KEY UPDATE")
_LOCK_BASE = text("SELECT active_index_id FROM knowledge_bases WHERE id = :kb FOR NO KEY UPDATE")
MISSING_VERSIONS = """
FROM documents d JOIN versions v ON v.knowledge_base_id = d.knowledge_base_id AND v.id = d.active_version_id
WHERE d.knowledge_base_id = :kb AND d.deleted_at IS NULL AND v.passage_count > 0
  AND NOT EXISTS (SELECT FROM passages p WHERE p.knowledge_base_id = d.knowledge_base_id AND p.version_id = v.id
                  AND p.cutting_id = :cutting)
"""
"""Versions that have no passages in a cutting yet."""
MISSING_VECTORS = """
FROM passages p WHERE p.knowledge_base_id = :kb AND p.cutting_id = :cutting
  AND NOT EXISTS (SELECT FROM embeddings e WHERE e.knowledge_base_id = p.knowledge_base_id AND e.passage_id = p.id
                  AND e.index_id = :id)
"""
"""Passages of a cutting that an index has no vector of yet."""
_COUNTS = text(
    f"""
SELECT (SELECT count(*) {MISSING_VERSIONS} AND v.id <> ALL(:empty)) AS missing_versions,
       (SELECT count(*) {MISSING_VECTORS}) AS missing_vectors,
       (SELECT count(*) FROM passages p WHERE p.knowledge_base_id = :kb AND p.cutting_id = :cutting) AS passages,
       (SELECT count(*) FROM lexical l WHERE l.knowledge_base_id = :kb AND l.cutting_id = :cutting) AS lexical,
       (SELECT count(*) FROM embeddings e WHERE e.knowledge_base_id = :kb AND e.index_id = :id) AS vectors,
       (SELECT count(*) FROM embeddings e WHERE e.knowledge_base_id = :kb AND e.index_id = :id
            AND vector_dims(e.embedding) <> :dimensions) AS odd_vectors,
       (SELECT count(*) FROM passages p JOIN documents d USING (knowledge_base_id)
        WHERE p.knowledge_base_id = :kb AND p.cutting_id = :cutting AND d.id = p.document_id
            AND d.active_version_id IS DISTINCT FROM p.version_id) AS outdated,
       (SELECT coalesce(sum(passages), 0)::bigint FROM (
            SELECT passages FROM lexical_totals WHERE knowledge_base_id = :kb AND cutting_id = :cutting UNION ALL
            SELECT passages FROM lexical_deltas WHERE knowledge_base_id = :kb AND cutting_id = :cutting
        ) AS every) AS counted
"""  # noqa: S608 -- constants of this file
)
_RETIRE = text(
    "UPDATE indexes o SET state = 'retired', retired_at = now(), updated_at = now(), "
    "drop_at = now() + make_interval(days => n.keep_days) FROM indexes n WHERE o.id = :active AND n.id = :id"
)
_ACTIVATE = text(
    "UPDATE indexes SET state = 'active', phase = NULL, activated_at = now(), retired_at = NULL, drop_at = NULL, "
    "claimed_by = NULL, pausing_until = NULL, retry_at = NULL, left_s = NULL, problem_code = NULL, "
    "problem_message = NULL, updated_at = now() WHERE id = :id"
)
_POINT = text("UPDATE knowledge_bases SET active_index_id = :id WHERE id = :kb")
_RECOUNT = text(
    """
UPDATE versions v SET passage_count = counted.passages
FROM (SELECT d.active_version_id AS id, count(p.id)::integer AS passages
      FROM documents d LEFT JOIN passages p ON p.knowledge_base_id = d.knowledge_base_id
           AND p.version_id = d.active_version_id AND p.cutting_id = :cutting
      WHERE d.knowledge_base_id = :kb AND d.active_version_id IS NOT NULL GROUP BY d.active_version_id) AS counted
WHERE v.knowledge_base_id = :kb AND v.id = counted.id AND v.passage_count <> counted.passages
"""
)
_TASK_DONE = text(
    "UPDATE tasks SET status = 'done', phase = NULL, progress = 1, finished_at = now(), error_code = NULL, "
    "error_message = NULL, result = result || jsonb_build_object('index_id', CAST(:id AS bigint), 'passages', "
    "CAST(:passages AS bigint), 'took_the_place_of', CAST(:active AS bigint)) WHERE id = :task"
)


async def flip(engine: AsyncEngine, building: Building, empty: Collection[UUID]) -> bool:
    """Search the new index from now on; False when documents have changed and must be caught up with first.

    `empty` are versions that this attempt found to have nothing to search in the new cutting. Searches under way end
    on the index they began with. Raises RagError when a count is wrong: then the old one stays in use.
    """
    keys = {"kb": building.knowledge_base_id, "cutting": building.cutting.id, "id": building.id}
    async with transaction(engine) as session:
        connection = await session.connection()
        if building.cuts_anew:
            await connection.execute(_LOCK_DOCUMENTS, {"kb": building.knowledge_base_id})
        active = (await connection.execute(_LOCK_BASE, {"kb": building.knowledge_base_id})).scalar_one_or_none()
        if active != building.active_id or not await is_mine(connection, building):
            return False
        counts = await _counts(connection, building, empty)
        if counts["missing_versions"] or counts["missing_vectors"]:
            return False
        _check(counts)
        await connection.execute(_RETIRE, {"active": active, "id": building.id})
        await connection.execute(_ACTIVATE, {"id": building.id})
        await connection.execute(_POINT, keys)
        if building.cuts_anew:
            await connection.execute(_RECOUNT, keys)
        done = {"id": building.id, "passages": counts["passages"], "active": active, "task": building.task_id}
        await connection.execute(_TASK_DONE, done)
    log.info("index_flipped", index=building.id, instead_of=active, passages=counts["passages"])
    return True


async def _counts(connection: AsyncConnection, building: Building, empty: Collection[UUID]) -> dict[str, int]:
    keys = {"kb": building.knowledge_base_id, "cutting": building.cutting.id, "id": building.id}
    values: dict[str, Any] = {**keys, "empty": list(empty), "dimensions": building.dimensions}
    return dict((await connection.execute(_COUNTS, values)).mappings().one())


def _check(counts: dict[str, int]) -> None:
    passages = counts["passages"]
    wrong = [name for name in ("lexical", "vectors", "counted") if counts[name] != passages]
    wrong += [name for name in ("odd_vectors", "outdated") if counts[name]]
    if wrong:
        said = ", ".join(f"{name} {counts[name]}" for name in wrong)
        raise RagError(f"The new index is not what it should be ({said} with {passages} passages).")
