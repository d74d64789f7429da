"""The offer after set-up: the product's own documentation in a knowledge base with a bot, two clicks from an answer."""

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
BOT = "Guide"
DESCRIPTION = "The documentation of this product, to try it with. Delete it whenever you like."


@dataclass(frozen=True, slots=True)
class Samples:
    """Where the samples are."""

    knowledge_base_id: UUID
    bot_id: UUID
    suggested_questions: tuple[str, ...]


def sample_files() -> list[Path]:
    """The sample documents, in the order of their names."""
    return sorted([*FOLDER.glob("*.md"), *FOLDER.glob("*.pdf")])


def sample_questions() -> tuple[str, ...]:
    """Questions that the sample documents answer."""
    lines = (FOLDER / "questions.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line.strip() for line in lines if line.strip())


async def load_samples(context: Context, actor: Actor) -> Samples:
    """Make the sample knowledge base and its bot; doing it again finds the same ones and adds what is missing."""
    permit(actor, "knowledge.create")
    permit(actor, "bot.edit")
    base = await find_knowledge_base(context, actor, KNOWLEDGE_BASE)
    base = base or await create_knowledge_base(
        context, actor, NewKnowledgeBase(KNOWLEDGE_BASE, DESCRIPTION, language="en")
    )
    for path in sample_files():
        await add_file(context, actor, base.id, IncomingFile(path.name, _content(path)))
    bot = await find_bot(context, actor, BOT)
    if bot is None or base.id not in bot.knowledge_base_ids:
        new = NewBot(BOT, knowledge_base_ids=[base.id], suggested_questions=sample_questions())
        bot = await create_bot(context, actor, new)
    return Samples(base.id, bot.id, bot.suggested_questions)


async def _content(path: Path) -> AsyncIterator[bytes]:
    yield await asyncio.to_thread(path.read_bytes)
