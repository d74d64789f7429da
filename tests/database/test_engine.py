"""A pool outlives its connections: one that the server ended is replaced before anybody uses it."""

import asyncio

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from rag_app.database.engine import open_engine, transaction

_WHO = text("SELECT pg_backend_pid()")
_END = text("SELECT pg_terminate_backend(pid) FROM unnest(CAST(:pids AS int[])) AS pid")
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


async def test_a_connection_that_is_well_is_used_again(engine: AsyncEngine) -> None:
    assert await backends(engine, 1) == await backends(engine, 1)
