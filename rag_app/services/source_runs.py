"""Runs of sources: start, stop, list, and the two chores that keep them going: schedules and lost jobs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.columns import now
from rag_app.database.sources import SourceRun
from rag_app.database.work import Task
from rag_app.errors import Busy, Cancelled, Conflict, InvalidInput, NotFound
from rag_app.jobs.cadence import due_after
from rag_app.jobs.claims import ALIVE
from rag_app.jobs.queue import SILENT_S
from rag_app.services.acceptance import PRIORITY_PAGES
from rag_app.services.audit import record
from rag_app.services.context import Context
from rag_app.services.knowledge import VISIBLE, visibility
from rag_app.services.paging import Page, PageRequest, page_of
from rag_app.services.permissions import Actor, permit
from rag_app.telemetry import log

CRAWL = "crawl"
SWEEP_LOCK = 0x5255_4E53  # one at a time looks after the runs
UNCLAIMED_S = 3.0
MOST_DUE = 100
COUNTS = ("found", "visited", "added", "changed", "unchanged", "removed", "failed", "skipped", "held_back")
RUN_COLUMNS = (
    "r.id AS run_id, r.source_id AS run_source_id, r.task_id, r.status AS run_status, r.phase, r.progress, r.scope, "
    "r.is_truncated, r.has_gaps, r.error_code, r.error_message, r.created_at AS run_created_at, r.started_at, "
    "r.finished_at, " + ", ".join(f"r.{name}" for name in COUNTS)
)
_CARDS = f"""
SELECT {RUN_COLUMNS} FROM source_runs r JOIN knowledge_bases k ON k.id = r.knowledge_base_id WHERE {VISIBLE}
"""  # noqa: S608 - made of constants
_LIST = text(
    _CARDS
    + """ AND r.source_id = :source
AND (CAST(:moment AS timestamptz) IS NULL OR (r.created_at, r.id) < (:moment, :identity))
ORDER BY r.created_at DESC, r.id DESC LIMIT :limit"""
)
_ONE = text(_CARDS + " AND r.id = :id")
_SOURCE_OF_ACTOR = f"""
SELECT s.id, s.knowledge_base_id FROM sources s JOIN knowledge_bases k ON k.id = s.knowledge_base_id
WHERE {VISIBLE} AND s.id = :id
"""  # noqa: S608 - made of constants
_SOURCE = text(_SOURCE_OF_ACTOR)
_LOCK_SOURCE = text(_SOURCE_OF_ACTOR + " FOR UPDATE OF s")
_DUE = text(
    "SELECT id, workspace_id, knowledge_base_id, schedule, next_run_at, created_by FROM sources "
    "WHERE state = 'active' AND next_run_at <= now() ORDER BY next_run_at LIMIT :most FOR UPDATE SKIP LOCKED"
)
_NEXT = text("UPDATE sources SET next_run_at = :moment WHERE id = :id")
_IS_RUNNING = text(
    "SELECT EXISTS (SELECT 1 FROM source_runs WHERE source_id = :id AND status IN ('queued', 'running'))"
)
_STOP = text(
    "UPDATE source_runs SET status = 'cancelled', claimed_by = NULL, attempt = attempt + 1, finished_at = now(), "
    "error_code = :code, error_message = :message WHERE source_id = :id AND status IN ('queued', 'running') "
    "RETURNING id, task_id"
)
_STOP_TASK = text(
    "UPDATE tasks SET status = 'cancelled', error_code = :code, error_message = :message, finished_at = now() "
    "WHERE id = :id"
)
_SOURCE_OF_TASK = text("SELECT source_id FROM source_runs WHERE task_id = :task AND status IN ('queued', 'running')")
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:lock)")
_LOST = text(
    """
SELECT r.id FROM source_runs r
WHERE r.status IN ('queued', 'running') AND r.created_at < now() - make_interval(secs => :unclaimed_s)
  AND (r.claimed_by IS NULL OR NOT ALIVE)
  AND NOT EXISTS (
    SELECT 1 FROM procrastinate_jobs j LEFT JOIN procrastinate_workers w ON w.id = j.worker_id
    WHERE j.task_name = 'crawl' AND j.args->>'run_id' = CAST(r.id AS text) AND (j.status = 'todo'
       OR (j.status = 'doing' AND w.last_heartbeat > now() - make_interval(secs => :silent_s))))
FOR UPDATE OF r SKIP LOCKED
""".replace("ALIVE", ALIVE.format(column="r.claimed_by"))
)


@dataclass(frozen=True, slots=True)
class RunError:
    """Why a run failed."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class RunCard:
    """What people see of a run. `is_complete` = everything was seen, so what was not reached has been removed."""

    id: UUID
    source_id: UUID
    task_id: UUID | None
    status: str
    phase: str
    progress: float
    prefix: str
    is_complete: bool
    found: int
    visited: int
    added: int
    changed: int
    unchanged: int
    removed: int
    failed: int
    skipped: int
    held_back: int
    error: RunError | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


