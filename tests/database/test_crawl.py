"""Websites from the address to the search: what is visited, what is left alone, what is removed."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from uuid import UUID

import pytest
from sqlalchemy import text

from rag_app.egress import Egress, Rules
from rag_app.ingestion.pipeline import Workshop
from rag_app.services.context import Context
from rag_app.services.knowledge import NewKnowledgeBase, create_knowledge_base
from rag_app.services.paging import PageRequest
from rag_app.services.permissions import Actor
from rag_app.services.search import Query, search_knowledge_base
from rag_app.services.source_runs import RunCard, get_run, list_runs, start_run
from rag_app.services.sources import NewSource, SourceCard, create_source
from tests.site import Answer, Site
from tests.workspaces import make_actor, open_workshop, work_off

FAST = {"pages_per_second": 50.0}


@pytest.fixture
def site() -> Iterator[Site]:
    """A website of the test's own."""
    with Site() as made:
        yield made


@dataclass
class Crawler:
    """A knowledge base with a workshop that may reach the site."""

    context: Context
    workshop: Workshop
    actor: Actor
    base: UUID
    parsed: int = 0

    async def add(self, kind: str, address: str, **settings: object) -> SourceCard:
        """A new source."""
        new = NewSource(kind, address, settings={**FAST, **settings})  # type: ignore[arg-type]  # named by the test
        return await create_source(self.context, self.actor, self.base, new)

    async def run(self, source: SourceCard, *, confirmed: bool = False) -> RunCard:
        """Run a source to its end, with all that follows from it."""
        started = await start_run(self.context, self.actor, source.id, may_retire_many=confirmed)
        await work_off(self.context, self.workshop)
        return await get_run(self.context, self.actor, started.id)

    async def count(self, statement: str) -> int:
        """A figure of the database."""
        async with self.context.transaction() as session:
            return int((await session.execute(text(statement))).scalar_one())

    async def documents(self) -> list[str]:
        """The addresses of all live documents."""
        async with self.context.transaction() as session:
            statement = "SELECT coalesce(url, external_id) FROM documents WHERE deleted_at IS NULL ORDER BY 1"
            return list((await session.execute(text(statement))).scalars())

    async def finds(self, words: str) -> list[str]:
        """The texts that are found."""
        found = await search_knowledge_base(self.context, self.actor, self.base, Query(words))
        return [passage.text for passage in found.passages]


@pytest.fixture
async def crawler(context: Context, site: Site) -> AsyncIterator[Crawler]:
    """A crawler that may reach the site."""
    async with opened(context, site) as made:
        yield made


@asynccontextmanager
async def opened(context: Context, site: Site) -> AsyncIterator[Crawler]:
    allowed = replace(context, settings=context.settings.model_copy(update={"allowed_private_hosts": site.host}))
    actor = await make_actor(allowed)
    base = await create_knowledge_base(allowed, actor, NewKnowledgeBase("Site"))
    async with open_workshop(allowed) as workshop:
        egress = Egress(Rules(frozenset({site.host})))
        yield Crawler(allowed, replace(workshop, egress=egress), actor, base.id)


def small_site(site: Site) -> None:
    """Three pages under /docs/ and one beside it."""
    site.put("/docs/", "Welcome to the handbook.", "/docs/salt.html", "pepper.html?utm_source=x#top", "/news.html")
    site.put("/docs/salt.html", "Salt is mined in deep caves.", "/docs/", "mailto:a@example.com", "/docs/logo.png")
    site.put("/docs/pepper.html", "Pepper grows on tall vines.", "salt.html", "missing.html")
    site.put("/news.html", "Nothing of this belongs to the handbook.")


def figures(run: RunCard) -> tuple[int, int, int, int, int]:
    return run.added, run.changed, run.unchanged, run.removed, run.failed


async def test_a_website_is_read_within_its_folder(crawler: Crawler, site: Site) -> None:
    small_site(site)
    source = await crawler.add("website", f"{site.address}/docs/")
    run = await crawler.run(source)
    assert (run.status, run.error) == ("done", None)
    assert figures(run) == (3, 0, 0, 0, 1)
    assert await crawler.documents() == [f"{site.address}/docs/{each}" for each in ("", "pepper.html", "salt.html")]
    assert site.asked["/news.html"] == site.asked["/docs/logo.png"] == 0
    assert "Salt is mined in deep caves." in " ".join(await crawler.finds("where is salt mined?"))
    assert [each.id for each in (await list_runs(crawler.context, crawler.actor, source.id, PageRequest())).items] == [
        run.id
    ]


@pytest.mark.parametrize("has_etag", [True, False])
async def test_a_second_run_over_an_unchanged_site_reads_and_embeds_nothing(
    crawler: Crawler, site: Site, has_etag: bool
) -> None:
    small_site(site)
    for path, page in site.pages.items():
        site.pages[path] = replace(page, has_etag=has_etag)
    source = await crawler.add("website", f"{site.address}/docs/")
    await crawler.run(source)
    versions = await crawler.count("SELECT count(*) FROM versions")
    attempts = await crawler.count("SELECT sum(attempt) FROM versions")
    vectors = await crawler.count("SELECT count(*) FROM embedding_cache")
    run = await crawler.run(source)
    assert (run.status, figures(run)) == ("done", (0, 0, 3, 0, 1))
    assert await crawler.count("SELECT count(*) FROM versions") == versions
    assert await crawler.count("SELECT sum(attempt) FROM versions") == attempts
    assert await crawler.count("SELECT count(*) FROM embedding_cache") == vectors


async def test_changed_pages_are_read_again_and_vanished_ones_removed(crawler: Crawler, site: Site) -> None:
    small_site(site)
    site.put("/docs/salt.html", "Salt is mined in deep caves.", "/docs/old.html")
    site.put("/docs/old.html", "This page will only be unlinked.")
    source = await crawler.add("website", f"{site.address}/docs/")
    await crawler.run(source)
    site.put("/docs/salt.html", "Salt is won from the sea.")
    del site.pages["/docs/pepper.html"]
    run = await crawler.run(source)
    assert (run.status, figures(run)) == ("done", (0, 1, 1, 2, 0))
    assert await crawler.documents() == [f"{site.address}/docs/", f"{site.address}/docs/salt.html"]
    found = " ".join(await crawler.finds("salt caves sea pepper vines unlinked"))
    assert "won from the sea" in found
    assert "caves" not in found and "vines" not in found and "unlinked" not in found
    site.put("/docs/pepper.html", "Pepper grows on tall vines.")
    assert figures(await crawler.run(source)) == (1, 0, 2, 0, 0)


async def test_a_site_that_is_down_retires_nothing(crawler: Crawler, site: Site) -> None:
    small_site(site)
    source = await crawler.add("website", f"{site.address}/docs/")
    await crawler.run(source)
    site.is_down = True
    run = await crawler.run(source)
    assert run.status == "failed" and run.error and "502" in run.error.message
    assert len(await crawler.documents()) == 3
    site.is_down = False
    site.pages["/docs/salt.html"] = Answer(b"broken", 500)
    run = await crawler.run(source)
    assert (run.status, figures(run)) == ("done", (0, 0, 2, 0, 2))
    assert len(await crawler.documents()) == 3
