"""Two at once: workers, sweepers, people and uploads that meet over the same document."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from rag_app.database.engine import without_driver
from rag_app.ingestion.parsed import ParsedDocument
from rag_app.ingestion.pipeline import Workshop, ingest
from rag_app.ingestion.sandbox import ParserPool
from rag_app.jobs import claims
from rag_app.jobs.claims import Claim
from rag_app.services import idempotency
from rag_app.services.context import Context
from rag_app.services.documents import delete_document, get_document, retry_document
from rag_app.services.embedding import Vectors
from rag_app.services.ingestion import erase_document, sweep
from rag_app.services.intake import Accepted, IncomingFile, IncomingText, add_file, add_texts
from rag_app.services.knowledge import NewKnowledgeBase, create_knowledge_base, delete_knowledge_base
from rag_app.services.permissions import Actor
from rag_app.services.search import Query, search_knowledge_base
from rag_app.services.tasks import cancel_task, get_task
from tests.truth import HALF, wrong_statistics
from tests.workspaces import make_actor, open_workshop, work_off

Desk = tuple[Context, Actor, UUID]


@pytest.fixture
async def desk(context: Context) -> Desk:
    """A person and an empty knowledge base."""
    actor = await make_actor(context)
    return context, actor, (await create_knowledge_base(context, actor, NewKnowledgeBase("Races"))).id


class Gate:
    """Stops whoever comes by until it is opened."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def pass_by(self) -> None:
        self.reached.set()
        await self.opened.wait()


