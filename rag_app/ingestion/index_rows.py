"""The state of an index that is being built: claimed, how far it is, why it waits. Every write checks its attempt."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.ingestion.cutting import Cutting
from rag_app.jobs.claims import ALIVE

MOST_FAILURES = 8
"""Attempts since something was last achieved; with FIRST_WAIT_S doubled each time, about twenty minutes."""
FIRST_WAIT_S, LONGEST_WAIT_S = 5, 600
PAUSE_INGESTION_S = 30

_CLAIM = text(
    """
UPDATE indexes i SET attempt = i.attempt + 1, claimed_by = :worker, retry_at = NULL, updated_at = now()
FROM knowledge_bases k JOIN indexes a ON a.id = k.active_index_id
WHERE i.id = :id AND i.state = 'building' AND k.id = i.knowledge_base_id
  AND (i.phase IS DISTINCT FROM 'ready' OR i.auto_flip) AND (i.retry_at IS NULL OR i.retry_at <= now())
  AND (i.claimed_by IS NULL OR NOT """
    + ALIVE.format(column="i.claimed_by")
    + """)
RETURNING i.id, i.knowledge_base_id, i.workspace_id, i.model, i.dimensions, i.has_hnsw, i.attempt,
          i.auto_flip, i.task_id, i.cutting_id, i.passage_tokens, i.overlap_tokens, k.language AS wanted_language,
          a.id AS active_id, a.cutting_id AS active_cutting_id
