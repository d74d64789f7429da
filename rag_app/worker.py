"""Door 2: runs queued jobs. The table below says which use case a job triggers."""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID

from rag_app.database.planning import refresh_planning
from rag_app.egress import Egress, Rules
from rag_app.errors import RagError
from rag_app.ingestion.sandbox import ParserPool
from rag_app.ingestion.workshop import Workshop
from rag_app.jobs.claims import Claim
from rag_app.jobs.queue import JobFunction
from rag_app.jobs.schedule import ScheduleBook
from rag_app.services import index_jobs, ingestion, source_runs
from rag_app.services.archives import expand
from rag_app.services.context import Context, open_context
from rag_app.services.crawl import crawl as crawl_run
from rag_app.services.document_passwords import open_password
from rag_app.services.embedding import Vectors, embed_texts
from rag_app.services.figures import Tally
from rag_app.services.health import readiness
from rag_app.services.runs import end_abandoned_runs
from rag_app.services.traces import forget_old_traces
from rag_app.settings import Settings
from rag_app.telemetry import jobs_total, log

CONCURRENCY = 4  # one file is read, another embedded, a third published, and a small one need not wait
SWEEP_EVERY_S = 2.0
FORGET_EVERY_S = 3600.0
RESUMED_BY_SWEEPER = frozenset({"ingest", "crawl", "reindex", "drop_index"})  # what it was at gets another attempt
SCHEDULE = {"merge": 20.0, "index": 60.0, "collect": 600.0, "fire": 10.0}  # job -> every so many seconds


def jobs_of(context: Context, workshop: Workshop) -> dict[str, JobFunction]:
    """Name of a job -> the use case it triggers."""

    async def ingest(knowledge_base_id: str, versions: list[str], waits: int = 0) -> None:
        ids = [UUID(each) for each in versions]
        await ingestion.ingest_versions(context, workshop, UUID(knowledge_base_id), ids, waits=waits)

    async def erase(knowledge_base_id: str, document_id: str) -> None:
        await ingestion.erase_document(context, UUID(knowledge_base_id), UUID(document_id))

    async def crawl(run_id: str) -> None:
        await crawl_run(context, workshop, UUID(run_id))

    async def fire() -> None:
        await source_runs.fire_due(context)

    async def collect() -> None:
        await ingestion.collect(context)

    async def merge() -> None:
        await ingestion.merge_all_statistics(context)

    async def index() -> None:
        await ingestion.tend_vector_indexes(context)

    jobs: dict[str, JobFunction] = {
        "ingest": ingest,
        "erase": erase,
        "crawl": crawl,
        "fire": fire,
        "collect": collect,
        "merge": merge,
        "index": index,
        "reindex": partial(index_jobs.build_index, context, workshop),
        "drop_index": partial(index_jobs.remove_index, context),
    }
    tally = Tally()
    return {name: _counted(name, job, context, tally) for name, job in jobs.items()}


def _counted(name: str, job: JobFunction, context: Context, tally: Tally) -> JobFunction:
    """The job, with its end counted."""

    async def run(**arguments: Any) -> None:
        outcome = "failed"
        try:
            await job(**arguments)
            outcome = "done"
        except Exception:
            log.exception("job_failed", job=name)
            if name not in RESUMED_BY_SWEEPER:
                raise
        finally:
            jobs_total.labels(name, outcome).inc()
            await tally.publish(context)

    return run


async def run_worker(context: Context, *, started: asyncio.Event | None = None) -> None:
    """Work until cancelled."""
    settings = context.settings
    claim = Claim(settings.database_direct_url or context.url)
    name = f"{socket.gethostname()}:{os.getpid()}"
    async with ParserPool() as pool:
        workshop = Workshop(
            engine=context.engine,
            files=context.files,
            pool=pool,
            egress=Egress(Rules(settings.private_hosts)),
            embed=partial(_embed, context),
            worker=claim.number,
            max_bytes=settings.max_upload_mb * 1_000_000,
            unseal=partial(open_password, context.keys),
            expand=partial(expand, context, pool),
        )
        async with asyncio.TaskGroup() as group:
            side_tasks = [group.create_task(claim.keep())]
            await claim.number()
            log.info("worker_started", name=name)
            if started:
                started.set()
            side_tasks += [group.create_task(chore) for chore in _chores(context)]
            book = ScheduleBook(context.engine, context.queue, SCHEDULE)
            book.open()
            try:
                await context.queue.run(jobs_of(context, workshop), concurrency=CONCURRENCY, name=name)
            finally:
                book.close()
                for task in side_tasks:
                    task.cancel()
    log.info("worker_stopped", name=name)


def _chores(context: Context) -> list[Coroutine[None, None, None]]:
    return [
        _regularly(SWEEP_EVERY_S, partial(ingestion.sweep, context)),
        _regularly(SWEEP_EVERY_S, partial(index_jobs.sweep_indexes, context)),
        _regularly(SWEEP_EVERY_S, partial(refresh_planning, context.engine)),
        _regularly(SWEEP_EVERY_S, partial(source_runs.resume_runs, context)),
        _regularly(SWEEP_EVERY_S, partial(end_abandoned_runs, context)),
        _regularly(FORGET_EVERY_S, partial(forget_old_traces, context)),
    ]


@asynccontextmanager
async def working_if_nobody_does(context: Context, *, wanted: bool) -> AsyncIterator[None]:
    """Run a worker inside this process for as long as the block takes, unless one is alive already."""
    if not wanted or (await readiness(context)).workers:
        yield
        return
    started = asyncio.Event()
    work = asyncio.create_task(run_worker(context, started=started))
    try:
        await started.wait()
        yield
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def _embed(context: Context, workspace_id: UUID, model: str, texts: list[str]) -> Vectors:
    return await embed_texts(context, workspace_id, model, texts, purpose="document")


async def _regularly(every_s: float, chore: Callable[[], Awaitable[object]]) -> None:
    """Do a chore again and again; trouble is logged, and the next round comes."""
    while True:
        try:
            await chore()
        except RagError as problem:
            log.warning("chore_failed", code=problem.code)
        except Exception:  # the door: one bad round must not end the worker
            log.exception("chore_failed")
        await asyncio.sleep(every_s)


async def main(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; work under way gets a moment to finish."""
    work = asyncio.current_task()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, lambda: work.cancel() if work else None)
    gc.freeze()  # what was loaded stays: it need not be looked through again and again
    try:
        async with open_context(settings, pool_size=6, waits_for_disk=False) as context:
            await run_worker(context)
    except asyncio.CancelledError:
        log.info("worker_stopped")
