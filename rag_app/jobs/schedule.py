"""The schedule book: APScheduler in the worker. It only puts jobs into the queue; one worker at a time keeps it."""

from collections.abc import Mapping
from functools import partial

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from rag_app.database.engine import transaction
from rag_app.jobs.queue import Queue
from rag_app.telemetry import log

# A turn of the book is taken by whichever worker comes first; the others find its job waiting or just done.
_TAKE_TURN = text("SELECT pg_try_advisory_xact_lock(hashtext(:name))")
_IS_WAITING = text("SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE task_name = :name AND status = 'todo')")


class ScheduleBook:
    """Puts named jobs into the queue again and again."""

    def __init__(self, engine: AsyncEngine, queue: Queue, every_s: Mapping[str, float]) -> None:
        self._engine, self._queue = engine, queue
        self._scheduler = AsyncIOScheduler(timezone="UTC")
        for name, seconds in every_s.items():
            self._scheduler.add_job(
                partial(self._enqueue, name), "interval", seconds=seconds, coalesce=True, max_instances=1, jitter=1
            )

    def open(self) -> None:
        """Begin, in the event loop that runs."""
        self._scheduler.start()

    def close(self) -> None:
        """Stop; what is in the queue stays there."""
        self._scheduler.shutdown(wait=False)

    async def _enqueue(self, name: str) -> None:
        async with transaction(self._engine) as session:
            if not (await session.execute(_TAKE_TURN, {"name": f"schedule {name}"})).scalar_one():
                return
            if (await session.execute(_IS_WAITING, {"name": name})).scalar_one():
                return
            await self._queue.defer(name, {}, session=session, priority=1)
        log.debug("job_scheduled", job=name)
