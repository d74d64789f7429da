"""A run over a source that says itself that nothing has changed: what the run before found is taken over at once."""

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.services.frontier import Run

# Only the very last run counts, and only if it saw everything and nobody has deleted a document of it since.
_STATE = text(
    """
SELECT r.robots->>'state' FROM source_runs r
WHERE r.id = (SELECT o.id FROM source_runs o WHERE o.source_id = :source AND o.id <> :run
              ORDER BY o.created_at DESC, o.id DESC LIMIT 1)
  AND r.status = 'done' AND r.failed = 0 AND r.held_back = 0 AND NOT r.has_gaps AND NOT r.is_truncated
  AND NOT EXISTS (
    SELECT 1 FROM source_pages p LEFT JOIN documents d
      ON d.knowledge_base_id = p.knowledge_base_id AND d.id = p.document_id AND d.deleted_at IS NULL
    WHERE p.source_id = :source AND p.status IN ('added', 'changed', 'unchanged') AND d.id IS NULL)
"""
)
_TAKE_OVER = text(
    """
WITH kept AS (
  UPDATE source_pages SET run_id = :run, is_visited = true, seen_at = now(),
         status = CASE WHEN status IN ('added', 'changed') THEN 'unchanged' ELSE status END
  WHERE source_id = :source AND status IN ('added', 'changed', 'unchanged', 'skipped', 'alias') RETURNING status)
UPDATE source_runs SET phase = 'retiring', outages = 0,
       found = (SELECT count(*) FROM kept), visited = (SELECT count(*) FROM kept),
       unchanged = (SELECT count(*) FROM kept WHERE status = 'unchanged'),
       skipped = (SELECT count(*) FROM kept WHERE status = 'skipped')
WHERE id = :run
"""
)


async def state_before(session: AsyncSession, run: Run) -> str:
    """The state of the source that the run before saw completely and that still holds; "" when there is none."""
    found = await session.execute(_STATE, {"source": run.source_id, "run": run.id})
    return found.scalar_one_or_none() or ""


async def take_over(session: AsyncSession, run: Run) -> None:
    """All pages of the run before are as they were."""
    await session.execute(_TAKE_OVER, {"source": run.source_id, "run": run.id})
