"""The end of a run: documents of pages that vanished are removed, unless that would be suspiciously many."""

from uuid import UUID

from sqlalchemy import text

from rag_app.services import frontier
from rag_app.services.context import Context
from rag_app.services.documents import remove_document
from rag_app.services.frontier import Run
from rag_app.telemetry import log

BATCH = 20
# A run that would remove so many, and more than so large a share, keeps them until a person says that it is right.
SUSPICIOUS = 20
SUSPICIOUS_SHARE = 0.5

_LIVE = """source_pages p JOIN documents d ON d.knowledge_base_id = p.knowledge_base_id AND d.id = p.document_id
    AND d.deleted_at IS NULL WHERE p.source_id = :source"""
# Said by the site itself; or, when a run has seen everything, no longer reached from anywhere; or given only by an
# address that the source had before (no run has met it since), once the new one has given something.
_VANISHED = """((p.run_id = :run AND p.status IN ('gone', 'skipped', 'alias'))
    OR (p.run_id IS DISTINCT FROM :run AND EXISTS (SELECT 1 FROM source_runs r WHERE r.id = :run
        AND :kind <> 'feed' AND NOT r.is_truncated AND NOT r.has_gaps AND p.run_id IS NOT NULL))
    OR (p.run_id IS NULL AND EXISTS (SELECT 1 FROM source_runs r WHERE r.id = :run
        AND (:kind <> 'website' OR NOT r.has_gaps) AND r.added + r.changed + r.unchanged > 0)))"""
_COUNT = text(
    # Who gave the source another address has said already that what the old one gave may go.
    f"SELECT count(*) AS live, count(*) FILTER (WHERE {_VANISHED}) AS vanished FROM {_LIVE} AND p.run_id IS NOT NULL"  # noqa: S608 - constants
)
_NEXT = text(
    f"""
SELECT p.id, p.document_id, p.status, d.title, NOT EXISTS (
    SELECT 1 FROM source_pages o WHERE o.knowledge_base_id = p.knowledge_base_id AND o.document_id = p.document_id
    AND o.id <> p.id AND o.status <> 'removed') AS is_last
FROM {_LIVE} AND {_VANISHED} ORDER BY p.id LIMIT {BATCH} FOR UPDATE OF p"""  # noqa: S608 - constants
)
_FORGET = text(
    "UPDATE source_pages SET status = CASE WHEN status = 'alias' THEN status ELSE 'removed' END, document_id = NULL, "
    "last_title = :title, run_id = :run, is_visited = true, content_hash = NULL, etag = '', last_modified = '', "
    "changed_at = now() "
    "WHERE id = :id"
)
_REMOVED = text("UPDATE source_runs SET removed = removed + :count, phase = 'retiring' WHERE id = :run")
_HELD_BACK = text("UPDATE source_runs SET held_back = :count WHERE id = :run")
_FINISH = text(
    "UPDATE source_runs SET status = CAST(:status AS text), "
    "progress = CASE WHEN CAST(:status AS text) = 'done' THEN 1 ELSE progress END, "
    "error_code = :code, error_message = :message, claimed_by = NULL, finished_at = now() "
    "WHERE id = :run RETURNING task_id, added, changed, unchanged, removed, failed, skipped, held_back"
)
_FINISH_TASK = text(
    "UPDATE tasks SET status = CAST(:status AS text), "
    "progress = CASE WHEN CAST(:status AS text) = 'done' THEN 1 ELSE progress END, "
    "error_code = :code, error_message = :message, finished_at = now(), "
    "result = jsonb_build_object('added', CAST(:added AS int), 'changed', CAST(:changed AS int), "
    "'unchanged', CAST(:unchanged AS int), 'removed', CAST(:removed AS int), 'failed', CAST(:failed AS int)) "
    "WHERE id = :task"
)


async def should_hold_back(context: Context, run: Run) -> bool:
    """Whether so much has vanished that a mistake of the site is likelier; the run then says how many were kept."""
    async with context.transaction() as session:
        values = {"source": run.source_id, "run": run.id, "kind": run.kind}
        row = (await session.execute(_COUNT, values)).one()
        is_many = row.vanished > SUSPICIOUS and row.vanished > SUSPICIOUS_SHARE * row.live
        if not is_many or run.may_retire_many or run.kind == "page":
            return False
        if await frontier.hold(session, run):
            await session.execute(_HELD_BACK, {"run": run.id, "count": row.vanished})
    return True


async def retire(context: Context, run: Run) -> int:
    """Remove the documents of some vanished pages; how many pages, 0 when none is left or the run is not ours."""
    async with context.transaction() as session:
        if not await frontier.hold(session, run):
            return 0
        values = {"source": run.source_id, "run": run.id, "kind": run.kind}
        pages = (await session.execute(_NEXT, values)).all()
        removed = 0
        for page in sorted(pages, key=lambda each: UUID(str(each.document_id))):
            if page.is_last:
                await remove_document(context, session, run.knowledge_base_id, document_id=page.document_id)
            removed += page.status != "alias"
            await session.execute(_FORGET, {"id": page.id, "run": run.id, "title": page.title})
        await session.execute(_REMOVED, {"run": run.id, "count": removed})
    return len(pages)


async def finish_run(
    context: Context, run: Run, *, status: str, code: str | None = None, message: str | None = None
) -> None:
    """Close the run, if it is still ours."""
    async with context.transaction() as session:
        if not await frontier.hold(session, run):
            return
        ended = {"status": status, "code": code, "message": message}
        row = (await session.execute(_FINISH, {**ended, "run": run.id})).mappings().one()
        await session.execute(_FINISH_TASK, {**ended, **row, "task": row["task_id"]})
    figures = {name: value for name, value in row.items() if name != "task_id"}
    log.info("run_ended", run=run.id, status=status, code=code or "", **figures)
