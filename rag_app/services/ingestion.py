"""The jobs around documents: read them, sweep up what was left lying, erase what was deleted, collect originals."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text

from rag_app.ingestion.pipeline import ingest
from rag_app.ingestion.store import remove_versions
from rag_app.ingestion.workshop import Workshop
from rag_app.jobs.claims import ALIVE
from rag_app.jobs.queue import SILENT_S
from rag_app.retrieval.dense import build_hnsw, drop_hnsw, indexes_that_want_hnsw, orphaned_hnsw
from rag_app.retrieval.partitions import drop_partition, orphaned_partitions
from rag_app.retrieval.statistics import knowledge_bases_with_deltas, merge_statistics, sort_in
from rag_app.services.acceptance import INGEST, PRIORITY_PAGES
from rag_app.services.context import Context
from rag_app.services.versions import forget_old_versions
from rag_app.telemetry import documents_total, log

SWEEP_LOCK = 0x5357_4545  # one sweeper at a time
ORIGINAL_GRACE_H = 1
SWEEP_BATCH = 500
UNCLAIMED_S = 3.0  # a job claims its versions within milliseconds

# What should be under way but is not: its worker has died, or its job was lost. Found and given back in one
# statement, so that what a worker has just taken stays with it.
_GIVE_BACK_ABANDONED = text(
    """
