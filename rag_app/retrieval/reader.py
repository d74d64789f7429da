"""Reads from the database for one search: plain driver rows, one connection from the pool, only while it is needed."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from rag_app.database.engine import clear_errors


class Reader:
    """Runs single reading statements in the driver's own words (`%(name)s`), each in a transaction of its own."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._connection: AsyncConnection | None = None
        self._driver: Any = None

    async def rows(
        self, statement: bytes, values: Mapping[str, Any], *, settings: Mapping[str, str] | None = None
    ) -> list[Any]:
        """All rows as tuples; `settings` hold for this statement alone. Raises NotReady when the database is away.

        Each connection parses a statement once, and plans it once where the planner finds that values change nothing.
        """
        with clear_errors():
            driver = self._driver or await self._open()
            if settings:
                return await _rows_with_settings(driver, statement, values, settings)
            async with driver.cursor(binary=True) as cursor:
                await cursor.execute(statement, values, prepare=True)
                found: list[Any] = await cursor.fetchall()
        return found

    async def release(self) -> None:
        """Give the connection back; the next statement takes another one."""
        connection, self._connection, self._driver = self._connection, None, None
        if connection is not None:
            await connection.close()

    async def _open(self) -> Any:
        connection = self._engine.connect()
        self._connection = await connection.start()
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        self._driver = (await connection.get_raw_connection()).driver_connection
        return self._driver


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
