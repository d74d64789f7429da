"""Reads from the database for one search: plain driver rows, one connection from the pool, only while it is needed."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util import greenlet_spawn

from rag_app.database.engine import clear_errors
from rag_app.telemetry import log

SPARED = 6
"""A second connection is only taken while at most one in so many is in use: with more at work, it gains nothing."""


class Reader:
    """Runs single reading statements in the driver's own words (`%(name)s`), each in a transaction of its own."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._connection: PoolProxiedConnection | None = None
        self._cursor: Any = None

    async def rows(
        self, statement: bytes, values: Mapping[str, Any], *, settings: Mapping[str, str] | None = None
    ) -> list[Any]:
        """All rows as tuples; `settings` hold for this statement alone. Raises NotReady when the database is away.

        Each connection parses a statement once, and plans it once where the planner finds that values change nothing.
        """
        with clear_errors():
            cursor = self._cursor or await self._open()
            if settings:
                return await _rows_with_settings(cursor.connection, statement, values, settings)
            await cursor.execute(statement, values, prepare=True)
            found: list[Any] = await cursor.fetchall()
        return found

    async def release(self) -> None:
        """Give the connection back; the next statement takes another one."""
        connection, self._connection, self._cursor = self._connection, None, None
        if connection is not None:
            await greenlet_spawn(_given_back, connection)

    @asynccontextmanager
    async def beside(self) -> AsyncIterator["Reader | None"]:
        """Another reader, to ask two things at once; None when so many connections are in use that others need it."""
        pool: Any = self._engine.pool
        if pool.checkedout() * SPARED > pool.size():
            yield None
            return
        async with reading(self._engine) as other:
            yield other

    async def _open(self) -> Any:
        # Straight from the pool: what the toolkit lays around it costs as much as a statement.
        self._connection = await self._engine.raw_connection()
        driver: Any = self._connection.driver_connection
        await driver.set_autocommit(True)
        self._cursor = driver.cursor(binary=True)
        return self._cursor


def _given_back(connection: PoolProxiedConnection) -> None:
    adapted: Any = connection.dbapi_connection
    is_well = False
    try:
        adapted.rollback()
        adapted.autocommit = False
        is_well = True
    except psycopg.Error as problem:
        log.info("connection_given_up", error=type(problem).__name__)
    finally:
        # Whoever takes it next must be in a transaction: one that may not be is closed.
        (connection.close if is_well else connection.invalidate)()


async def _rows_with_settings(
    driver: Any, statement: bytes, values: Mapping[str, Any], settings: Mapping[str, str]
) -> list[Any]:
    # What stands between two syncs of a pipeline is one transaction, so the settings are gone after it.
    async with driver.pipeline(), driver.cursor() as before, driver.cursor(binary=True) as cursor:
        for name, value in settings.items():
            await before.execute(_SETTING, {"name": name, "value": value}, prepare=True)
        await cursor.execute(statement, values, prepare=True)
        found: list[Any] = await cursor.fetchall()
    return found


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[Reader]:
    """A reader that takes a connection with its first statement and gives it back at the end."""
    reader = Reader(engine)
    try:
        yield reader
    finally:
        await reader.release()


def uuids(values: Iterable[UUID]) -> str:
    """A `uuid[]` as text, which is quicker than the driver's arrays."""
    return "{" + ",".join([value.hex for value in values]) + "}"


def integers(values: Iterable[int]) -> str:
    """An `integer[]` or `bigint[]` as text."""
    return "{" + ",".join(map(str, values)) + "}"


_SETTING = b"SELECT set_config(%(name)s, %(value)s, true)"
