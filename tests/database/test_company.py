"""Small files that wait in the same knowledge base are read along with one; each for itself all the same."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from rag_app.errors import ProviderError
from rag_app.ingestion import pipeline
from rag_app.ingestion.pipeline import ingest
from rag_app.ingestion.versions import SMALL_BYTES
from rag_app.jobs.queue import waiting_jobs
from rag_app.services.context import Context
from rag_app.services.embedding import Vectors
from rag_app.services.ingestion import sweep
from rag_app.services.intake import IncomingFile, IncomingText, add_file, add_texts
from rag_app.services.knowledge import NewKnowledgeBase, create_knowledge_base
from tests.races import Desk, Gate, GatedPool, alive, newest
from tests.workspaces import make_actor, open_workshop, work_off

SAID = "In this year the harbour of Tesla was dredged, and Tesla paid what it had been asked for. "


@pytest.fixture
async def desk(context: Context) -> Desk:
    actor = await make_actor(context)
    base = await create_knowledge_base(context, actor, NewKnowledgeBase("Files"))
    return context, actor, base.id


async def put(desk: Desk, name: str, content: bytes | None = None, *, base: UUID | None = None) -> UUID:
    """A file that waits; its version."""
    context, actor, own = desk

    async def chunks() -> AsyncIterator[bytes]:
        yield content if content is not None else f"# {name}\n\nWhat {name} says about salt.".encode()

    accepted = await add_file(context, actor, base or own, IncomingFile(name, chunks(), "text/markdown"))
    assert accepted.id
    return await newest(context, accepted.id)


async def states(context: Context) -> dict[str, str]:
    """File name -> state."""
    async with context.transaction() as session:
        found = await session.execute(text("SELECT coalesce(nullif(filename, ''), kind), state FROM versions v "
                                           "JOIN documents d ON d.id = v.document_id"))  # fmt: skip
        return {name: state for name, state in found}


async def waiting(context: Context) -> int:
    async with context.transaction() as session:
        return await waiting_jobs(session)


async def change(context: Context, statement: str, **values: Any) -> None:
    async with context.transaction() as session:
        await session.execute(text(statement), values)


async def test_one_job_takes_the_small_files_of_its_knowledge_base_along(desk: Desk) -> None:
    context, actor, base = desk
    first = await put(desk, "first.md")
    for name in ("second.md", "third.md", "failed before.md", "waits for a provider.md"):
        await put(desk, name)
    await put(desk, "large.txt", b"a word or two " * (SMALL_BYTES // 14 + 1))
    await add_texts(context, actor, base, [IncomingText("A text has a batch of its own.")])
    other = await create_knowledge_base(context, actor, NewKnowledgeBase("Other"))
    await put(desk, "elsewhere.md", base=other.id)
    await change(context, "UPDATE versions SET failures = 1 WHERE filename = 'failed before.md'")
    await change(context, "UPDATE versions SET error_code = 'x' WHERE filename = 'waits for a provider.md'")
    async with open_workshop(context) as workshop:
        outcome = await ingest(workshop, base, [first])
        found = await states(context)
        assert {name for name, state in found.items() if state == "ready"} == {"first.md", "second.md", "third.md"}
        assert set(found.values()) == {"ready", "queued"} and outcome.ready == 3
        assert await waiting(context) == 5  # the jobs of the three are dropped with them
        await work_off(context, workshop)  # the jobs of those that came along find nothing left to do
    assert set((await states(context)).values()) == {"ready"}


async def test_one_that_cannot_be_read_harms_no_other(desk: Desk) -> None:
    context, _, base = desk
    first = await put(desk, "first.md")
    await put(desk, "broken.pdf", b"%PDF-1.7 and nothing more")
    await put(desk, "second.md")
    async with open_workshop(context) as workshop:
        outcome = await ingest(workshop, base, [first])
    assert await states(context) == {"first.md": "ready", "broken.pdf": "failed", "second.md": "ready"}
    assert (outcome.ready, outcome.failed) == (2, 1)


async def test_who_breaks_off_a_batch_comes_back_alone(desk: Desk) -> None:
    """A worker that dies of one file must not die of it again together with the others."""
    context, _, base = desk
    first = await put(desk, "first.md")
    second = await put(desk, "second.md")
    gate = Gate()
    async with open_workshop(context) as workshop, GatedPool(gate) as pool, alive(context) as claim:
        work = asyncio.create_task(ingest(replace(workshop, pool=pool, worker=claim.number), base, [first]))
        await gate.reached.wait()
        assert set((await states(context)).values()) == {"working"}
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await change(context, "UPDATE versions SET failures = 1")  # as if it had died instead
        outcome = await ingest(workshop, base, [second])
    assert outcome.ready == 1 and await states(context) == {"first.md": "queued", "second.md": "ready"}


async def test_those_whose_turn_does_not_come_soon_go_back_and_are_found_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, _, base = desk
    monkeypatch.setattr(pipeline, "COMPANY_S", 0)
    first = await put(desk, "first.md")
    await put(desk, "second.md")
    async with open_workshop(context) as workshop:
        await ingest(workshop, base, [first])
        assert await states(context) == {"first.md": "ready", "second.md": "queued"}
        await change(context, "DELETE FROM procrastinate_jobs")  # its own job came when it was under way
        await change(context, "UPDATE versions SET updated_at = now() - interval '1 minute' WHERE state = 'queued'")
        assert await sweep(context) == 1
        await work_off(context, workshop)
    assert set((await states(context)).values()) == {"ready"}


async def test_a_provider_that_is_away_costs_none_of_them_its_text(desk: Desk) -> None:
    context, _, base = desk
    await change(context, "UPDATE indexes SET model = 'double/embed', dimensions = 256")
    first = await put(desk, "first.md")
    await put(desk, "second.md")

    async def away(workspace_id: UUID, model: str, texts: list[str]) -> Vectors:
        raise ProviderError("The provider is away.")

    async with open_workshop(context) as workshop:
        outcome = await ingest(replace(workshop, embed=away), base, [first])
    assert len(outcome.waiting) == 2 and set((await states(context)).values()) == {"queued"}
    async with context.transaction() as session:
        kept = list(await session.execute(text("SELECT text, cuts <> '[]', error_code, failures FROM versions")))
    assert all(row[0] and row[1] and row[2] == "provider_error" and row[3] == 0 for row in kept), kept


def bodies() -> Iterator[tuple[str, bytes]]:
    yield "table.csv", b"Item,Price\nSalt,3\nPepper,4\n"
    yield "page.html", b"<title>Salt</title><main><h1>Salt</h1><p>Salt is mined in deep caves of the north.</p></main>"
    yield "names.md", ("# Tesla, Inc.\n\nQuarterly report of Tesla for the third quarter.\n\n" + SAID * 60).encode()


async def test_what_is_kept_of_a_file_is_the_same_alone_and_in_company(desk: Desk) -> None:
    context, actor, base = desk
    other = await create_knowledge_base(context, actor, NewKnowledgeBase("Alone"))
    together = [await put(desk, name, content) for name, content in bodies()]
    alone = [await put(desk, name, content, base=other.id) for name, content in bodies()]
    async with open_workshop(context) as workshop:
        await ingest(workshop, base, together[:1])
        for version in alone:
            await change(
                context, "UPDATE versions SET error_code = 'x' WHERE id <> :id AND state = 'queued'", id=version
            )
            assert (await ingest(workshop, other.id, [version])).ready == 1
    columns = "text, blocks, cuts, pages, places, title, language, names, page_count, passage_count, warnings"
    async with context.transaction() as session:
        rows = await session.execute(
            text(f"SELECT {columns} FROM versions WHERE knowledge_base_id = :kb ORDER BY filename"), {"kb": base}
        )
        expected = [tuple(row) for row in rows]
        rows = await session.execute(
            text(f"SELECT {columns} FROM versions WHERE knowledge_base_id = :kb ORDER BY filename"), {"kb": other.id}
        )
        assert [tuple(row) for row in rows] == expected and len(expected) == 3
        titles = await session.execute(text("SELECT title, metadata FROM documents ORDER BY title"))
        found = [(row.title, row.metadata.get("format")) for row in titles]
    assert found[0] == found[1] and found[2] == found[3] and found[4] == found[5]
    assert any(row[7] for row in expected)
