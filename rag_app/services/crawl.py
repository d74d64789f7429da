"""The job of a run: it visits pages for a few seconds, writes down what became of them, and queues itself again.

It can be killed at any point: what was written is done, what was not is visited again.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Protocol
from uuid import UUID

from rag_app.errors import DocumentFailed, FetchFailed, InvalidInput, NotReady, StorageFull
from rag_app.ingestion.workshop import Workshop
from rag_app.services import frontier, standstill
from rag_app.services.acceptance import add_fetched
from rag_app.services.bucket_reader import BucketReader
from rag_app.services.context import Context
from rag_app.services.folder_reader import FolderReader
from rag_app.services.frontier import Run, Seeds, Visit, WaitingPage
from rag_app.services.git_reader import GitReader
from rag_app.services.retirement import finish_run, retire, should_hold_back
from rag_app.services.sameness import same_pages
from rag_app.services.source_runs import defer_run
from rag_app.services.source_secrets import open_secret
from rag_app.services.web_reader import WebReader
from rag_app.telemetry import log

LOOK_EVERY_S = 1.0  # whether somebody has stopped the run
SLICE_S = 5.0  # then other work gets its turn
LONGEST_STAY_S = 2.0  # a site that wants longer pauses is waited for outside the worker
MOST_OUTAGES = 10  # failures of a site in a row
RELEASE_TRIES = 60
RELEASE_EVERY_S = 0.5


class Reader(Protocol):
    """What visits the pages of one kind of source."""

    @property
    def memory(self) -> Mapping[str, Any]:
        """What is to be remembered with the run: rules of sites, the place of a repository."""

    @property
    def at_once(self) -> int:
        """How many pages are visited together."""

    @property
    def delay_s(self) -> float:
        """How long one page takes at the pace that is allowed."""

    async def seeds(self) -> Seeds:
        """Where the run begins."""

    async def read(self, pages: Sequence[WaitingPage]) -> list[Visit]:
        """Visit some pages; what became of each."""


async def crawl(context: Context, workshop: Workshop, run_id: UUID) -> None:
    """Job: go on with a run. Doing this twice at once is harmless."""
    worker = await workshop.worker()
    async with context.transaction() as session:
        run = await frontier.claim(session, run_id, worker)
    if run is None:
        return
    pause: float | None = 10.0
    try:
        pause = await _while_wanted(context, run, _work(context, workshop, run))
    except asyncio.CancelledError:  # an orderly stop: whoever comes next goes on at once
        pause = 0.0
        raise
    except (FetchFailed, DocumentFailed, InvalidInput) as problem:
        await finish_run(context, run, status="failed", code=problem.code, message=problem.message)
        pause = None
    except (NotReady, StorageFull) as problem:
        log.warning("run_waits", run=run_id, code=problem.code)
    finally:
        if pause is not None:
            await _pause(context, run, pause)


async def _while_wanted(context: Context, run: Run, work: Coroutine[Any, Any, float | None]) -> float | None:
    """Do the work until somebody stops the run, however long the answer takes that it waits for just then."""
    task = asyncio.create_task(work, name=f"crawl {run.id}")
    try:
        while not (await asyncio.wait({task}, timeout=LOOK_EVERY_S))[0]:
            if not await _is_wanted(context, run):
                return None
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _is_wanted(context: Context, run: Run) -> bool:
    try:
        async with context.transaction() as session:
            return await frontier.is_ours(session, run)
    except (NotReady, StorageFull):  # the work will see for itself
        return True


async def _work(context: Context, workshop: Workshop, run: Run) -> float | None:
    """Visit pages for a while; after how many seconds it goes on, None when the run has ended."""
    if run.outages > MOST_OUTAGES:
        raise FetchFailed("The site stopped answering. Nothing was removed; what was read so far is kept.")
    async with _reader(context, workshop, run) as reader:
        if run.phase == "starting":
            run = await _begin(context, run, reader)
        stop_at = time.monotonic() + SLICE_S
        while run.phase == "crawling" and time.monotonic() < stop_at:
            room = (stop_at - time.monotonic()) / max(reader.delay_s, 0.001)
            async with context.transaction() as session:
                pages = await frontier.next_pages(session, run, max(1, min(reader.at_once, int(room))))
            if not pages:
                run = replace(run, phase="retiring")
                break
            visits = await reader.read(pages)
            same = await same_pages(context, workshop, run, visits)
            standing = await _record(context, run, visits, same, memory=reader.memory)
            if standing is None:
                return None
            run = replace(run, found=standing.found, outages=standing.outages, memory=reader.memory)
            if run.outages > MOST_OUTAGES:
                raise FetchFailed("The site stopped answering. Nothing was removed; what was read so far is kept.")
            if wait := max((each.wait_s for each in visits), default=0.0):
                return wait
            if reader.delay_s > LONGEST_STAY_S:
                return reader.delay_s
    return await _end(context, run) if run.phase == "retiring" else 0.0


@asynccontextmanager
async def _reader(context: Context, workshop: Workshop, run: Run) -> AsyncIterator[Reader]:
    if run.kind == "folder":
        yield FolderReader(context.settings, context.files, run)
        return
    secret = open_secret(context.keys, run.source_id, run.sealed)
    async with workshop.egress.visit() as stay:
        if run.kind == "git":
            async with context.transaction() as session:
                before = await standstill.state_before(session, run) if run.phase == "starting" else ""
            yield GitReader(stay, context.files, run, secret=secret, state_before=before)
        elif run.kind == "s3":
            yield BucketReader(stay, context.files, run, secret=secret)
        else:
            yield WebReader(stay, context.files, run)


async def _begin(context: Context, run: Run, reader: Reader) -> Run:
    seeds = await reader.seeds()
    async with context.transaction() as session:
        if await frontier.hold(session, run):
            await frontier.begin(session, run, seeds)
            if seeds.is_unchanged:
                await standstill.take_over(session, run)
    if seeds.is_unchanged:
        return replace(run, phase="retiring", memory=reader.memory, outages=0)
    wanted = min(len(set(seeds.addresses)), run.settings.max_pages)
    return replace(run, phase="crawling", scope=seeds.scope, memory=reader.memory, found=wanted, outages=0)


async def _record(
    context: Context, run: Run, visits: Sequence[Visit], same: Set[UUID], *, memory: Mapping[str, Any]
) -> frontier.Standing | None:
    """Write down some visits in one transaction; None when the run is no longer ours."""
    async with context.transaction() as session:
        if not await frontier.hold(session, run):
            return None
        visits = _settled(visits, await frontier.dead_ends(session, run, visits))
        visits = [_as_before(each) if each.page.id in same else each for each in visits]
        twins = await frontier.find_twins(session, run, visits)
        visits = [replace(each, status="alias", content=None) if each.page.id in twins else each for each in visits]
        fresh = [each for each in visits if each.content is not None]
        contents = [each.content for each in fresh if each.content is not None]
        ids = await add_fetched(context, session, run, fetched=contents)
        documents = {each.page.id: document for each, document in zip(fresh, ids, strict=True)}
        for each in visits:
            await frontier.note(session, each, documents.get(each.page.id, each.page.document_id))
        found, truncated = await frontier.lead_on(session, run, visits)
        if memory != run.memory:
            await frontier.keep_memory(session, run, memory)
        return await frontier.count(session, run, visits, found=found, truncated=truncated)


def _settled(visits: Sequence[Visit], dead_ends: set[str]) -> list[Visit]:
    """A page whose canonical address leads nowhere stands for itself."""
    settled = []
    for each in visits:
        if each.content is None or each.target is None:
            settled.append(each)
        elif each.target in dead_ends:
            settled.append(replace(each, status="changed" if each.page.is_live else "added", target=None))
        else:
            settled.append(replace(each, content=None))
    return settled


def _as_before(visit: Visit) -> Visit:
    """A page that only looks different: what it leads to and its fingerprint are those of today."""
    return replace(visit, status="unchanged", content=None) if visit.status == "changed" else visit


async def _end(context: Context, run: Run) -> float | None:
    """Retire what has vanished, a few documents at a time, and close the run."""
    if not await should_hold_back(context, run):
        stop_at = time.monotonic() + SLICE_S
        while removed := await retire(context, run):
            log.info("pages_retired", run=run.id, count=removed)
            if time.monotonic() > stop_at:
                return 0.0
    await finish_run(context, run, status="done")
    return None


async def _pause(context: Context, run: Run, after_s: float) -> None:
    """Let go of the run and queue it again. When the database stays away, our claim is lost and the sweeper does it."""
    for _ in range(RELEASE_TRIES):
        try:
            async with context.transaction() as session:
                if await frontier.release(session, run):
                    await defer_run(context, session, run.id, after_s=math.ceil(after_s))
            return
        except (NotReady, StorageFull):
            await asyncio.sleep(RELEASE_EVERY_S)
