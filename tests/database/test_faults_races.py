"""Two at once: workers, sweepers, people and uploads that meet over the same document."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import text

from rag_app.ingestion.pipeline import ingest
from rag_app.jobs import claims
from rag_app.services.context import Context
from rag_app.services.documents import delete_document, get_document, retry_document
from rag_app.services.ingestion import erase_document, sweep
from rag_app.services.knowledge import NewKnowledgeBase, create_knowledge_base
from rag_app.services.tasks import cancel_task, get_task
from tests.races import (
    Desk,
    Gate,
    add,
    alive,
    assert_whole,
    at_phase,
    flips_held,
    found,
    gated_embedding,
    newest,
    one,
    wait_for_lock,
)
from tests.workspaces import make_actor, open_workshop, work_off


@pytest.fixture
async def desk(context: Context) -> Desk:
    """A person and an empty knowledge base."""
    actor = await make_actor(context)
    return context, actor, (await create_knowledge_base(context, actor, NewKnowledgeBase("Races"))).id


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
        async with asyncio.timeout(30):
            while await sweep(context) != 1:  # noqa: ASYNC110  the server notices the end of the claim a moment later
                await asyncio.sleep(0.02)
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
