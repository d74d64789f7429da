"""The runs of a process: one person cannot take all of it."""

import asyncio
from uuid import uuid4

from rag_app.services.run_registry import MOST_PER_PERSON, RunRegistry


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_further_answers_of_a_person_wait_and_other_people_do_not() -> None:
    registry, busy, other = RunRegistry(), uuid4(), uuid4()
    leave, begun = asyncio.Event(), 0

    async def run() -> None:
        nonlocal begun
        async with registry.turn(busy):
            begun += 1
            await leave.wait()

    tasks = [asyncio.create_task(run()) for _ in range(MOST_PER_PERSON + 3)]
    await settle()
    assert begun == MOST_PER_PERSON
    async with asyncio.timeout(5), registry.turn(other):
        pass
    tasks[-1].cancel()  # stopped while it waits
    tasks[0].cancel()  # stopped while it runs
    await settle()
    assert begun == MOST_PER_PERSON + 1
    leave.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert begun == MOST_PER_PERSON + 2
    async with asyncio.timeout(5), registry.turn(busy):
        pass