class GatedPool(ParserPool):
    """The real parsers, behind a gate."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(size=1)
        self._gate = gate

    async def parse(
        self, path: Path, *, filename: str, media_type: str | None = None, timeout_s: float = 60
    ) -> ParsedDocument:
        await self._gate.pass_by()
        return await super().parse(path, filename=filename, media_type=media_type, timeout_s=timeout_s)


def gated_embedding(workshop: Workshop, gate: Gate) -> Workshop:
    """The same workshop whose embedder waits at the gate."""

    async def embed(workspace_id: UUID, model: str, texts: list[str]) -> Vectors:
        await gate.pass_by()
        return await workshop.embed(workspace_id, model, texts)

    return replace(workshop, embed=embed)


@asynccontextmanager
async def at_phase(workshop: Workshop, phase: str, gate: Gate) -> AsyncIterator[Workshop]:
    """A workshop that stops in this phase."""
    if phase == "embedding":
        yield gated_embedding(workshop, gate)
        return
    async with GatedPool(gate) as pool:
        yield replace(workshop, pool=pool)


@asynccontextmanager
async def alive(context: Context) -> AsyncIterator[Claim]:
    """A claim that is held inside the block."""
    claim = Claim(context.url)
    keeping = asyncio.create_task(claim.keep())
    await claim.number()
    try:
        yield claim
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def one(context: Context, statement: str, **values: Any) -> Any:
    """The first row."""
    async with context.transaction() as session:
        return (await session.execute(text(statement), values)).one()


async def add(desk: Desk, words: str, external_id: str | None = None) -> Accepted:
    """A small file."""
    context, actor, base = desk

    async def stream() -> AsyncIterator[bytes]:
        yield f"{words}\n".encode()

    return await add_file(context, actor, base, IncomingFile("note.md", stream(), external_id=external_id))


async def newest(context: Context, document: UUID | None) -> UUID:
    """The newest version of a document."""
    row = await one(context, "SELECT latest_version_id FROM documents WHERE id = :id", id=document)
    return UUID(str(row[0]))


def assert_whole(desk: Desk) -> None:
    """No half document, no row without an owner, statistics equal to a recount."""
    context, _, base = desk
    with psycopg.connect(without_driver(context.url), autocommit=True) as connection:
        assert connection.execute(HALF, {"kb": base}).fetchall() == []
        assert wrong_statistics(connection, str(base)) == []


async def found(desk: Desk, question: str) -> list[str]:
    """The texts a search shows."""
    context, actor, base = desk
    result = await search_knowledge_base(context, actor, base, Query(question, mode="lexical"))
    return [passage.text for passage in result.passages]


async def test_two_workers_at_once_share_the_versions_and_do_none_twice(desk: Desk) -> None:
    context, _, base = desk
    versions = [await newest(context, (await add(desk, f"Number {place} is here.")).id) for place in range(6)]
    async with open_workshop(context) as first, alive(context) as mine, alive(context) as other:
        workers = [replace(first, worker=mine.number), replace(first, worker=other.number)]
        outcomes = await asyncio.gather(*(ingest(each, base, versions) for each in workers))
    assert sum(outcome.ready for outcome in outcomes) == 6
    row = await one(context, "SELECT max(attempt), count(*) FROM versions WHERE state = 'ready'")
    assert tuple(row) == (1, 6)
    assert_whole(desk)


@pytest.mark.parametrize("phase", ["reading", "embedding"])
async def test_a_late_worker_is_fenced(desk: Desk, phase: str) -> None:
    context, _, base = desk
    accepted = await add(desk, "The late worker comes too late.")
    version, gate = await newest(context, accepted.id), Gate()
    async with open_workshop(context) as workshop, at_phase(workshop, phase, gate) as slow:
        late = asyncio.create_task(ingest(slow, base, [version]))  # its claim is not held: it counts as dead
        await gate.reached.wait()
        assert await sweep(context) == 1
        assert (await ingest(workshop, base, [version])).ready == 1
        passages = await one(context, "SELECT array_agg(id ORDER BY id) FROM passages")
        gate.opened.set()
        assert (await late).ready == 0
    assert await one(context, "SELECT array_agg(id ORDER BY id) FROM passages") == passages
    assert tuple(await one(context, "SELECT state, attempt FROM versions")) == ("ready", 2)
    assert_whole(desk)


@pytest.mark.parametrize("phase", ["reading", "embedding"])
async def test_the_sweeper_leaves_a_living_worker_alone(desk: Desk, phase: str) -> None:
    context, _, base = desk
    version, gate = await newest(context, (await add(desk, "Still at work.")).id), Gate()
    async with open_workshop(context) as workshop, at_phase(workshop, phase, gate) as slow:
        async with alive(context) as claim:
            work = asyncio.create_task(ingest(replace(slow, worker=claim.number), base, [version]))
            await gate.reached.wait()
            assert await sweep(context) == 0
            assert (await ingest(workshop, base, [version])).ready == 0  # nor does another worker take it
        assert await sweep(context) == 1  # the claim is gone
        gate.opened.set()
        assert (await work).ready == 0
        await work_off(context, workshop)
    assert tuple(await one(context, "SELECT state, attempt FROM versions")) == ("ready", 2)
    assert_whole(desk)


async def test_a_lost_claim_comes_back_under_another_number(context: Context) -> None:
    async with alive(context) as claim:
        first = await claim.number()
        ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND objid = :number"
        assert (await one(context, ended, number=first))[0] == 1
        async with asyncio.timeout(30):
            while await claim.number() == first:  # noqa: ASYNC110  the claim has no event for others
                await asyncio.sleep(0.05)
        assert (await one(context, ended, number=first))[0] == 0


async def test_a_worker_that_says_nothing_loses_its_claim(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "SILENT_S", 1)
    monkeypatch.setattr(claims, "CHECK_EVERY_S", 3)
    async with alive(context) as claim:
        number = await claim.number()
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = :number"
        assert (await one(context, held, number=number))[0] == 1
        async with asyncio.timeout(30):
            while (await one(context, held, number=number))[0]:  # noqa: ASYNC110  the database tells nobody
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("phase", ["reading", "embedding"])
async def test_a_document_deleted_meanwhile_stays_deleted(desk: Desk, phase: str) -> None:
    context, actor, base = desk
    accepted = await add(desk, "Deleted while it was read.")
    version, gate = await newest(context, accepted.id), Gate()
    async with open_workshop(context) as workshop, at_phase(workshop, phase, gate) as slow:
        work = asyncio.create_task(ingest(slow, base, [version]))
        await gate.reached.wait()
        assert accepted.id and accepted.task_id
        await delete_document(context, actor, accepted.id)
        gate.opened.set()
        assert (await work).ready == 0
    assert (await get_task(context, actor, accepted.task_id)).status == "cancelled"
    assert tuple(await one(context, "SELECT (SELECT count(*) FROM passages), (SELECT count(*) FROM lexical)")) == (0, 0)
    await erase_document(context, base, accepted.id)
    assert (await one(context, "SELECT count(*) FROM documents"))[0] == 0
    assert_whole(desk)


@pytest.mark.parametrize("phase", ["reading", "embedding"])
async def test_a_cancelled_task_stays_cancelled_and_can_be_retried(desk: Desk, phase: str) -> None:
    context, actor, base = desk
    accepted = await add(desk, "Cancelled while it was read.")
    version, gate = await newest(context, accepted.id), Gate()
    assert accepted.id and accepted.task_id
    async with open_workshop(context) as workshop, at_phase(workshop, phase, gate) as slow:
        work = asyncio.create_task(ingest(slow, base, [version]))
        await gate.reached.wait()
        assert (await cancel_task(context, actor, accepted.task_id)).status == "cancelled"
        retried = await retry_document(context, actor, accepted.id)  # while the first attempt still goes on
        assert retried.status == "queued"
        gate.opened.set()
        assert (await work).ready == 0
        assert (await get_document(context, actor, accepted.id)).status == "queued"
        await work_off(context, workshop)
    assert (await get_document(context, actor, accepted.id)).status == "ready"
    assert (await get_task(context, actor, accepted.task_id)).status == "done"
    assert_whole(desk)


@pytest.mark.parametrize("phase", ["reading", "embedding"])
async def test_a_newer_version_overtakes_the_one_that_is_read(desk: Desk, phase: str) -> None:
    context, actor, base = desk
    first = await add(desk, "The fee is ten euros.", "fee")
    old, gate = await newest(context, first.id), Gate()
    async with open_workshop(context) as workshop, at_phase(workshop, phase, gate) as slow:
        work = asyncio.create_task(ingest(slow, base, [old]))
        await gate.reached.wait()
        second = await add(desk, "The fee is twelve euros.", "fee")
        assert second.id == first.id
        assert (await ingest(workshop, base, [await newest(context, first.id)])).ready == 1
        gate.opened.set()
        assert (await work).ready == 0
    assert await found(desk, "what is the fee") == ["The fee is twelve euros."]
    assert first.task_id and second.task_id
    ended = await get_task(context, actor, first.task_id)
    assert (ended.status, ended.error.code if ended.error else "") == ("cancelled", "cancelled")
    assert (await get_task(context, actor, second.task_id)).status == "done"
    assert await sweep(context) == 0
    assert_whole(desk)


async def test_two_versions_that_flip_at_the_same_moment_leave_the_newer_one(desk: Desk) -> None:
    context, _, base = desk
    first = await add(desk, "The fee is ten euros.", "fee")
    old = await newest(context, first.id)
    await add(desk, "The fee is twelve euros.", "fee")
    new, gate = await newest(context, first.id), Gate()
    async with open_workshop(context) as workshop, flips_held(context) as release:
        older = asyncio.create_task(ingest(gated_embedding(workshop, gate), base, [old]))
        await gate.reached.wait()
        newer = asyncio.create_task(ingest(workshop, base, [new]))
        await wait_for_lock(context, "%INSERT INTO lexical_deltas%")  # inside its flip
        gate.opened.set()
        await wait_for_lock(context, "%documents%FOR UPDATE%")  # before its own
        await release()
        assert [(await newer).ready, (await older).ready] == [1, 0]
    assert await found(desk, "what is the fee") == ["The fee is twelve euros."]
    assert_whole(desk)


@asynccontextmanager
async def flips_held(context: Context) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Every flip stops after it has written its rows, until the given function is called."""
    async with await psycopg.AsyncConnection.connect(without_driver(context.url)) as blocker:
        await blocker.execute("LOCK TABLE lexical_deltas IN EXCLUSIVE MODE")
        yield blocker.rollback


