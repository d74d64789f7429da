"""Whom one can ask in the chat: bots, and knowledge bases through their implicit bot."""

from dataclasses import dataclass
from uuid import UUID

from rag_app.errors import NotFound
from rag_app.services.bots import get_bot, implicit_bot, list_bots
from rag_app.services.context import Context
from rag_app.services.knowledge import list_knowledge_bases
from rag_app.services.paging import PageRequest
from rag_app.services.permissions import Actor
from rag_app.state.rows import Choice

MOST = PageRequest(limit=200)


@dataclass(frozen=True, slots=True)
class TargetChoice:
    """A bot (`bot:ID`) or a knowledge base (`kb:ID`) with the words that name it."""

    id: str
    label: str


async def targets(context: Context, actor: Actor) -> list[Choice]:
    """All bots, then all knowledge bases with documents."""
    bots = (await list_bots(context, actor, MOST)).items
    bases = (await list_knowledge_bases(context, actor, MOST)).items
    found = [Choice(f"bot:{bot.id}", bot.name) for bot in bots]
    return found + [Choice(f"kb:{kb.id}", f"{kb.name} (knowledge base)") for kb in bases]


async def bot_of_target(context: Context, actor: Actor, target: str) -> UUID:
    """The bot that answers. Raises NotFound."""
    kind, _, identity = target.partition(":")
    try:
        wanted = UUID(identity)
    except ValueError as problem:
        raise NotFound from problem
    if kind == "bot":
        return wanted
    return (await implicit_bot(context, actor, wanted)).id


async def target_of_bot(context: Context, actor: Actor, bot_id: UUID) -> TargetChoice:
    """How a conversation with this bot is named in the list of choices."""
    bot = await get_bot(context, actor, bot_id)
    if bot.is_implicit and bot.knowledge_base_ids:
        return TargetChoice(f"kb:{bot.knowledge_base_ids[0]}", f"{bot.name} (knowledge base)")
    return TargetChoice(f"bot:{bot.id}", bot.name)


async def has_knowledge(context: Context, actor: Actor, target: str) -> bool:
    """True when answers of this target should come from documents."""
    kind, _, identity = target.partition(":")
    return kind == "kb" or (kind == "bot" and (await get_bot(context, actor, UUID(identity))).has_knowledge)


async def suggestions_of(context: Context, actor: Actor, target: str) -> list[str]:
    """Questions to begin with; only bots have some."""
    kind, _, identity = target.partition(":")
    if kind != "bot":
        return []
    return list((await get_bot(context, actor, UUID(identity))).suggested_questions)
