"""A pool outlives its connections: one that the server ended is replaced before anybody uses it."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from rag_app.database.engine import open_engine, transaction
from rag_app.retrieval.reader import reading

_WHO = text("SELECT pg_backend_pid()")
_END = text("SELECT pg_terminate_backend(pid) FROM unnest(CAST(:pids AS int[])) AS pid")
_PREPARED = text("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE :beginning")
_LEFT = text("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(:pids)")


async def backends(engine: AsyncEngine, count: int) -> list[int]:
    """Use so many connections at once; the processes behind them."""

    async def use() -> int:
        async with transaction(engine) as session:
            pid: int = (await session.execute(_WHO)).scalar_one()
            await asyncio.sleep(0.05)
            return pid

    return list(await asyncio.gather(*(use() for _ in range(count))))


async def test_connections_that_the_server_ended_are_replaced(engine: AsyncEngine) -> None:
    pool = open_engine(engine.url.render_as_string(hide_password=False), pool_size=3)
    try:
        before = await backends(pool, 3)
        assert len(set(before)) == 3
        async with transaction(engine) as session:
            await session.execute(_END, {"pids": before})
            while (await session.execute(_LEFT, {"pids": before})).scalar_one():
                await asyncio.sleep(0.02)
                await session.execute(text("SELECT pg_stat_clear_snapshot()"))
        after = await backends(pool, 3)
        assert not set(before) & set(after)
    finally:
        await pool.dispose()


@pytest.mark.parametrize("prepares", [True, False])
async def test_nothing_is_prepared_behind_a_transaction_pooler(engine: AsyncEngine, prepares: bool) -> None:
    pool = open_engine(engine.url.render_as_string(hide_password=False), pool_size=1, prepares=prepares)
    try:
        async with reading(pool) as reader:
            for number in range(8):
                assert await reader.rows(b"SELECT 1 + %(number)s", {"number": number}) == [(1 + number,)]
            found = await reader.rows(b"SELECT statement FROM pg_prepared_statements", {})
        assert any("SELECT 1 + $1" in row[0] for row in found) is prepares
        async with transaction(pool) as session:  # what the toolkit runs is planned for its values each time
            for number in range(8):
                await session.execute(text("SELECT 2 + CAST(:number AS int)"), {"number": number})
            assert (await session.execute(_PREPARED, {"beginning": "SELECT 2%"})).scalar_one() == 0
    finally:
        await pool.dispose()


async def test_a_connection_that_is_well_is_used_again(engine: AsyncEngine) -> None:
    assert await backends(engine, 1) == await backends(engine, 1)
