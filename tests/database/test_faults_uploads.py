"""Uploads at once, and what meets them: equal bytes, other orders, a deletion, the collector, a dead process."""

import asyncio
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import text

from rag_app.ingestion.pipeline import ingest
from rag_app.services import idempotency
from rag_app.services.acceptance import Accepted
from rag_app.services.context import Context
from rag_app.services.intake import IncomingText, add_texts
from rag_app.services.knowledge import NewKnowledgeBase, create_knowledge_base, delete_knowledge_base
from rag_app.services.tasks import cancel_task, get_task
from tests.races import (
    Desk,
    add,
    alive,
    assert_whole,
    at_once,
    flips_held,
    found,
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


async def test_one_file_need_not_wait_for_a_thousand_of_another_knowledge_base(desk: Desk) -> None:
    context, actor, _ = desk
    other = (context, actor, (await create_knowledge_base(context, actor, NewKnowledgeBase("Others"))).id)
    for place in range(30):
        await add(desk, f"This is file {place} of very many.")
    mine = await add(other, "This is the only one.")
    async with context.transaction() as session:
        found = await session.execute(
            text("SELECT args->'versions'->>0 FROM procrastinate_jobs ORDER BY priority DESC, id")  # as it is fetched
        )
        order = [UUID(each) for each in found.scalars()]
    assert order.index(await newest(context, mine.id)) == 19  # what is being added counts as waiting, too
    assert len(order) == 31
