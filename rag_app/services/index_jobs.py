"""The jobs around indexes: build them slice by slice, resume what lies, remove what is not used any more."""

from functools import partial

from sqlalchemy import text

from rag_app.errors import ProviderError
from rag_app.ingestion.build import build
from rag_app.ingestion.index_rows import Building
from rag_app.ingestion.workshop import Workshop
from rag_app.jobs.claims import ALIVE
from rag_app.jobs.queue import SILENT_S
from rag_app.retrieval.dismissal import dismiss
from rag_app.services.acceptance import PRIORITY_PAGES
from rag_app.services.context import Context
from rag_app.services.index_comparison import compare_by_itself
from rag_app.services.indexes import DROP_INDEX, REINDEX
from rag_app.telemetry import log

UNCLAIMED_S = 3.0
_EXPIRE = text(
    "UPDATE indexes SET state = 'dropping', attempt = attempt + 1, updated_at = now() "
    "WHERE state = 'retired' AND drop_at <= now()"
)
_TAKE_TURN = text("SELECT pg_try_advisory_xact_lock(hashtext('sweep indexes'))")
_ABANDONED = text(
    """
WITH live AS MATERIALIZED (
    SELECT j.task_name AS name, CAST(j.args->>'index_id' AS bigint) AS id
    FROM procrastinate_jobs j LEFT JOIN procrastinate_workers w ON w.id = j.worker_id
    WHERE j.task_name IN ('reindex', 'drop_index') AND (j.status = 'todo'
       OR (j.status = 'doing' AND w.last_heartbeat > now() - make_interval(secs => :silent_s)))
)
SELECT i.id, CASE i.state WHEN 'building' THEN 'reindex' ELSE 'drop_index' END AS name FROM indexes i
WHERE ((i.state = 'building' AND (i.phase IS DISTINCT FROM 'ready' OR i.auto_flip)
        AND (i.retry_at IS NULL OR i.retry_at <= now()) AND (i.claimed_by IS NULL OR NOT ALIVE))
    OR i.state = 'dropping')
  AND (i.updated_at < now() - make_interval(secs => :unclaimed_s) OR (i.claimed_by IS NOT NULL AND NOT ALIVE))
  AND NOT EXISTS (SELECT FROM live l WHERE l.id = i.id
                  AND l.name = CASE i.state WHEN 'building' THEN 'reindex' ELSE 'drop_index' END)
LIMIT 100
""".replace("ALIVE", ALIVE.format(column="i.claimed_by"))
)


async def build_index(context: Context, workshop: Workshop, index_id: int) -> None:
    """Job: one slice of the work on an index; the next one follows when other jobs had their turn."""
    if await build(workshop, index_id, partial(_compare, context)) == "more":
        await context.queue.defer(REINDEX, {"index_id": index_id}, priority=PRIORITY_PAGES)


async def _compare(context: Context, building: Building) -> None:
    """What a comparison cannot say must not keep an index from being used."""
    pair = (building.workspace_id, building.knowledge_base_id, building.active_id, building.id)
    try:
        await compare_by_itself(context, pair)
    except ProviderError as problem:
        log.warning("index_not_compared", index=building.id, code=problem.code)


async def remove_index(context: Context, index_id: int) -> None:
    """Job: remove what is not used any more. Raises NotReady when no quiet moment was found; it is tried again."""
    await dismiss(context.engine, index_id)
    log.info("index_removed", index=index_id)


async def sweep_indexes(context: Context) -> None:
    """Resume builds and removals that nobody is at, and let go of indexes that were kept long enough."""
    async with context.transaction() as session:
        if not (await session.execute(_TAKE_TURN)).scalar_one():
            return
        await session.execute(_EXPIRE)
        limits = {"silent_s": SILENT_S, "unclaimed_s": UNCLAIMED_S}
        for row in (await session.execute(_ABANDONED, limits)).all():
            name = REINDEX if row.name == REINDEX else DROP_INDEX
            await context.queue.defer(name, {"index_id": row.id}, session=session, priority=PRIORITY_PAGES)
            log.info("index_resumed", index=row.id, job=name)
