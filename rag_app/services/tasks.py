"""Background work that a person can watch, and stop."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text

from rag_app.errors import Cancelled, Conflict, NotFound
from rag_app.services.context import Context
from rag_app.services.indexes import REINDEX, stop_task
from rag_app.services.knowledge import VISIBLE, visibility
from rag_app.services.paging import Page, PageRequest, page_of
from rag_app.services.permissions import Actor, permit
from rag_app.services.source_runs import stop_run_of_task

_CARDS = (
    """
SELECT t.id, t.kind, t.status, t.phase, t.progress, t.result, t.error_code, t.error_message, t.knowledge_base_id,
       t.document_id, t.version_id, t.created_at, t.started_at, t.finished_at
FROM tasks t LEFT JOIN knowledge_bases k ON k.id = t.knowledge_base_id
WHERE t.workspace_id = :workspace_id AND (k.id IS NULL OR ("""
    + VISIBLE
    + "))"
)
_LIST = text(
    _CARDS
    + """ AND (CAST(:moment AS timestamptz) IS NULL OR (t.created_at, t.id) < (:moment, :identity))
ORDER BY t.created_at DESC, t.id DESC LIMIT :limit"""
)
_ONE = text(_CARDS + " AND t.id = :id")
_CANCEL_VERSION = text(
    "UPDATE versions SET state = 'failed', error_code = :code, error_message = :message, attempt = attempt + 1, "
    "claimed_by = NULL, updated_at = now() "
    "WHERE knowledge_base_id = :kb AND id = :version AND state IN ('queued', 'working') RETURNING id"
)
_CANCEL_TASK = text(
    "UPDATE tasks SET status = 'cancelled', error_code = :code, error_message = :message, finished_at = now() "
    "WHERE id = :id"
)


@dataclass(frozen=True, slots=True)
class TaskError:
    """Why a task failed."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class TaskCard:
    """What people see of a task."""

    id: UUID
    kind: str
    status: str
    phase: str | None
    progress: float
    result: dict[str, Any]
    error: TaskError | None
    knowledge_base_id: UUID | None
    document_id: UUID | None
    version_id: UUID | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


def _card(row: RowMapping) -> TaskCard:
    values = dict(row)
    code, message = values.pop("error_code"), values.pop("error_message")
    return TaskCard(**values, error=TaskError(code, message or "") if code else None)


async def list_tasks(context: Context, actor: Actor, page: PageRequest) -> Page[TaskCard]:
    """The tasks the actor may see, newest first."""
    permit(actor, "task.read")
    moment, identity = page.place()
    values = {**visibility(actor), "moment": moment, "identity": identity, "limit": page.limit + 1}
    async with context.transaction() as session:
        cards = [_card(row) for row in (await session.execute(_LIST, values)).mappings()]
    return page_of(cards, page.limit, lambda card: (card.created_at, card.id))


async def get_task(context: Context, actor: Actor, task_id: UUID) -> TaskCard:
    """One task. Raises NotFound."""
    permit(actor, "task.read")
    async with context.transaction() as session:
        row = (await session.execute(_ONE, {**visibility(actor), "id": task_id})).mappings().one_or_none()
    if row is None:
        raise NotFound("There is no such task, or it is not yours.")
    return _card(row)


async def cancel_task(context: Context, actor: Actor, task_id: UUID) -> TaskCard:
    """Stop a task that waits or runs; its document ends as failed with code `cancelled`. Raises NotFound, Conflict."""
    permit(actor, "task.cancel")
    card = await get_task(context, actor, task_id)
    if card.kind == "crawl":
        await stop_run_of_task(context, task_id)
        return await get_task(context, actor, task_id)
    values = {"kb": card.knowledge_base_id, "version": card.version_id, "id": task_id}
    reason = {"code": Cancelled.code, "message": Cancelled().message}
    async with context.transaction() as session:
        if card.kind == REINDEX:
            if not await stop_task(context, session, task_id):
                raise Conflict("This task has already ended.")
        elif (await session.execute(_CANCEL_VERSION, {**values, **reason})).scalar_one_or_none() is None:
            raise Conflict("This task has already ended.")
        await session.execute(_CANCEL_TASK, {**values, **reason})
    return await get_task(context, actor, task_id)
