"""Each test gets a database of its own."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine


@pytest.mark.parametrize("turn", [1, 2])
async def test_a_test_sees_no_rows_of_another(engine: AsyncEngine, turn: int) -> None:
    async with engine.begin() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM audit_events"))).scalar_one() == 0
        await connection.execute(text(f"CREATE TABLE left_behind_{turn} (x int)"))
        left = await connection.execute(text("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'left_behind%'"))
        assert left.scalar_one() == 1


async def test_the_database_has_vectors(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        distance = (await connection.execute(text("SELECT '[1,0]'::halfvec <=> '[0,1]'::halfvec"))).scalar_one()
    assert distance == 1
