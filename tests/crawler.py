"""A crawler for tests: a knowledge base, a workshop that may reach the test's own website, and figures to look at."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import UUID

from sqlalchemy import text

from rag_app.egress import Egress, Rules
from rag_app.ingestion.workshop import Workshop
from rag_app.services.context import Context
from rag_app.services.knowledge import NewKnowledgeBase, create_knowledge_base
from rag_app.services.permissions import Actor
from rag_app.services.search import Query, search_knowledge_base
from rag_app.services.source_runs import RunCard, get_run, start_run
from rag_app.services.sources import NewSource, SourceCard, create_source, update_source
from tests.workspaces import make_actor, open_workshop, work_off


class Served(Protocol):
    """A server of the test's own."""

    @property
    def host(self) -> str:
        """Host and port."""


FAST = {"pages_per_second": 50.0}


@dataclass
class Crawler:
    """A knowledge base with a workshop that may reach the site."""

    context: Context
    workshop: Workshop
    actor: Actor
    base: UUID

    async def add(self, kind: str, address: str, **settings: object) -> SourceCard:
        """A new source."""
        new = NewSource(kind, address, settings={**FAST, **settings})  # type: ignore[arg-type]  # named by the test
        return await create_source(self.context, self.actor, self.base, new)

    async def change(self, source: SourceCard, changes: dict[str, object]) -> SourceCard:
        """The source with other settings."""
        return await update_source(self.context, self.actor, source.id, changes=changes)

    async def run(self, source: SourceCard, *, confirmed: bool = False) -> RunCard:
        """Run a source to its end, with all that follows from it."""
        started = await start_run(self.context, self.actor, source.id, may_retire_many=confirmed)
        await work_off(self.context, self.workshop)
        return await get_run(self.context, self.actor, started.id)

    async def count(self, statement: str) -> int:
        """A figure of the database."""
        async with self.context.transaction() as session:
            return int((await session.execute(text(statement))).scalar_one())

    async def execute(self, statement: str) -> None:
        """Change the database behind the services."""
        async with self.context.transaction() as session:
            await session.execute(text(statement))

    async def forgive(self, run_id: UUID) -> None:
        """Forget the failures of a run that the test itself has made."""
        async with self.context.transaction() as session:
            await session.execute(text("UPDATE source_runs SET outages = 0 WHERE id = :id"), {"id": run_id})

    async def documents(self) -> list[str]:
        """The addresses of all live documents."""
        async with self.context.transaction() as session:
            statement = "SELECT coalesce(url, external_id) FROM documents WHERE deleted_at IS NULL ORDER BY 1"
            return list((await session.execute(text(statement))).scalars())

    async def finds(self, words: str) -> list[str]:
        """The texts that are found."""
        found = await search_knowledge_base(self.context, self.actor, self.base, Query(words))
        return [passage.text for passage in found.passages]


@asynccontextmanager
async def open_crawler(context: Context, site: Served, **settings: object) -> AsyncIterator[Crawler]:
    """A crawler that may reach the site; `settings` change those of the server."""
    allowed = replace(
        context, settings=context.settings.model_copy(update={"allowed_private_hosts": site.host, **settings})
    )
    actor = await make_actor(allowed)
    base = await create_knowledge_base(allowed, actor, NewKnowledgeBase("Site"))
    async with open_workshop(allowed) as workshop:
        egress = Egress(Rules(frozenset({site.host})))
        yield Crawler(allowed, replace(workshop, egress=egress), actor, base.id)


def figures(run: RunCard) -> tuple[int, int, int, int, int]:
    """Added, changed, unchanged, removed, failed."""
    return run.added, run.changed, run.unchanged, run.removed, run.failed
