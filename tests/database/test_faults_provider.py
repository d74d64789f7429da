"""A provider of embeddings that is away, refuses one text, or is well again: documents wait, and say for what."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from rag_app.providers.circuit import SWITCHBOARD
from rag_app.services.context import Context
from rag_app.services.documents import DocumentFilter, get_document, list_documents
from rag_app.services.intake import IncomingText, add_texts
from rag_app.services.knowledge import NewKnowledgeBase, create_knowledge_base
from rag_app.services.models import ProviderEntry, add_provider
from rag_app.services.paging import PageRequest
from rag_app.settings import get_settings
from rag_app.state.documents import document_row
from tests.provider_double import Answer, ProviderDouble, Recorded, server_error
from tests.races import Desk, assert_whole
from tests.workspaces import make_actor, open_workshop, work_off

MODEL = "compatible/double-embedder"


@pytest.fixture
def reachable(provider: ProviderDouble, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProviderDouble]:
    """A provider on this machine that the operator has allowed; what it did before is forgotten."""
    monkeypatch.setenv("RAG_ALLOWED_PRIVATE_HOSTS", f"127.0.0.1:{provider.port}")
    monkeypatch.setattr("rag_app.providers.embeddings._BACKOFF_S", 0.001)
    get_settings.cache_clear()
    SWITCHBOARD.reset()
    yield provider
    SWITCHBOARD.reset()
    get_settings.cache_clear()


@pytest.fixture
async def desk(context: Context, reachable: ProviderDouble) -> Desk:
    """A person, and a knowledge base whose passages the provider embeds."""
    actor = await make_actor(context)
    entry = ProviderEntry("compatible", api_key="sk-double-0123456789", base_url=reachable.base_url)
    await add_provider(context, actor, entry)
    base = await create_knowledge_base(context, actor, NewKnowledgeBase("Away", embedding_model=MODEL))
    return context, actor, base.id


async def _add(desk: Desk, *texts: str) -> list[UUID]:
    context, actor, base = desk
    accepted = await add_texts(context, actor, base, [IncomingText(each) for each in texts])
    return [each.id for each in accepted if each.id]


async def _due(context: Context) -> None:
    """The time after which the waiting jobs are due has passed."""
    async with context.transaction() as session:
        await session.execute(text("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo'"))


async def _waits(context: Context) -> list[float]:
    query = "SELECT extract(epoch FROM scheduled_at - now())::float FROM procrastinate_jobs WHERE status = 'todo'"
    async with context.transaction() as session:
        return [float(row[0]) for row in (await session.execute(text(query))).all()]


async def test_an_outage_uses_up_no_attempts_and_says_what_it_waits_for(desk: Desk, reachable: ProviderDouble) -> None:
    context, actor, _ = desk
    [document] = await _add(desk, "Somebody must embed this.")
    reachable.default = server_error(503)
    waits = []
    async with open_workshop(context) as workshop:
        for _ in range(8):  # more often than a document may be broken off
            SWITCHBOARD.reset()
            await work_off(context, workshop)
            waits += await _waits(context)
            card = await get_document(context, actor, document)
            assert (card.status, card.error.code if card.error else "") == ("queued", "provider_error")
            await _due(context)
        row = document_row(card)
        assert row.status == "waiting" and "has a problem of its own (status 503)" in row.error
        reachable.default = Answer()
        SWITCHBOARD.reset()
        await work_off(context, workshop)
    card = await get_document(context, actor, document)
    assert (card.status, card.error) == ("ready", None)
    assert [round(each / 10) for each in waits] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert_whole(desk)


async def test_one_text_that_the_provider_refuses_harms_no_other(desk: Desk, reachable: ProviderDouble) -> None:
    context, actor, base = desk

    def judge(request: Recorded) -> Answer:
        inputs: Any = request.body.get("input")
        if any("forbidden" in each for each in inputs):
            return Answer(status=400, error={"message": "I do not embed this.", "type": "invalid_request_error"})
        return Answer()

    reachable.default = judge
    await _add(desk, *(f"This is number {place}, {'forbidden' if place == 7 else 'allowed'}." for place in range(20)))
    async with open_workshop(context) as workshop:
        await work_off(context, workshop)
    page = await list_documents(context, actor, base, wanted=DocumentFilter(), page=PageRequest(limit=50))
    by_status = {status: [each for each in page.items if each.status == status] for status in ("ready", "failed")}
    assert (len(by_status["ready"]), len(by_status["failed"])) == (19, 1)
    [failed] = by_status["failed"]
    assert failed.title.startswith("This is number 7") and failed.error
    assert "refused the request with status 400" in failed.error.message
    assert_whole(desk)


async def test_nobody_waits_for_ever(desk: Desk, reachable: ProviderDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    context, actor, _ = desk
    monkeypatch.setattr("rag_app.ingestion.pipeline.MOST_WAITS", 2)
    [document] = await _add(desk, "Nobody ever embeds this.")
    reachable.default = server_error(500)
    async with open_workshop(context) as workshop:
        for _ in range(3):
            SWITCHBOARD.reset()
            await work_off(context, workshop)
            await _due(context)
    card = await get_document(context, actor, document)
    assert card.status == "failed" and card.error and "has a problem of its own (status 500)" in card.error.message


async def test_embeddings_that_were_paid_for_are_not_paid_for_again(
    desk: Desk, reachable: ProviderDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, _, _ = desk
    words = [f"Number {place} of many texts about harbours." for place in range(100)]
    await _add(desk, *words)
    asked: list[int] = []

    def second_fails(request: Recorded) -> Answer:
        asked.append(len(request.body["input"]))
        return server_error(400) if len(asked) == 2 else Answer()

    reachable.default = second_fails
    monkeypatch.setattr("rag_app.ingestion.embed.BATCH", 40)
    async with open_workshop(context) as workshop:
        await work_off(context, workshop)
    kept = "SELECT count(*), (SELECT count(*) FROM versions WHERE state = 'ready') FROM embedding_cache"
    async with context.transaction() as session:
        row = (await session.execute(text(kept))).one()
    assert tuple(row) == (100, 100)
    assert sum(asked) == 140  # the batch that failed, and nothing else, was asked for twice
