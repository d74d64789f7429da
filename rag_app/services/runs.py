"""Runs of answers: a run belongs to its message. It writes events; any process can follow them."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from json import dumps
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.chat.events import Event, Failed, Token
from rag_app.errors import RagError
from rag_app.jobs.claims import ALIVE
from rag_app.services.context import Context
from rag_app.services.run_registry import Numbered, Run
from rag_app.services.wire import ENDS, Json, event_json
from rag_app.telemetry import answers_total, first_token_seconds, log

FLUSH_EVERY_S = 0.2
NO_READER_S = 60.0
_PATIENCE = {"age": 20, "silent": 3, "settled": 10}
"""Seconds without a sign of life until a run counts as lost, when its process is dead, and after the database began."""
WRITE_AGAIN_S = (0.2, *[1.0] * 30)
"""The reader hears of the end once it is kept."""
UNKEPT = 10_000
"""More events than a process can have shown and not kept when it died: the end must come after what a reader saw."""
STOPPED = Failed("stopped", "The answer was stopped.")

_APPEND = text(
    # Nothing when the conversation was deleted meanwhile.
    "INSERT INTO message_events (message_id, number, kind, data, at) "
    "SELECT m.id, :number, :kind, CAST(:data AS jsonb), now() FROM messages m WHERE m.id = :message FOR KEY SHARE "
    "ON CONFLICT DO NOTHING"
)
_BEAT = text(
    "UPDATE messages SET heartbeat_at = now(), claimed_by = coalesce(:by, claimed_by), "
    "last_reader_at = CASE WHEN :read THEN now() ELSE last_reader_at END "
    "WHERE id = :message AND status = 'running' "
    "RETURNING stop_requested, extract(epoch FROM now() - last_reader_at) AS unread_s"
)
_FINISH = text(
    """
UPDATE messages SET status = :status, text = :text, citations = :citations, abstained = :abstained, model = :model,
       usage = :usage, timings_ms = :timings, error_code = :code, error_message = :error, finished_at = now()
WHERE id = :message AND status = 'running'
"""
)
_KEEP_TRACE = text(
    "INSERT INTO message_traces (message_id, workspace_id, data, at) "
    "SELECT m.id, m.workspace_id, CAST(:data AS jsonb), now() FROM messages m WHERE m.id = :message FOR KEY SHARE "
    "ON CONFLICT DO NOTHING"
)
_TOUCH = text("UPDATE conversations SET updated_at = now() WHERE id = :conversation")
# A process loses its claim when the database restarts, and beats again a moment later.
_ABANDONED = text(
    f"""
SELECT id, conversation_id FROM messages WHERE status = 'running' AND (
    heartbeat_at < now() - make_interval(secs => :age)
    OR heartbeat_at < now() - make_interval(secs => :silent) AND claimed_by IS NOT NULL
    AND NOT {ALIVE.format(column="claimed_by")}
    AND pg_postmaster_start_time() < now() - make_interval(secs => :settled))
