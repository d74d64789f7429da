"""What an index would take, and how one that is being built comes along, in words for the command line."""

import asyncio
from collections.abc import Callable
from uuid import UUID

from rag_app.errors import RagError
from rag_app.services.context import Context
from rag_app.services.index_estimate import Estimate
from rag_app.services.indexes import IndexCard, get_index
from rag_app.services.permissions import Actor

LOOK_EVERY_S = 0.5


async def watch_index(
    context: Context, actor: Actor, knowledge_base_id: UUID, index_id: int, *, say: Callable[[str], None]
) -> IndexCard:
    """Say how far it is whenever that changes; the index once it is in use. Raises RagError when it was given up."""
    said = ""
    while True:
        card = await get_index(context, actor, knowledge_base_id, index_id)
        if card.state == "active":
            return card
        if card.state != "building":
            problem = card.problem
            raise RagError(problem.message if problem else "The index was stopped.")
        reason = f": waits, {card.problem.message}" if card.problem else ""
        words = f"{round(card.progress * 100):3} %  {card.phase or 'waiting'}{reason}"
        if words != said:
            say(words)
            said = words
        await asyncio.sleep(LOOK_EVERY_S)


def expected(found: Estimate) -> str:
    """An estimate in a few lines."""
    price = "not known" if found.cost_microusd is None else f"${found.cost_microusd / 1_000_000:.4f}"
    time_s = "not known" if found.seconds is None else f"{found.seconds:.0f} s"
    head = f"{found.passages:,} passages, about {found.tokens:,} tokens, price {price}, time {time_s}"
    return "\n".join([head, *(f"  {note}" for note in found.notes)])
