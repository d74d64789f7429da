"""The indexes of a knowledge base: build another one beside the active one, use it, go back, drop what is not used."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.knowledge import EmbeddingIndex
from rag_app.database.work import Task
from rag_app.errors import Busy, Cancelled, Conflict, InvalidInput, NotFound
from rag_app.ingestion.cutting import LARGEST_PASSAGE, MOST_OVERLAP, SMALLEST_PASSAGE
from rag_app.ingestion.index_rows import Stand, progress_of
from rag_app.providers.embeddings import dimensions, is_local, measure_dimensions
from rag_app.services.acceptance import PRIORITY_PAGES
from rag_app.services.audit import record
from rag_app.services.context import Context
from rag_app.services.embedding import workspace_keyring
from rag_app.services.knowledge import check_embedding_model, require_visible
from rag_app.services.permissions import Actor, permit

REINDEX = "reindex"
DROP_INDEX = "drop_index"
KEEP_DAYS, LONGEST_KEEP_DAYS = 14, 365

_ALL = text("SELECT * FROM indexes WHERE knowledge_base_id = :kb AND state <> 'dropping' ORDER BY id DESC")
_ONE = text("SELECT * FROM indexes WHERE knowledge_base_id = :kb AND id = :id AND state <> 'dropping' FOR UPDATE")
_ACTIVE = text(
    "SELECT i.* FROM knowledge_bases k JOIN indexes i ON i.id = k.active_index_id WHERE k.id = :kb FOR SHARE OF k"
)
_SAME = text(
    "SELECT * FROM indexes WHERE knowledge_base_id = :kb AND state IN ('retired', 'failed') "
    "AND passage_tokens = :passage_tokens AND overlap_tokens = :overlap_tokens ORDER BY (model = :model) DESC, id DESC "
    "LIMIT 1 FOR UPDATE"
)
_AGAIN = text(
    "UPDATE indexes SET state = 'building', phase = NULL, auto_flip = :auto_flip, keep_days = :keep_days, "
    "failures = 0, retry_at = NULL, problem_code = NULL, problem_message = NULL, task_id = :task, "
    "updated_at = now() WHERE id = :id"
)
_CONFIRM = text("UPDATE indexes SET auto_flip = true, retry_at = NULL, updated_at = now() WHERE id = :id")
_STOP = text(
    "UPDATE indexes SET state = CASE WHEN retired_at IS NULL THEN 'dropping' ELSE 'retired' END, "
    "attempt = attempt + 1, claimed_by = NULL, pausing_until = NULL, phase = NULL, updated_at = now() "
    "WHERE id = :id AND state = 'building' RETURNING state"
)
_STOP_TASK = text(
    "UPDATE tasks SET status = 'cancelled', error_code = :code, error_message = :message, finished_at = now() "
    "WHERE id = :task AND status IN ('queued', 'running')"
)
_DISMISS = text("UPDATE indexes SET state = 'dropping', attempt = attempt + 1, updated_at = now() WHERE id = :id")
_OF_TASK = text("SELECT id, knowledge_base_id FROM indexes WHERE task_id = :task AND state = 'building'")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an index waits, or has failed."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class IndexCard:
    """What people see of an index. `done` of `total` are documents while it is cut, else passages."""

    id: int
    knowledge_base_id: UUID
    model: str
    dimensions: int
    passage_tokens: int
    overlap_tokens: int
    state: str  # building | active | retired | failed
    phase: str | None
    progress: float
    done: int
    total: int
    left_s: float | None
    auto_flip: bool
    keep_days: int
    task_id: UUID | None
    problem: Problem | None
    comparison: dict[str, Any]
    created_at: datetime
    activated_at: datetime | None
    retired_at: datetime | None
    drop_at: datetime | None
    has_hnsw: bool


@dataclass(frozen=True, slots=True)
class NewIndex:
    """How the knowledge base is to be searched; None = as it is now."""

    embedding_model: str | None = None
    passage_tokens: int | None = None
    overlap_tokens: int | None = None
    auto_flip: bool = False
    keep_days: int = KEEP_DAYS


@dataclass(frozen=True, slots=True)
class Wanted:
    """A complete choice of model and cutting."""

    model: str
    passage_tokens: int
    overlap_tokens: int
    width: int = 0  # of the model's vectors, once it was asked


def card_of(row: RowMapping) -> IndexCard:
    """An index as people see it."""
    phase = row["phase"] if row["state"] == "building" else None
    problem = Problem(row["problem_code"], row["problem_message"] or "") if row["problem_code"] else None
    known = {name: row[name] for name in IndexCard.__dataclass_fields__ if name in row}
    progress = progress_of(Stand(phase, row["done"], row["total"])) if phase else float(row["state"] != "building")
    return IndexCard(**{**known, "phase": phase, "problem": problem, "progress": progress})


async def list_indexes(context: Context, actor: Actor, knowledge_base_id: UUID) -> tuple[IndexCard, ...]:
    """The indexes of a knowledge base, newest first. Raises NotFound."""
    permit(actor, "knowledge.read")
    async with context.transaction() as session:
        await require_visible(session, actor, knowledge_base_id)
        return tuple(card_of(row) for row in (await session.execute(_ALL, {"kb": knowledge_base_id})).mappings())


async def get_index(context: Context, actor: Actor, knowledge_base_id: UUID, index_id: int) -> IndexCard:
    """One index. Raises NotFound."""
    for card in await list_indexes(context, actor, knowledge_base_id):
        if card.id == index_id:
            return card
    raise NotFound("There is no such index.")


async def wanted_index(session: AsyncSession, knowledge_base_id: UUID, new: NewIndex) -> tuple[Wanted, RowMapping]:
    """What is asked for, filled up from the active index, and that index. Raises InvalidInput, Conflict."""
    active = (await session.execute(_ACTIVE, {"kb": knowledge_base_id})).mappings().one_or_none()
    if active is None:
        raise Conflict("This knowledge base has no index to change.")
    wanted = Wanted(
        new.embedding_model or active["model"],
        active["passage_tokens"] if new.passage_tokens is None else new.passage_tokens,
        active["overlap_tokens"] if new.overlap_tokens is None else new.overlap_tokens,
    )
    check_embedding_model(wanted.model)
    if not SMALLEST_PASSAGE <= wanted.passage_tokens <= LARGEST_PASSAGE:
        limits = f"between {SMALLEST_PASSAGE} and {LARGEST_PASSAGE}"
        raise InvalidInput(f"passage_tokens: a number {limits} is expected", field="passage_tokens")
    if not 0 <= wanted.overlap_tokens <= wanted.passage_tokens * MOST_OVERLAP:
        most = int(wanted.passage_tokens * MOST_OVERLAP)
        raise InvalidInput(f"overlap_tokens: a number between 0 and {most} is expected", field="overlap_tokens")
    if wanted == Wanted(active["model"], active["passage_tokens"], active["overlap_tokens"]):
        raise Conflict("The knowledge base is searched like this already.")
    return wanted, active


async def start_index(context: Context, actor: Actor, knowledge_base_id: UUID, new: NewIndex) -> IndexCard:
    """Begin to build another index beside the active one; one that is kept already is brought up to date instead.

    Raises NotFound, InvalidInput, Conflict (nothing would change), Busy (one is being built), ProviderError (the
    model does not answer).
    """
    permit(actor, "knowledge.edit")
    if not 0 <= new.keep_days <= LONGEST_KEEP_DAYS:
        raise InvalidInput(f"keep_days: a number between 0 and {LONGEST_KEEP_DAYS} is expected", field="keep_days")
    async with context.transaction() as session:
        await require_visible(session, actor, knowledge_base_id)
        wanted, _ = await wanted_index(session, knowledge_base_id, new)
    wanted = replace(wanted, width=await width_of(context, actor.workspace_id, wanted.model))
    try:
        async with context.transaction() as session:
            _, active = await wanted_index(session, knowledge_base_id, new)
            index_id = await _prepare(session, actor, active, wanted=wanted, new=new)
            await _defer(context, session, index_id)
            record(session, actor, "index_started", knowledge_base_id, index=index_id, model=wanted.model)
    except IntegrityError as problem:
        raise Busy("Another index of this knowledge base is being built; wait for it or stop it.") from problem
    return await get_index(context, actor, knowledge_base_id, index_id)


async def width_of(context: Context, workspace_id: UUID, model: str) -> int:
    """How many numbers a vector of the model has, by a call unless it is bundled. Raises ProviderError."""
    if is_local(model):
        return dimensions(model) or 0
    return await measure_dimensions(model, await workspace_keyring(context, workspace_id))


async def _prepare(session: AsyncSession, actor: Actor, active: RowMapping, *, wanted: Wanted, new: NewIndex) -> int:
    """The row of the index to be built: one that is kept and fits, or a new one."""
    knowledge_base_id = active["knowledge_base_id"]
    size = {"passage_tokens": wanted.passage_tokens, "overlap_tokens": wanted.overlap_tokens}
    same = {"kb": knowledge_base_id, "model": wanted.model, **size}
    kept = (await session.execute(_SAME, same)).mappings().one_or_none()
    task = await _new_task(session, actor, knowledge_base_id)
    if kept is not None and kept["model"] == wanted.model and kept["dimensions"] == wanted.width:
        again = {"id": kept["id"], "auto_flip": new.auto_flip, "keep_days": new.keep_days, "task": task.id}
        await session.execute(_AGAIN, again)
        return int(kept["id"])
    index = EmbeddingIndex(
        knowledge_base_id=knowledge_base_id,
        workspace_id=actor.workspace_id,
        model=wanted.model,
        dimensions=wanted.width,
        state="building",
        auto_flip=new.auto_flip,
        keep_days=new.keep_days,
        task_id=task.id,
        passage_tokens=wanted.passage_tokens,
        overlap_tokens=wanted.overlap_tokens,
    )
    session.add(index)
    await session.flush()
    keeps_cutting = all(active[name] == value for name, value in size.items())
    index.cutting_id = active["cutting_id"] if keeps_cutting else kept["cutting_id"] if kept else int(index.id or 0)
    return int(index.id or 0)


async def use_index(context: Context, actor: Actor, knowledge_base_id: UUID, index_id: int) -> IndexCard:
    """Search this index as soon as it is complete: confirm one that is ready, go back to a retired one, try again.

    Raises NotFound, Conflict (it is active), Busy (another one is being built).
    """
    permit(actor, "knowledge.edit")
    try:
        async with context.transaction() as session:
            row = await _found(session, actor, knowledge_base_id, index_id)
            if row["state"] == "active":
                raise Conflict("This index is in use already.")
            if row["state"] == "building":
                await session.execute(_CONFIRM, {"id": index_id})
            else:
                task = await _new_task(session, actor, knowledge_base_id)
                again = {"id": index_id, "auto_flip": True, "keep_days": row["keep_days"], "task": task.id}
                await session.execute(_AGAIN, again)
            await _defer(context, session, index_id)
            record(session, actor, "index_chosen", knowledge_base_id, index=index_id)
    except IntegrityError as problem:
        raise Busy("Another index of this knowledge base is being built; wait for it or stop it.") from problem
    return await get_index(context, actor, knowledge_base_id, index_id)


async def drop_index(context: Context, actor: Actor, knowledge_base_id: UUID, index_id: int) -> None:
    """Stop one that is being built (one that was searched before is kept), or remove one that is not in use.

    Raises NotFound, Conflict (it is active).
    """
    permit(actor, "knowledge.edit")
    async with context.transaction() as session:
        row = await _found(session, actor, knowledge_base_id, index_id)
        if row["state"] == "active":
            raise Conflict("This index is in use; use another one first.")
        if row["state"] == "building":
            await _stop(context, session, index_id, row["task_id"])
        else:
            await session.execute(_DISMISS, {"id": index_id})
            await context.queue.defer(DROP_INDEX, {"index_id": index_id}, session=session)
        record(session, actor, "index_dropped", knowledge_base_id, index=index_id)


async def stop_task(context: Context, session: AsyncSession, task_id: UUID) -> bool:
    """Stop the build that a task stands for; False when it is none, or has ended."""
    row = (await session.execute(_OF_TASK, {"task": task_id})).one_or_none()
    return row is not None and await _stop(context, session, row.id, task_id)


async def _stop(context: Context, session: AsyncSession, index_id: int, task_id: UUID | None) -> bool:
    state = (await session.execute(_STOP, {"id": index_id})).scalar_one_or_none()
    reason = {"code": Cancelled.code, "message": Cancelled().message}
    await session.execute(_STOP_TASK, {"task": task_id, **reason})
    if state == "dropping":
        await context.queue.defer(DROP_INDEX, {"index_id": index_id}, session=session)
    return state is not None


async def _found(session: AsyncSession, actor: Actor, knowledge_base_id: UUID, index_id: int) -> RowMapping:
    await require_visible(session, actor, knowledge_base_id)
    found = await session.execute(_ONE, {"kb": knowledge_base_id, "id": index_id})
    row = found.mappings().one_or_none()
    if row is None:
        raise NotFound("There is no such index.")
    return row


async def _new_task(session: AsyncSession, actor: Actor, knowledge_base_id: UUID) -> Task:
    task = Task(
        workspace_id=actor.workspace_id,
        kind=REINDEX,
        knowledge_base_id=knowledge_base_id,
        created_by=actor.user_id,
    )
    session.add(task)
    await session.flush()
    return task


async def _defer(context: Context, session: AsyncSession, index_id: int) -> None:
    await context.queue.defer(REINDEX, {"index_id": index_id}, session=session, priority=PRIORITY_PAGES)
