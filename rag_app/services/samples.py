"""“Try it with sample documents”: the product's own handbook in a knowledge base with a bot."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from rag_app.services.bots import NewBot, create_bot, find_bot
from rag_app.services.context import Context
from rag_app.services.intake import IncomingFile, add_file
from rag_app.services.knowledge import NewKnowledgeBase, create_knowledge_base, find_knowledge_base
from rag_app.services.permissions import Actor, permit

FOLDER = Path(__file__).resolve().parents[1] / "samples"
KNOWLEDGE_BASE = "Sample documents"
BOT = "Handbook"
QUESTIONS = "questions.txt"
_KINDS = {".md": "text/markdown", ".pdf": "application/pdf"}


@dataclass(frozen=True, slots=True)
class Samples:
    """What was made."""

    knowledge_base_id: UUID
    bot_id: UUID


async def load_samples(context: Context, actor: Actor) -> Samples:
    """Make the knowledge base and the bot, or find them; the documents become ready in the background.

    A second call changes nothing that is there. Raises Forbidden.
    """
    permit(actor, "knowledge.create")
    permit(actor, "bot.edit")
    card = await find_knowledge_base(context, actor, KNOWLEDGE_BASE)
    if card is None:
        new = NewKnowledgeBase(KNOWLEDGE_BASE, "The handbook of this product, to try things out. Delete it when done.")
        card = await create_knowledge_base(context, actor, new)
    for path in sorted(each for each in FOLDER.iterdir() if each.suffix in _KINDS):
        file = IncomingFile(path.name, _content(path), _KINDS[path.suffix], external_id=f"sample/{path.name}")
        await add_file(context, actor, card.id, file)
    bot = await find_bot(context, actor, BOT)
    if bot is None or card.id not in bot.knowledge_base_ids:
        wanted = NewBot(BOT, knowledge_base_ids=[card.id], suggested_questions=await _questions())
        bot = await create_bot(context, actor, wanted)
    return Samples(card.id, bot.id)


async def _questions() -> list[str]:
    text = await asyncio.to_thread((FOLDER / QUESTIONS).read_text, "utf-8")
    return [line.strip() for line in text.splitlines() if line.strip()]


async def _content(path: Path) -> AsyncIterator[bytes]:
    yield await asyncio.to_thread(path.read_bytes)