async def wait_for_lock(context: Context, query: str) -> None:
    """Wait until a statement like this one waits for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE :query"
    async with asyncio.timeout(30):
        while (await one(context, waiting, query=query))[0] == 0:  # noqa: ASYNC110  the database tells nobody
            await asyncio.sleep(0.02)


async def test_a_knowledge_base_deleted_during_a_flip_takes_it_along(desk: Desk) -> None:
    context, actor, base = desk
    version = await newest(context, (await add(desk, "Here and gone.")).id)
    async with open_workshop(context) as workshop, flips_held(context) as release:
        flip = asyncio.create_task(ingest(workshop, base, [version]))
        await wait_for_lock(context, "%INSERT INTO lexical_deltas%")
        deletion = asyncio.create_task(delete_knowledge_base(context, actor, base))
        await wait_for_lock(context, "%documents%FOR UPDATE%")
        await release()
        await asyncio.gather(flip, deletion)
    for table in ("versions", "passages", "lexical", "embeddings", "lexical_deltas"):
        assert (await one(context, f"SELECT count(*) FROM {table}"))[0] == 0, table


async def at_once(count: int, work: Callable[[int], Awaitable[Any]]) -> list[Any]:
    """The same from several clients at once."""
    return list(await asyncio.gather(*(work(number) for number in range(count))))


async def test_the_same_file_from_eight_clients_at_once_is_one_document(desk: Desk) -> None:
    context, _, _ = desk
    answers = await at_once(8, lambda _: add(desk, "All of us send this."))
    assert len({answer.id for answer in answers}) == 1
    assert sorted(answer.duplicate for answer in answers) == [False] + [True] * 7
    async with open_workshop(context) as workshop:
        await work_off(context, workshop)
    assert await found(desk, "all of us send") == ["All of us send this."]
    assert_whole(desk)


@pytest.mark.parametrize("named", [False, True], ids=["by content", "by external id"])
async def test_the_same_texts_in_other_orders_at_once_do_not_lock_up(desk: Desk, named: bool) -> None:
    context, actor, base = desk
    texts = [IncomingText(f"Text number {place}.", f"id-{place}" if named else None) for place in range(20)]

    async def send(number: int) -> list[Accepted]:
        turned = texts[number:] + texts[:number]
        return await add_texts(context, actor, base, list(reversed(turned)) if number % 2 else turned)

    async with open_workshop(context) as workshop:
        answers = await at_once(8, send)
        assert len({item.id for answer in answers for item in answer}) == 20
        working = asyncio.create_task(work_off(context, workshop))
        await at_once(8, send)  # while the flips lock the same documents
        await working
        await work_off(context, workshop)
    assert tuple(await one(context, "SELECT count(*), count(DISTINCT document_id) FROM versions")) == (20, 20)
    assert_whole(desk)


async def test_a_failed_document_sent_again_is_watched_from_the_beginning(desk: Desk) -> None:
    context, actor, _ = desk
    accepted = await add(desk, "Once more, please.")
    assert accepted.task_id
    await cancel_task(context, actor, accepted.task_id)
    again = await add(desk, "Once more, please.")
    assert (again.duplicate, again.task_id, again.status) == (True, accepted.task_id, "queued")
    assert (await get_task(context, actor, accepted.task_id)).status == "queued"
    async with open_workshop(context) as workshop:
        await work_off(context, workshop)
    assert (await get_task(context, actor, accepted.task_id)).status == "done"


async def test_an_orderly_stop_does_not_count_against_a_document(desk: Desk) -> None:
    context, _, base = desk
    version, gate = await newest(context, (await add(desk, "Stopped many times.")).id), Gate()
    async with open_workshop(context) as workshop:
        for _ in range(8):
            gate = Gate()
            work = asyncio.create_task(ingest(gated_embedding(workshop, gate), base, [version]))
            await gate.reached.wait()
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            assert tuple(await one(context, "SELECT state, failures, claimed_by FROM versions")) == ("queued", 0, None)
        assert (await ingest(workshop, base, [version])).ready == 1


async def test_a_version_whose_job_was_lost_is_found(desk: Desk) -> None:
    context, _, _ = desk
    await add(desk, "The job of this one is lost.")
    async with context.transaction() as session:
        await session.execute(text("DELETE FROM procrastinate_jobs"))
        await session.execute(text("UPDATE versions SET updated_at = now() - interval '1 minute'"))
    assert await sweep(context) == 1
    assert await sweep(context) == 0
    async with open_workshop(context) as workshop:
        await work_off(context, workshop)
    assert (await one(context, "SELECT state FROM versions"))[0] == "ready"


async def test_a_request_left_behind_by_a_dead_process_may_be_sent_again_at_once(context: Context) -> None:
    place = idempotency.Place("user:somebody", "/somewhere", "once")
    async with alive(context) as claim:
        serving = replace(context, claim=claim)
        first = await idempotency.claim(serving, place)
        assert isinstance(first, UUID)
        assert isinstance(await idempotency.claim(context, place), idempotency.Earlier)  # it is still at work
    second = await idempotency.claim(context, place)
    assert isinstance(second, UUID) and second != first


async def test_an_original_uploaded_anew_survives_the_collector(context: Context) -> None:
    actor = await make_actor(context)
    stored = await context.files.put_bytes(actor.workspace_id, b"the same bytes", limit=100)
    assert not await context.files.delete_old(stored.key, 60)
    assert await context.files.read(stored.key) == b"the same bytes"
    assert await context.files.delete_old(stored.key, -1)
    assert not await context.files.delete_old(stored.key, -1)
