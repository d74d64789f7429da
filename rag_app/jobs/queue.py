"""The queue: a thin layer over procrastinate. A job only triggers; the state of the work lives in the tables."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import psycopg
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ConnectorException
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.engine import driver_connection, session_options, without_driver
from rag_app.errors import NotReady
from rag_app.telemetry import log

JobFunction = Callable[..., Awaitable[None]]
HEARTBEAT_S = 1.0
SILENT_S = 4.0  # a worker that says nothing for so long has probably died
RECONNECT_AFTER_S = 0.5
STALLED_AFTER_S = 20.0
FINISHED_KEPT_H = 24
logging.getLogger("procrastinate").setLevel(logging.WARNING)


class Queue:
    """Puts jobs into Postgres and runs them."""

    def __init__(self, url: str, *, pool_size: int = 4, waits_for_disk: bool = True) -> None:
        options = {"connect_timeout": 5, "options": session_options(waits_for_disk=waits_for_disk)}
        connector = PsycopgConnector(conninfo=without_driver(url), min_size=1, max_size=pool_size, kwargs=options)
        self._app = App(connector=connector)
        self._opened = False

    async def open(self) -> None:
        """Open the pool."""
        await self._app.open_async()
        self._opened = True

    async def close(self) -> None:
        """Close the pool."""
        if self._opened:
            await self._app.close_async()
            self._opened = False

    async def defer(
        self,
        name: str,
        arguments: dict[str, Any],
        *,
        session: AsyncSession | None = None,
        priority: int = 0,
        after_s: int = 0,
    ) -> None:
        """Put a job into the queue, inside the transaction of `session` if given. Higher priority goes first.

        Raises NotReady when the database is away.
        """
        connection = await driver_connection(session) if session else None
        later: dict[str, Any] = {"schedule_in": {"seconds": after_s}} if after_s else {}
        job = self._app.configure_task(name, allow_unknown=True, priority=priority, connection=connection, **later)
        try:
            await job.defer_async(**arguments)
        except ConnectorException as problem:
            raise (NotReady() if _is_away(problem) else problem) from problem

    async def defer_all(self, name: str, arguments: Sequence[dict[str, Any]], *, session: AsyncSession) -> None:
        """Put many jobs of one kind into the queue, inside the transaction of `session`. Raises NotReady."""
        job = self._app.configure_task(name, allow_unknown=True, connection=await driver_connection(session))
        try:
            await job.batch_defer_async(*arguments)
        except ConnectorException as problem:
            raise (NotReady() if _is_away(problem) else problem) from problem

    async def run(self, jobs: Mapping[str, JobFunction], *, concurrency: int, name: str, wait: bool = True) -> None:
        """Run jobs until cancelled, or without `wait` until none is left.

        At a stop the jobs under way get a moment to finish. When the database goes away it is waited for.
        """
        for job_name, function in jobs.items():
            self._app.tasks.pop(job_name, None)  # the same again when a queue is run twice
            self._app.task(name=job_name, pass_context=False)(function)
        while True:
            try:
                await self._run_once(concurrency=concurrency, name=name, wait=wait)
            except ConnectorException as problem:
                if not wait or not _is_away(problem):
                    raise
            if not wait:
                return
            log.warning("queue_lost")
            await asyncio.sleep(RECONNECT_AFTER_S)

    async def _run_once(self, *, concurrency: int, name: str, wait: bool) -> None:
        await self._app.run_worker_async(
            name=name,
            wait=wait,
            concurrency=concurrency,
            install_signal_handlers=False,
            listen_notify=True,
            fetch_job_polling_interval=2.0,
            shutdown_graceful_timeout=5.0,
            update_heartbeat_interval=HEARTBEAT_S,
            stalled_worker_timeout=STALLED_AFTER_S,
            delete_jobs="successful",
        )

    async def requeue_stalled(self) -> int:
        """Give the jobs of dead workers back to the queue; the number of them."""
        stalled = list(await self._app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_AFTER_S))
        for job in stalled:
            await self._app.job_manager.retry_job(job)
            log.warning("job_requeued", job=job.task_name, job_id=job.id)
        return len(stalled)


def _is_away(problem: ConnectorException) -> bool:
    """Whether the reason is the connection, not the statement."""
    return isinstance(problem.__cause__, psycopg.OperationalError | psycopg.InterfaceError)


async def waiting_jobs(session: AsyncSession) -> int:
    """How many jobs wait or run."""
    found = await session.execute(text("SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"))
    return int(found.scalar_one())


async def live_workers(session: AsyncSession) -> int:
    """How many workers have shown a sign of life lately."""
    found = await session.execute(
        text("SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - make_interval(secs => :age)"),
        {"age": STALLED_AFTER_S + HEARTBEAT_S},
    )
    return int(found.scalar_one())