FOR UPDATE SKIP LOCKED
"""  # noqa: S608 -- a constant
)
_EVENTS = text("SELECT number, kind, data FROM message_events WHERE message_id = :message ORDER BY number")


def start_run(context: Context, run: Run, events: AsyncGenerator[Event, None]) -> None:
    """Begin to consume the events of an answer."""
    run.add("conversation", {"conversation_id": str(run.conversation_id), "message_id": str(run.message_id)})
    context.runs.add(run)
    run.task = asyncio.create_task(_drive(context, run, events), name=f"answer {run.message_id}")


async def _drive(context: Context, run: Run, events: AsyncGenerator[Event, None]) -> None:
    keeper = asyncio.create_task(_keep(context, run))
    status = "interrupted"
    try:
        async with aclosing(events):
            status = await _consume(run, events)
    except asyncio.CancelledError:
        status = "stopped" if run.stopping else "interrupted"
    except RagError as problem:
        status = "failed"
        run.add("error", {"code": problem.code, "message": problem.message})
    except Exception:  # the door of a run: whatever happens, the message ends and says so
        log.exception("run_failed", message=run.message_id)
        status = "failed"
        run.add("error", {"code": RagError.code, "message": RagError().message})
    finally:
        keeper.cancel()
        if not run.ended:
            _, data = event_json(STOPPED, conversation_id=run.conversation_id, message_id=run.message_id)
            run.add("error", data if status == "stopped" else {**data, "code": "interrupted"})
        abstained = run.events[-1][2].get("abstained", False)
        answers_total.labels("abstained" if abstained else status).inc()
        await asyncio.shield(_finish(context, run, status))


async def _consume(run: Run, events: AsyncIterator[Event]) -> str:
    started, waiting = time.perf_counter(), True
    async for event in events:
        if waiting and isinstance(event, Token):
            waiting = False
            first_token_seconds.observe(time.perf_counter() - started)
        kind, data = event_json(event, conversation_id=run.conversation_id, message_id=run.message_id)
        run.add(kind, data)
    return "failed" if run.events[-1][1] == "error" else "done"


async def _keep(context: Context, run: Run) -> None:
    """Flush events, show a sign of life, and end the run when it was stopped or nobody reads."""
    while True:
        await asyncio.sleep(FLUSH_EVERY_S)
        try:
            row = await _flush(context, run)
        except RagError as problem:
            log.warning("flush_failed", code=problem.code)
            continue
        unread = row is not None and run.readers == 0 and (row.unread_s or 0) > NO_READER_S
        if run.task and (row is None or row.stop_requested or unread):
            run.stopping = True
            run.task.cancel()
            return


async def _finish(context: Context, run: Run, status: str) -> None:
    try:
        await _write_end(context, run, status)
    finally:
        run.written.set()
        context.runs.remove(run)


async def _write_end(context: Context, run: Run, status: str) -> None:
    values = {"message": run.message_id, "status": status, **_outcome(run)}
    trace = dumps(run.trace.as_json())
    for pause in WRITE_AGAIN_S:  # the database may be restarting just now
        try:
            async with context.transaction() as session:
                await _append(session, run, run.events[run.flushed :])
                await session.execute(_FINISH, values)
                await session.execute(_KEEP_TRACE, {"message": run.message_id, "data": trace})
                await session.execute(_TOUCH, {"conversation": run.conversation_id})
            return
        except RagError as problem:
            log.warning("finish_failed", code=problem.code, message=run.message_id)
            await asyncio.sleep(pause)


async def _flush(context: Context, run: Run) -> Any:
    async with context.runs.writing, context.transaction() as session:
        # The end is written with the state of the message: who has seen it may ask the next question at once.
        fresh = [each for each in run.events[run.flushed :] if each[1] not in ENDS]
        await _append(session, run, fresh)
        by = context.claim.number_if_held
        values = {"message": run.message_id, "read": run.readers > 0, "by": by}
        row = (await session.execute(_BEAT, values)).one_or_none()
    run.flushed += len(fresh)
    return row


async def _append(session: AsyncSession, run: Run, fresh: list[Numbered]) -> None:
    values = [
        {"message": run.message_id, "number": number, "kind": kind, "data": dumps(data)} for number, kind, data in fresh
    ]
    if values:
        await (await session.connection()).execute(_APPEND, values)


def _outcome(run: Run) -> Json:
    last = run.events[-1][2]
    if run.events[-1][1] == "done":
        return {
            "text": last["answer"],
            "citations": dumps(last["citations"]),
            "abstained": last["abstained"],
            "model": last["model"],
            "usage": dumps(last["usage"]),
            "timings": dumps(last["timings_ms"]),
            "code": None,
            "error": None,
        }
    return {
        "text": run.said(),
        "citations": dumps(run.cited()),
        "abstained": False,
        "model": "",
        "usage": "{}",
        "timings": "{}",
        "code": last["code"],
        "error": last["message"],
    }


async def end_abandoned_runs(context: Context) -> int:
    """Mark answers whose process has died as interrupted, with what was said so far; how many there were."""
    async with context.transaction() as session:
        lost = (await session.execute(_ABANDONED, _PATIENCE)).all()
        for row in lost:
            run = Run(row.id, row.conversation_id)
            found = await session.execute(_EVENTS, {"message": row.id})
            run.events = [(each.number, each.kind, each.data) for each in found]
            run.flushed = len(run.events)
            if not run.ended:
                said = {"code": "interrupted", "message": "The server was stopped during this answer."}
                run.events.append((run.flushed + UNKEPT, "error", said))
            number, kind, data = run.events[-1]
            values = {"message": row.id, "number": number, "kind": kind, "data": dumps(data)}
            await session.execute(_APPEND, values)
            status = "done" if kind == "done" else "interrupted"
            await session.execute(_FINISH, {"message": row.id, "status": status, **_outcome(run)})
    if lost:
        log.warning("runs_interrupted", count=len(lost))
    return len(lost)