"""
)
_STARTED = text(
    "UPDATE tasks SET status = 'running', started_at = coalesce(started_at, now()) "
    "WHERE id = :task AND status IN ('queued', 'running')"
)
_MINE = "id = :id AND attempt = :attempt AND state = 'building'"
_FENCE = text(f"SELECT id FROM indexes WHERE {_MINE} FOR UPDATE")  # noqa: S608 -- a constant
_NOTE = text(
    f"UPDATE indexes SET phase = :phase, total = :total, done = :done, left_s = :left_s, "  # noqa: S608 -- constants
    "failures = CASE WHEN :achieved THEN 0 ELSE failures END, "
    "problem_code = CASE WHEN :achieved THEN NULL ELSE problem_code END, "
    f"problem_message = CASE WHEN :achieved THEN NULL ELSE problem_message END, updated_at = now() WHERE {_MINE}"
)
_TASK_NOTE = text(
    "UPDATE tasks SET phase = :phase, progress = :progress, "
    "error_code = CASE WHEN :achieved THEN NULL ELSE error_code END, "
    "error_message = CASE WHEN :achieved THEN NULL ELSE error_message END WHERE id = :task AND status = 'running'"
)
_WAIT = text(
    f"UPDATE indexes SET failures = failures + 1, problem_code = :code, problem_message = :message, "  # noqa: S608 -- constants
    "claimed_by = NULL, pausing_until = NULL, left_s = NULL, updated_at = now(), "
    "retry_at = now() + make_interval(secs => least(:longest, :first * power(2, failures))) "
    f"WHERE {_MINE} RETURNING failures"
)
_TASK_WAITS = text(
    "UPDATE tasks SET error_code = :code, error_message = :message WHERE id = :task AND status = 'running'"
)
# One that was searched before is not lost: it goes back to the retired ones.
_FAIL = text(
    f"UPDATE indexes SET state = CASE WHEN retired_at IS NULL THEN 'failed' ELSE 'retired' END, "  # noqa: S608 -- constants
    "problem_code = :code, problem_message = :message, claimed_by = NULL, pausing_until = NULL, left_s = NULL, "
    f"updated_at = now() WHERE {_MINE}"
)
_TASK_FAILED = text(
    "UPDATE tasks SET status = 'failed', error_code = :code, error_message = :message, finished_at = now() "
    "WHERE id = :task AND status IN ('queued', 'running')"
)
_LET_GO = text(f"UPDATE indexes SET claimed_by = NULL, pausing_until = NULL, updated_at = now() WHERE {_MINE}")  # noqa: S608 -- constants
_PAUSE = text(
    f"UPDATE indexes SET pausing_until = now() + make_interval(secs => :seconds) WHERE {_MINE}"  # noqa: S608 -- constants
)


@dataclass(frozen=True, slots=True)
class Building:
    """An index that this worker is at."""

    id: int
    knowledge_base_id: UUID
    workspace_id: UUID
    model: str
    dimensions: int
    has_hnsw: bool
    attempt: int
    auto_flip: bool
    task_id: UUID | None
    cutting: Cutting
    wanted_language: str
    active_id: int
    active_cutting_id: int

    @property
    def key(self) -> dict[str, Any]:
        """The parameters that name this attempt."""
        return {"id": self.id, "attempt": self.attempt}

    @property
    def cuts_anew(self) -> bool:
        """Whether its passages are other ones than those that are searched."""
        return self.cutting.id != self.active_cutting_id


@dataclass(frozen=True, slots=True)
class Stand:
    """How far a phase is: `done` of `total` documents or passages, and the seconds that are left if known."""

    phase: str
    done: int = 0
    total: int = 0
    left_s: float | None = None
    achieved: bool = False  # something was done since the last failure


# Where each phase begins and ends in the progress of the whole.
_SHARES = {
    "cutting": (0.0, 0.9),
    "embedding": (0.0, 0.9),
    "indexing": (0.9, 0.95),
    "comparing": (0.95, 0.98),
    "ready": (0.99, 0.99),
    "flipping": (0.98, 1.0),
}


def progress_of(stand: Stand) -> float:
    """The progress of the whole, 0..1."""
    low, high = _SHARES[stand.phase]
    return low + (high - low) * (stand.done / stand.total if stand.total else 0.0)


async def claim_index(session: AsyncSession, index_id: int, worker: int) -> Building | None:
    """Take an index that is to be built; None when somebody is at it, or there is nothing to do yet."""
    row = (await session.execute(_CLAIM, {"id": index_id, "worker": worker})).mappings().one_or_none()
    if row is None:
        return None
    values = dict(row)
    cutting = Cutting(values.pop("cutting_id"), values.pop("passage_tokens"), values.pop("overlap_tokens"))
    await session.execute(_STARTED, {"task": values["task_id"]})
    return Building(**values, cutting=cutting)


async def is_mine(connection: AsyncConnection, building: Building) -> bool:
    """Whether this attempt is still the one that may write; holds it so to the end of the transaction."""
    return (await connection.execute(_FENCE, building.key)).scalar_one_or_none() is not None


async def note_stand(session: AsyncSession, building: Building, stand: Stand) -> bool:
    """Show how far it is; False when this attempt is no longer the one."""
    values = {"phase": stand.phase, "total": stand.total, "done": stand.done, "left_s": stand.left_s}
    done = await session.execute(_NOTE, {**building.key, **values, "achieved": stand.achieved})
    progress = {"task": building.task_id, "phase": stand.phase, "progress": progress_of(stand)}
    await session.execute(_TASK_NOTE, {**progress, "achieved": stand.achieved})
    return _count(done) == 1


async def put_off(session: AsyncSession, building: Building, *, code: str, message: str) -> None:
    """Let it wait for another attempt, with the reason shown; after MOST_FAILURES in a row it has failed."""
    reason = {"code": code, "message": message}
    waits = {"first": FIRST_WAIT_S, "longest": LONGEST_WAIT_S}
    failures = (await session.execute(_WAIT, {**building.key, **reason, **waits})).scalar_one_or_none()
    if failures is None:
        return
    if failures >= MOST_FAILURES:
        await fail_index(session, building, code=code, message=message)
    else:
        await session.execute(_TASK_WAITS, {"task": building.task_id, **reason})


async def fail_index(session: AsyncSession, building: Building, *, code: str, message: str) -> None:
    """End without it: the index that is searched stays untouched."""
    reason = {"code": code, "message": message}
    if _count(await session.execute(_FAIL, {**building.key, **reason})) == 1:
        await session.execute(_TASK_FAILED, {"task": building.task_id, **reason})


async def release(session: AsyncSession, building: Building) -> None:
    """Leave the rest to another slice."""
    await session.execute(_LET_GO, building.key)


async def pause_ingestion(session: AsyncSession, building: Building) -> None:
    """Keep new documents of this knowledge base waiting for a moment, so that the flip can catch up."""
    await session.execute(_PAUSE, {**building.key, "seconds": PAUSE_INGESTION_S})


def _count(result: Any) -> int:
    return int(result.rowcount)
