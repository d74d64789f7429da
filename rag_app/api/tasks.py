"""Background work over REST."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter

from rag_app.api.dependencies import ActorDep, ContextDep, PageDep
from rag_app.api.idempotency import IdempotentRoute
from rag_app.api.shapes import Listing, View, listing
from rag_app.services import tasks

router = APIRouter(tags=["tasks"], route_class=IdempotentRoute)


class ProblemView(View):
    """Why a task failed."""

    code: str
    message: str


class TaskView(View):
    """Work that can be watched."""

    id: UUID
    kind: str
    status: str
    phase: str | None
    progress: float
    result: dict[str, Any]
    error: ProblemView | None
    knowledge_base_id: UUID | None
    document_id: UUID | None
    version_id: UUID | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@router.get("/tasks")
async def list_all(context: ContextDep, actor: ActorDep, page: PageDep) -> Listing[TaskView]:
    """The tasks you may see, newest first."""
    return listing(await tasks.list_tasks(context, actor, page), TaskView.model_validate)


@router.get("/tasks/{task_id}")
async def read(context: ContextDep, actor: ActorDep, task_id: UUID) -> TaskView:
    """One task."""
    return TaskView.model_validate(await tasks.get_task(context, actor, task_id))


@router.post("/tasks/{task_id}/cancel")
async def cancel(context: ContextDep, actor: ActorDep, task_id: UUID) -> TaskView:
    """Stop a task; its document ends as failed with code `cancelled`."""
    return TaskView.model_validate(await tasks.cancel_task(context, actor, task_id))
