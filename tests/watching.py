"""Looks at one knowledge base without a pause, in the tables and through the search, for half documents."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import psycopg

from rag_app.database.engine import without_driver
from rag_app.errors import Busy, NotReady, ProviderError
from rag_app.services.search import Query, search_knowledge_base
from tests.crashing import Site
from tests.pile import Paper
from tests.truth import HALF, UNATTENDED

EVERY_S = 0.2  # each of the two: together 10 looks a second
LEFT_LYING_S = 60


class Watcher:
    """Two tasks that look for as long as the block takes."""

    def __init__(self, site: Site, base: UUID, papers: Sequence[Paper]) -> None:
        self._site, self._base, self._papers = site, base, papers
        self._tasks: list[asyncio.Task[None]] = []
        self.problems: list[str] = []
        self.looks = 0
        self.searches = 0

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(each) for each in (self._look(), self._ask())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                self.problems.append(f"{type(ended).__name__}: {ended}")

    async def _look(self) -> None:
        while True:
            with suppress(psycopg.OperationalError):
                url = without_driver(self._site.server.url)
                async with await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=5) as connection:
                    await self._look_through(connection)
            await asyncio.sleep(EVERY_S)

    async def _look_through(self, connection: "psycopg.AsyncConnection[Any]") -> None:
        while True:
            rows = await (await connection.execute(HALF, {"kb": self._base})).fetchall()
            self.problems += [str(row) for row in rows]
            rows = await (await connection.execute(UNATTENDED, {"seconds": LEFT_LYING_S})).fetchall()
            self.problems += [f"left lying: {row}" for row in rows]
            self.looks += 1
            await asyncio.sleep(EVERY_S)

    async def _ask(self) -> None:
        place = 0
        while True:
            paper = self._papers[place % len(self._papers)]
            place += 1
            with suppress(NotReady, Busy, ProviderError):
                query = Query(paper.word, limit=100, mode="lexical")
                result = await search_knowledge_base(self._site.context, self._site.actor, self._base, query)
                self.searches += 1
                shown = " ".join(each.text for each in result.passages if paper.word in each.text)
                missing = sorted(mark for mark in paper.marks if shown and mark not in shown)
                if missing:
                    self.problems.append(f"{paper.filename} without {missing}")
            await asyncio.sleep(EVERY_S)
