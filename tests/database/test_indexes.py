"""Another embedding model or passage size, built beside what is searched, and the way back."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from rag_app.database.engine import without_driver
from rag_app.errors import Busy, Conflict, InvalidInput, ProviderError
from rag_app.ingestion import build, index_rows
from rag_app.providers.circuit import SWITCHBOARD
from rag_app.providers.library import close_clients
from rag_app.retrieval import dense
from rag_app.services.context import Context
from rag_app.services.documents import delete_document, document_passages
from rag_app.services.index_comparison import compare_index
from rag_app.services.index_estimate import estimate_index
from rag_app.services.index_jobs import sweep_indexes
from rag_app.services.indexes import IndexCard, NewIndex, drop_index, list_indexes, start_index, use_index
from rag_app.services.intake import IncomingText, add_texts
from rag_app.services.knowledge import NewKnowledgeBase, create_knowledge_base, get_knowledge_base
from rag_app.services.models import ProviderEntry, add_provider
from rag_app.services.permissions import Actor
from rag_app.services.search import Query, search_knowledge_base
from rag_app.services.tasks import cancel_task, get_task
from rag_app.settings import get_settings
from tests.provider_double import Answer, ProviderDouble, server_error
from tests.truth import HALF, wrong_statistics
from tests.workspaces import make_actor, open_workshop, work_off

MODEL = "compatible/double-embedder"
WORDS = ("harbour", "lantern", "meadow", "copper", "willow", "granite", "orchard", "signal", "timber", "valley")


@pytest.fixture
async def double(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProviderDouble]:
    """A provider of embeddings on this machine that the operator has allowed."""
    monkeypatch.setenv("RAG_ALLOWED_PRIVATE_HOSTS", "127.0.0.1")
    get_settings.cache_clear()
    SWITCHBOARD.reset()
    with ProviderDouble(dimensions=64) as running:
        yield running
        await close_clients()
    get_settings.cache_clear()


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A few passages at a time, and no pauses."""
    monkeypatch.setattr(build, "BATCH", 8)
    monkeypatch.setattr(build, "REST_SHARE", 0.0)
    monkeypatch.setattr(index_rows, "FIRST_WAIT_S", 0)
    yield


class Shelf:
    """A knowledge base of some texts, with what a test does to it."""

    def __init__(self, context: Context, actor: Actor, base: UUID) -> None:
        self.context, self.actor, self.base = context, actor, base

    @classmethod
    async def fill(cls, context: Context, count: int = 12) -> "Shelf":
        """A knowledge base whose documents each say one word that no other says."""
        actor = await make_actor(context)
        base = await create_knowledge_base(context, actor, NewKnowledgeBase("Shelf"))
        shelf = cls(context, actor, base.id)
        await shelf.add(range(count))
        return shelf

    async def add(self, numbers: range) -> list[UUID]:
        """More documents, searchable at the end."""
        texts = [IncomingText(story(number), external_id=f"n{number}") for number in numbers]
        taken = await add_texts(self.context, self.actor, self.base, texts)
        await self.work()
        return [each.id for each in taken if each.id]

    async def work(self) -> None:
        """Run the queue until nothing waits."""
        async with open_workshop(self.context) as workshop:
            await work_off(self.context, workshop)

    async def begin(self, **wanted: Any) -> IndexCard:
        """Begin to build another index."""
        return await start_index(self.context, self.actor, self.base, NewIndex(**wanted))

    async def switch(self, **wanted: Any) -> IndexCard:
        """Build and use another index."""
        begun = await self.begin(auto_flip=True, **wanted)
        await self.work()
        return await self.card(begun.id)

    async def card(self, index_id: int) -> IndexCard:
        """An index as it is now."""
        return next(each for each in await self.cards() if each.id == index_id)

    async def cards(self) -> tuple[IndexCard, ...]:
        """All indexes."""
        return await list_indexes(self.context, self.actor, self.base)

    async def active(self) -> IndexCard:
        """The one that is searched."""
        [found] = [each for each in await self.cards() if each.state == "active"]
        return found

    async def found(self, word: str) -> str:
        """The external id of the best passage for a word."""
        result = await search_knowledge_base(self.context, self.actor, self.base, Query(word))
        return result.passages[0].external_id or "" if result.passages else ""

    async def value(self, statement: str, **values: Any) -> Any:
        """One value from the database."""
        async with self.context.transaction() as session:
            return (await session.execute(text(statement), {"kb": self.base, **values})).scalar_one()

    def is_whole(self) -> None:
        """Each document is searchable with exactly its passages, and the statistics are those of a recount."""
        with psycopg.connect(without_driver(self.context.url), autocommit=True) as connection:
            assert connection.execute(HALF, {"kb": str(self.base)}).fetchall() == []
            assert wrong_statistics(connection, str(self.base)) == []


def mark(number: int) -> str:
    """A word that only one document holds."""
    return "zq" + "".join(chr(ord("a") + int(digit)) for digit in f"{number:05}")


def story(number: int) -> str:
    """Some paragraphs, a few passages long."""
    paragraphs = []
    for place in range(6):
        drawn = (WORDS[(number * 7 + place * 3 + step) % len(WORDS)] for step in range(60))
        paragraphs.append(f"{mark(number)} {' '.join(drawn)}.")
    return "\n\n".join(paragraphs)


async def connect_provider(shelf: Shelf, double: ProviderDouble) -> None:
    entry = ProviderEntry("compatible", api_key="sk-double", base_url=double.base_url)
    await add_provider(shelf.context, shelf.actor, entry)


async def test_another_model_takes_the_place_of_the_one_before(
    context: Context, double: ProviderDouble, small_steps: None
) -> None:
    shelf = await Shelf.fill(context)
    await connect_provider(shelf, double)
    before = await shelf.active()
    begun = await shelf.begin(embedding_model=MODEL)
    assert (begun.state, begun.dimensions) == ("building", 64)
    await shelf.work()
    ready = await shelf.card(begun.id)
    assert (ready.state, ready.phase, (await shelf.active()).id) == ("building", "ready", before.id)
    assert begun.task_id is not None
    assert (await get_task(context, shelf.actor, begun.task_id)).phase == "ready"
    await use_index(context, shelf.actor, shelf.base, begun.id)
    await shelf.work()
    assert (await shelf.active()).id == begun.id
    kept = await shelf.card(before.id)
    assert kept.state == "retired" and kept.drop_at is not None
    task = await get_task(context, shelf.actor, begun.task_id)
    assert (task.status, task.progress, task.result["took_the_place_of"]) == ("done", 1.0, before.id)
    assert (await get_knowledge_base(context, shelf.actor, shelf.base)).embedding_model == MODEL
    assert await shelf.found(mark(3)) == "n3"
    shelf.is_whole()


async def test_another_passage_size_takes_the_place_of_the_one_before(context: Context, small_steps: None) -> None:
    shelf = await Shelf.fill(context)
    before = (await get_knowledge_base(context, shelf.actor, shelf.base)).passages
    index = await shelf.switch(passage_tokens=80)
    assert index.state == "active"
    after = (await get_knowledge_base(context, shelf.actor, shelf.base)).passages
    assert after > 2 * before
    both = await shelf.value("SELECT count(*) FROM passages WHERE knowledge_base_id = :kb")
    assert both == before + after
    assert await shelf.found(mark(5)) == "n5"
    shelf.is_whole()