WITH live AS MATERIALIZED (
    SELECT CAST(jsonb_array_elements_text(j.args->'versions') AS uuid) AS id
    FROM procrastinate_jobs j LEFT JOIN procrastinate_workers w ON w.id = j.worker_id
    WHERE j.task_name = 'ingest' AND (j.status = 'todo'
       OR (j.status = 'doing' AND w.last_heartbeat > now() - make_interval(secs => :silent_s)))
), abandoned AS MATERIALIZED (
    SELECT v.knowledge_base_id, v.id FROM versions v
    JOIN documents d ON d.knowledge_base_id = v.knowledge_base_id AND d.id = v.document_id AND d.deleted_at IS NULL
    WHERE (v.state = 'working' AND (v.claimed_by IS NULL OR NOT ALIVE))
       OR (v.state = 'queued' AND v.updated_at < now() - make_interval(secs => :unclaimed_s)
           AND v.id NOT IN (SELECT id FROM live))
    ORDER BY v.created_at LIMIT :most FOR UPDATE OF v SKIP LOCKED
)
UPDATE versions v SET state = 'queued', claimed_by = NULL, updated_at = now() FROM abandoned a
WHERE v.knowledge_base_id = a.knowledge_base_id AND v.id = a.id
RETURNING v.knowledge_base_id, v.id
""".replace("ALIVE", ALIVE.format(column="v.claimed_by"))
)
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:lock)")
_VERSIONS_OF = text("SELECT id FROM versions WHERE knowledge_base_id = :kb AND document_id = :document")
_DELETED_MEMBERS = text(
    "SELECT id FROM documents WHERE knowledge_base_id = :kb AND parent_id = :document AND deleted_at IS NOT NULL"
)
_DROP_DOCUMENT = text(
    "DELETE FROM documents WHERE knowledge_base_id = :kb AND id = :document AND deleted_at IS NOT NULL"
)
_DELETED = text("SELECT knowledge_base_id, id FROM documents WHERE deleted_at < now() - interval '1 minute' LIMIT 500")
_OUTDATED = text(
    "DELETE FROM message_events WHERE at < now() - interval '1 day'; "
    "DELETE FROM idempotency_records WHERE created_at < now() - interval '1 day'; "
    "DELETE FROM sign_in_attempts WHERE at < now() - interval '1 day'; "
    "DELETE FROM sessions WHERE expires_at < now() - interval '7 days'; "
    "DELETE FROM tasks WHERE finished_at < now() - interval '30 days'"
)
_ORPHANS = text(
    "SELECT key FROM unnest(CAST(:keys AS text[])) AS key "
    "WHERE NOT EXISTS (SELECT 1 FROM versions v WHERE v.original_key = key)"
)


async def ingest_versions(
    context: Context, workshop: Workshop, knowledge_base_id: UUID, versions: Sequence[UUID], *, waits: int = 0
) -> None:
    """Job: bring versions to their end; those that must wait come back later, and later each time."""
    outcome = await ingest(workshop, knowledge_base_id, versions, waits=waits)
    documents_total.labels("ready").inc(outcome.ready)
    documents_total.labels("failed").inc(outcome.failed)
    if outcome.waiting:
        arguments = {
            "knowledge_base_id": str(knowledge_base_id),
            "versions": [str(each) for each in outcome.waiting],
            "waits": waits + 1,
        }
        await context.queue.defer(INGEST, arguments, priority=PRIORITY_PAGES, after_s=outcome.wait_s)


async def sweep(context: Context) -> int:
    """Give work that nobody is at back to the queue; the number of versions."""
    count = 0
    async with context.transaction() as session:
        if not (await session.execute(_TRY_LOCK, {"lock": SWEEP_LOCK})).scalar_one():
            return 0
        limits = {"most": SWEEP_BATCH, "unclaimed_s": UNCLAIMED_S, "silent_s": SILENT_S}
        for row in (await session.execute(_GIVE_BACK_ABANDONED, limits)).all():
            arguments = {"knowledge_base_id": str(row.knowledge_base_id), "versions": [str(row.id)]}
            await context.queue.defer(INGEST, arguments, session=session, priority=PRIORITY_PAGES)
            count += 1
    if count:
        log.warning("work_resumed", versions=count)
    await context.queue.requeue_stalled()
    return count


async def erase_document(context: Context, knowledge_base_id: UUID, document_id: UUID) -> None:
    """Job: remove a deleted document with all it left in the tables, after those that were unpacked from it.

    Their originals are collected later.
    """
    async with context.transaction() as session:
        keys = {"kb": knowledge_base_id, "document": document_id}
        members = list((await session.execute(_DELETED_MEMBERS, keys)).scalars())
    for each in (*members, document_id):
        await _erase(context, knowledge_base_id, each)


async def _erase(context: Context, knowledge_base_id: UUID, document_id: UUID) -> None:
    keys = {"kb": knowledge_base_id, "document": document_id}
    async with context.transaction() as session:
        versions = list((await session.execute(_VERSIONS_OF, keys)).scalars())
        await remove_versions(await session.connection(), knowledge_base_id, versions)
        await session.execute(_DROP_DOCUMENT, keys)


async def collect(context: Context) -> None:
    """Job: erase what was missed, forget what is outdated, and delete originals that nothing refers to."""
    async with context.transaction() as session:
        deleted = [(row.knowledge_base_id, row.id) for row in await session.execute(_DELETED)]
    for knowledge_base_id, document_id in deleted:
        await erase_document(context, knowledge_base_id, document_id)
    async with context.transaction() as session:
        for statement in str(_OUTDATED).split(";"):
            await session.execute(text(statement))
    await forget_old_versions(context)
    removed = 0
    async for keys in context.files.older_than(ORIGINAL_GRACE_H * 3600):
        async with context.transaction() as session:
            orphans = list((await session.execute(_ORPHANS, {"keys": keys})).scalars())
        for key in orphans:
            removed += await context.files.delete_old(key, ORIGINAL_GRACE_H * 3600)
    log.info("collected", documents=len(deleted), originals=removed)


async def tend_vector_indexes(context: Context) -> None:
    """Job: build an HNSW where a knowledge base has grown large, and drop those of deleted ones."""
    async with context.transaction() as session:
        connection = await session.connection()
        wanted, orphaned = await indexes_that_want_hnsw(connection), await orphaned_hnsw(connection)
        tables = await orphaned_partitions(connection)
    for index_id in tables:
        await drop_partition(context.engine, index_id=index_id)
    for index_id in orphaned:
        await drop_hnsw(context.engine, index_id=index_id)
    for index_id, dimensions in wanted:
        await build_hnsw(context.engine, index_id=index_id, dimensions=dimensions)
        log.info("vector_index_built", index=index_id)


async def merge_all_statistics(context: Context) -> None:
    """Job: fold the changes of the lexical statistics into their totals."""
    async with context.transaction() as session:
        waiting = await knowledge_bases_with_deltas(await session.connection())
    for knowledge_base_id in waiting:
        async with context.transaction() as session:
            await merge_statistics(await session.connection(), knowledge_base_id)
    if waiting:
        async with context.transaction() as session:
            await sort_in(await session.connection())
