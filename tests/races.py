"""What tests of races share: a gate in the middle of the work, claims that are held, locks that hold others."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import text

from rag_app.database.engine import without_driver
from rag_app.ingestion.parsed import ParsedDocument
from rag_app.ingestion.sandbox import ParserPool
from rag_app.ingestion.workshop import Workshop
from rag_app.jobs.claims import ALIVE, Claim
from rag_app.services.acceptance import Accepted
from rag_app.services.context import Context
from rag_app.services.embedding import Vectors
from rag_app.services.intake import IncomingFile, add_file
from rag_app.services.permissions import Actor
from rag_app.services.search import Query, search_knowledge_base
from tests.truth import HALF, wrong_statistics

Desk = tuple[Context, Actor, UUID]


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

    async def parse(self, path: Path, **how: Any) -> ParsedDocument:
        await self._gate.pass_by()
        return await super().parse(path, **how)


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
        number = claim.number_if_held
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        while (await one(context, f"SELECT {ALIVE.format(column=number)} AS lives")).lives:  # noqa: ASYNC110 - the server sends no event for this
            await asyncio.sleep(0.01)  # the server takes a moment to notice


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


async def at_once(count: int, work: Callable[[int], Awaitable[Any]]) -> list[Any]:
    """The same from several clients at once."""
    return list(await asyncio.gather(*(work(number) for number in range(count))))