def run_card(row: Mapping[Any, Any]) -> RunCard:
    """A run from a row with RUN_COLUMNS."""
    error = RunError(row["error_code"], row["error_message"] or "") if row["error_code"] else None
    return RunCard(
        id=row["run_id"],
        source_id=row["run_source_id"],
        task_id=row["task_id"],
        status=row["run_status"],
        phase=row["phase"],
        progress=row["progress"],
        prefix="".join([*(row["scope"] or {}).get("hosts", [])[:1], (row["scope"] or {}).get("prefix", "")]),
        is_complete=row["run_status"] == "done" and not row["is_truncated"] and not row["has_gaps"],
        **{name: row[name] for name in COUNTS},
        error=error,
        created_at=row["run_created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )


async def start_run(context: Context, actor: Actor, source_id: UUID, *, may_retire_many: bool = False) -> RunCard:
    """Start a run now. Raises NotFound, and Busy while one is under way."""
    permit(actor, "document.add")
    try:
        async with context.transaction() as session:
            source = (await session.execute(_LOCK_SOURCE, {**visibility(actor), "id": source_id})).one_or_none()
            if source is None:
                raise NotFound("There is no such source, or it is not yours.")
            run = await _create(
                context,
                session,
                SourceRun(
                    workspace_id=actor.workspace_id,
                    knowledge_base_id=source.knowledge_base_id,
                    source_id=source_id,
                    may_retire_many=may_retire_many,
                ),
                created_by=actor.user_id,
            )
            record(session, actor, "source_run_started", source_id)
    except IntegrityError as problem:
        raise Busy("This source is being read already.") from problem
    return await get_run(context, actor, run.id)


async def _create(context: Context, session: AsyncSession, run: SourceRun, *, created_by: UUID | None) -> SourceRun:
    task = Task(
        workspace_id=run.workspace_id, kind="crawl", knowledge_base_id=run.knowledge_base_id, created_by=created_by
    )
    session.add(task)
    await session.flush()
    run.task_id = task.id
    session.add(run)
    await session.flush()
    await defer_run(context, session, run.id)
    return run


async def defer_run(context: Context, session: AsyncSession, run_id: UUID, *, after_s: int = 0) -> None:
    """Queue a run, behind everything that a person waits for."""
    arguments = {"run_id": str(run_id)}
    await context.queue.defer(CRAWL, arguments, session=session, priority=PRIORITY_PAGES, after_s=after_s)


async def get_run(context: Context, actor: Actor, run_id: UUID) -> RunCard:
    """One run. Raises NotFound."""
    permit(actor, "document.read")
    async with context.transaction() as session:
        row = (await session.execute(_ONE, {**visibility(actor), "id": run_id})).mappings().one_or_none()
    if row is None:
        raise NotFound("There is no such run, or it is not yours.")
    return run_card(row)


async def list_runs(context: Context, actor: Actor, source_id: UUID, page: PageRequest) -> Page[RunCard]:
    """The runs of a source, newest first. Raises NotFound."""
    permit(actor, "document.read")
    moment, identity = page.place()
    values = {**visibility(actor), "source": source_id, "moment": moment, "identity": identity}
    async with context.transaction() as session:
        if (await session.execute(_SOURCE, {**visibility(actor), "id": source_id})).one_or_none() is None:
            raise NotFound("There is no such source, or it is not yours.")
        found = await session.execute(_LIST, {**values, "limit": page.limit + 1})
        cards = [run_card(row) for row in found.mappings()]
    return page_of(cards, page.limit, lambda card: (card.created_at, card.id))


async def stop_run(context: Context, actor: Actor, source_id: UUID) -> RunCard:
    """Stop the run that is under way; what it has read stays. Raises NotFound, and Conflict when there is none."""
    permit(actor, "document.add")
    reason = {"code": Cancelled.code, "message": Cancelled().message}
    async with context.transaction() as session:
        if (await session.execute(_SOURCE, {**visibility(actor), "id": source_id})).one_or_none() is None:
            raise NotFound("There is no such source, or it is not yours.")
        stopped = (await session.execute(_STOP, {"id": source_id, **reason})).one_or_none()
        if stopped is None:
            raise Conflict("This source is not being read.")
        await session.execute(_STOP_TASK, {"id": stopped.task_id, **reason})
    return await get_run(context, actor, stopped.id)


async def stop_run_of_task(context: Context, task_id: UUID) -> None:
    """Stop the run behind a task. Raises Conflict when it has ended."""
    reason = {"code": Cancelled.code, "message": Cancelled().message}
    async with context.transaction() as session:
        source = (await session.execute(_SOURCE_OF_TASK, {"task": task_id})).scalar_one_or_none()
        stopped = (await session.execute(_STOP, {"id": source, **reason})).one_or_none()
        if stopped is None:
            raise Conflict("This task has already ended.")
        await session.execute(_STOP_TASK, {"id": stopped.task_id, **reason})


async def fire_due(context: Context) -> int:
    """Job: start a run of each source whose moment has come; how many. Missed moments count as one."""
    started = 0
    async with context.transaction() as session:
        for source in (await session.execute(_DUE, {"most": MOST_DUE})).all():
            try:
                moment = due_after(source.schedule, now(), since=source.next_run_at)
            except InvalidInput:  # a time zone that this server no longer knows
                moment = None
            await session.execute(_NEXT, {"id": source.id, "moment": moment})
            if (await session.execute(_IS_RUNNING, {"id": source.id})).scalar_one():
                continue
            run = SourceRun(
                workspace_id=source.workspace_id, knowledge_base_id=source.knowledge_base_id, source_id=source.id
            )
            await _create(context, session, run, created_by=source.created_by)
            started += 1
    if started:
        log.info("runs_started", count=started)
    return started


async def resume_runs(context: Context) -> int:
    """Give runs whose job was lost back to the queue; how many."""
    resumed = 0
    async with context.transaction() as session:
        if not (await session.execute(_TRY_LOCK, {"lock": SWEEP_LOCK})).scalar_one():
            return 0
        limits = {"unclaimed_s": UNCLAIMED_S, "silent_s": SILENT_S}
        for run_id in (await session.execute(_LOST, limits)).scalars().all():
            await defer_run(context, session, run_id)
            resumed += 1
    if resumed:
        log.warning("runs_resumed", count=resumed)
    return resumed
