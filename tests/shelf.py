"""A knowledge base of some texts each of which says a word of its own, and what tests of its indexes do to it."""

from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import text

from rag_app.database.engine import without_driver
from rag_app.retrieval.passages import Passage
from rag_app.services.context import Context
from rag_app.services.index_jobs import sweep_indexes
from rag_app.services.indexes import IndexCard, NewIndex, list_indexes, start_index
from rag_app.services.intake import IncomingText, add_texts
from rag_app.services.knowledge import (
    NewKnowledgeBase,
    create_knowledge_base,
)
from rag_app.services.models import ProviderEntry, add_provider
from rag_app.services.permissions import Actor
from rag_app.services.search import Query, search_knowledge_base
from tests.provider_double import ProviderDouble
from tests.truth import HALF, wrong_statistics
from tests.workspaces import make_actor, open_workshop, work_off

MODEL = "compatible/double-embedder"
WORDS = ("harbour", "lantern", "meadow", "copper", "willow", "granite", "orchard", "signal", "timber", "valley")


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

    async def look(self, words: str) -> tuple[Passage, ...]:
        """What is found."""
        return (await search_knowledge_base(self.context, self.actor, self.base, Query(words, limit=20))).passages

    async def resume(self) -> None:
        """What the sweeper does in a while, now."""
        async with self.context.transaction() as session:
            await session.execute(text("UPDATE indexes SET updated_at = now() - interval '1 minute'"))
        await sweep_indexes(self.context)
        await self.work()

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
