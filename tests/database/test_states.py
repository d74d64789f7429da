"""Cancel, retry, delete and send again, in every state a document can be in: what is answered, and what comes of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from uuid import UUID

import pytest

from rag_app.errors import Conflict, NotFound
from rag_app.ingestion.pipeline import ingest
from rag_app.ingestion.workshop import Workshop
from rag_app.services.context import Context
from rag_app.services.documents import delete_document, get_document, retry_document
from rag_app.services.ingestion import sweep
from rag_app.services.intake import IncomingText, add_texts
from rag_app.services.knowledge import NewKnowledgeBase, create_knowledge_base
from rag_app.services.permissions import Actor
from rag_app.services.tasks import cancel_task
from tests.races import Desk, Gate, alive, assert_whole, found, gated_embedding, newest
from tests.workspaces import make_actor, open_workshop, work_off

FIRST, SECOND, THIRD = "The fee is ten euros.", "The fee is twelve euros.", "The fee is fifteen euros."
NAME = "fee"
REFUSED = "refused"
STATES = ("queued", "working", "ready", "failed", "update queued", "update working", "update failed")


@dataclass
class Scene:
    """A document in some state, and what its last content would be."""

    desk: Desk
    workshop: Workshop
    document: UUID
    task: UUID
    words: str

    async def send(self, words: str) -> None:
        accepted = await _send(self.desk, words)
        assert accepted[0] == self.document


async def _send(desk: Desk, words: str) -> tuple[UUID, UUID]:
    context, actor, base = desk
    [accepted] = await add_texts(context, actor, base, [IncomingText(words, NAME)])
    assert accepted.id and accepted.task_id
    return accepted.id, accepted.task_id


@asynccontextmanager
async def _in_state(desk: Desk, workshop: Workshop, state: str) -> AsyncIterator[Scene]:
    """A document in this state; work that is under way goes on at the end of the block."""
    context, actor, base = desk
    document, task = await _send(desk, FIRST)
    words = FIRST
    if state == "ready" or state.startswith("update"):
        await work_off(context, workshop)
    if state.startswith("update"):
        words = SECOND
        document, task = await _send(desk, words)
    if state.endswith("failed"):
        await cancel_task(context, actor, task)
    async with AsyncExitStack() as stack:
        if state.endswith("working"):
            claim, gate = await stack.enter_async_context(alive(context)), Gate()
            slow = replace(gated_embedding(workshop, gate), worker=claim.number)
            work = asyncio.create_task(ingest(slow, base, [await newest(context, document)]))
            await gate.reached.wait()
            stack.push_async_callback(_finish, gate, work)
        yield Scene(desk, workshop, document, task, words)


async def _finish(gate: Gate, work: "asyncio.Task[object]") -> None:
    gate.opened.set()
    await work


Action = Callable[[Scene], Awaitable[object]]


async def _cancel(scene: Scene) -> None:
    await cancel_task(scene.desk[0], scene.desk[1], scene.task)


async def _retry(scene: Scene) -> None:
    await retry_document(scene.desk[0], scene.desk[1], scene.document)


async def _delete(scene: Scene) -> None:
    await delete_document(scene.desk[0], scene.desk[1], scene.document)
    with pytest.raises(NotFound):
        await get_document(scene.desk[0], scene.desk[1], scene.document)
    assert await found(scene.desk, "what is the fee") == []  # at once, not only when it is erased


async def _send_same(scene: Scene) -> None:
    await scene.send(scene.words)


async def _send_other(scene: Scene) -> None:
    await scene.send(THIRD)


# state -> what is searchable in the end, and how the newest version ended; `refused` = the action is answered 409.
ENDS: dict[Action, dict[str, tuple[str | None, str]]] = {
    _cancel: {
        "queued": (None, "failed"),
        "working": (None, "failed"),
        "ready": (FIRST, REFUSED),
        "failed": (None, REFUSED),
        "update queued": (FIRST, "failed"),
        "update working": (FIRST, "failed"),
        "update failed": (FIRST, REFUSED),
    },
    _retry: {
        "queued": (FIRST, REFUSED),
        "working": (FIRST, REFUSED),
        "ready": (FIRST, REFUSED),
        "failed": (FIRST, "ready"),
        "update queued": (SECOND, REFUSED),
        "update working": (SECOND, REFUSED),
        "update failed": (SECOND, "ready"),
    },
    _delete: dict.fromkeys(STATES, (None, "gone")),
    _send_same: {state: (SECOND if state.startswith("update") else FIRST, "ready") for state in STATES},
    _send_other: dict.fromkeys(STATES, (THIRD, "ready")),
}


async def _end_of(context: Context, actor: Actor, document: UUID) -> str:
    try:
        card = await get_document(context, actor, document)
    except NotFound:
        return "gone"
    return card.update.status if card.update else card.status


async def _try(context: Context, actor: Actor, workshop: Workshop, action: Action, state: str) -> str | None:
    """One cell of the table; what is wrong with it."""
    base = (await create_knowledge_base(context, actor, NewKnowledgeBase(f"{action.__name__} {state}"))).id
    desk = (context, actor, base)
    wanted, ended = ENDS[action][state]
    async with _in_state(desk, workshop, state) as scene:
        try:
            await action(scene)
            answer = "done"
        except Conflict:
            answer = REFUSED
    await sweep(context)
    await work_off(context, workshop)
    seen = (await found(desk, "what is the fee"), await _end_of(context, actor, scene.document), answer)
    assert_whole(desk)
    if ended == REFUSED:
        return None if (seen[0], seen[2]) == ([wanted] if wanted else [], REFUSED) else f"{seen}"
    return None if seen == ([wanted] if wanted else [], ended, "done") else f"{seen}"


@pytest.mark.parametrize("action", ENDS, ids=lambda action: action.__name__.strip("_"))
async def test_every_action_in_every_state(context: Context, action: Action) -> None:
    actor = await make_actor(context)
    async with open_workshop(context) as workshop:
        wrong = {state: await _try(context, actor, workshop, action, state) for state in STATES}
    assert {state: problem for state, problem in wrong.items() if problem} == {}
