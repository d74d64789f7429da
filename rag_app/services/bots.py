"""Bots: create, list, read, change, delete; and the implicit bot that every knowledge base has."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.columns import now
from rag_app.database.conversations import Bot
from rag_app.errors import Conflict, InvalidInput, NotFound
from rag_app.security import new_public_id
from rag_app.services.audit import record
from rag_app.services.context import Context
from rag_app.services.knowledge import VISIBLE, clean_name, require_visible, visibility, visible_ids
from rag_app.services.paging import Page, PageRequest, page_of
from rag_app.services.permissions import Actor, permit
from rag_app.services.retrieval_settings import RetrievalSettings, settings_of, with_changes

LONGEST_INSTRUCTIONS = 20_000
LONGEST_SLUG = 60
MOST_KNOWLEDGE_BASES = 20
MOST_SUGGESTIONS = 8
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\Z")

# A restricted knowledge base stays unknown to everybody else: its own bot is not there for them, and among those of
# another bot it is not named. What such a bot says to them comes from the rest alone.
_CARDS = f"""
SELECT b.id, b.name, b.slug, b.public_id, b.instructions, b.model, b.fallback_model, b.temperature, b.memory,
       b.suggested_questions, b.retrieval, b.implicit_knowledge_base_id, b.created_at, b.updated_at,
       b.implicit_knowledge_base_id IS NOT NULL
           OR EXISTS (SELECT FROM bot_knowledge_bases x WHERE x.bot_id = b.id) AS has_knowledge,
       ARRAY(SELECT k.id FROM knowledge_bases k WHERE {VISIBLE} AND (k.id = b.implicit_knowledge_base_id OR k.id IN (
           SELECT x.knowledge_base_id FROM bot_knowledge_bases x WHERE x.bot_id = b.id)) ORDER BY k.id
       ) AS knowledge_base_ids
FROM bots b WHERE b.workspace_id = :workspace_id AND (b.implicit_knowledge_base_id IS NULL OR EXISTS (
    SELECT FROM knowledge_bases k WHERE k.id = b.implicit_knowledge_base_id AND {VISIBLE}))
"""  # noqa: S608 - made of constants
_LIST = text(
    _CARDS
    + """ AND b.implicit_knowledge_base_id IS NULL
AND (CAST(:moment AS timestamptz) IS NULL OR (b.created_at, b.id) < (:moment, :identity))
ORDER BY b.created_at DESC, b.id DESC LIMIT :limit"""
)
_ONE = text(_CARDS + " AND b.id = :id")
_NAMED = text(_CARDS + " AND b.implicit_knowledge_base_id IS NULL AND (b.slug = :name OR lower(b.name) = lower(:name))")
_IMPLICIT = text(_CARDS + " AND b.implicit_knowledge_base_id = :kb")
_LINK = text("INSERT INTO bot_knowledge_bases (bot_id, knowledge_base_id) SELECT :bot, unnest(CAST(:kbs AS uuid[]))")
# Those that the actor cannot see were not shown, so they are not taken away either.
_UNLINK = text(f"""
DELETE FROM bot_knowledge_bases x USING knowledge_bases k
WHERE x.bot_id = :bot AND k.id = x.knowledge_base_id AND {VISIBLE}""")  # noqa: S608 - made of constants


@dataclass(frozen=True, slots=True)
class BotCard:
    """What a person sees of a bot; `knowledge_base_ids` are those that this person may see."""

    id: UUID
    name: str
    slug: str
    public_id: str
    instructions: str
    model: str | None
    fallback_model: str | None
    temperature: float | None
    memory: bool
    suggested_questions: tuple[str, ...]
    retrieval: RetrievalSettings
    knowledge_base_ids: tuple[UUID, ...]
    has_knowledge: bool  # also when this person may see none of it
    is_implicit: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class NewBot:
    """What is asked for."""

    name: str
    slug: str | None = None
    instructions: str = ""
    model: str | None = None
    fallback_model: str | None = None
    temperature: float | None = None
    memory: bool = True
    knowledge_base_ids: Sequence[UUID] = ()
    suggested_questions: Sequence[str] = field(default_factory=tuple)
    retrieval: Mapping[str, Any] = field(default_factory=dict)  # what differs from the defaults


def _card(row: RowMapping) -> BotCard:
    values = dict(row)
    implicit = values.pop("implicit_knowledge_base_id")
    values["suggested_questions"] = tuple(values["suggested_questions"])
    values["retrieval"] = settings_of(values["retrieval"])
    values["knowledge_base_ids"] = tuple(values["knowledge_base_ids"])
    return BotCard(**values, is_implicit=implicit is not None)


async def create_bot(context: Context, actor: Actor, new: NewBot) -> BotCard:
    """Make a bot. Raises Conflict when the slug is taken, NotFound for a foreign knowledge base, InvalidInput."""
    permit(actor, "bot.edit")
    name = clean_name(new.name)
    slug = _checked_slug(new.slug) if new.slug else None
    check_bot({"instructions": new.instructions, "temperature": new.temperature})
    retrieval = with_changes({}, new.retrieval)
    try:
        async with context.transaction() as session:
            bot = Bot(
                workspace_id=actor.workspace_id,
                name=name,
                slug=slug or await _free_slug(session, actor, slug_of(name)),
                public_id=new_public_id(),
                instructions=new.instructions,
                model=new.model or None,
                fallback_model=new.fallback_model or None,
                temperature=new.temperature,
                memory=new.memory,
                suggested_questions=list(new.suggested_questions)[:MOST_SUGGESTIONS],
                retrieval=retrieval,
            )
            session.add(bot)
            await session.flush()
            await _set_knowledge(session, actor, bot.id, new.knowledge_base_ids)
            record(session, actor, "bot_created", bot.id)
    except IntegrityError as problem:
        raise Conflict(f"slug: “{slug}” is taken by another bot", field="slug") from problem
    return await get_bot(context, actor, bot.id)


async def _set_knowledge(session: AsyncSession, actor: Actor, bot_id: UUID, ids: Sequence[UUID]) -> None:
    wanted = list(dict.fromkeys(ids))
    if len(wanted) > MOST_KNOWLEDGE_BASES:
        raise InvalidInput(f"knowledge_base_ids: at most {MOST_KNOWLEDGE_BASES}", field="knowledge_base_ids")
    if len(await visible_ids(session, actor, wanted)) < len(wanted):
        raise NotFound("There is no such knowledge base, or it is not yours.", field="knowledge_base_ids")
    await session.execute(_UNLINK, {**visibility(actor), "bot": bot_id})
    await session.execute(_LINK, {"bot": bot_id, "kbs": wanted})


async def list_bots(context: Context, actor: Actor, page: PageRequest) -> Page[BotCard]:
    """The bots of the workspace, newest first; implicit ones are not listed."""
    permit(actor, "bot.read")
    moment, identity = page.place()
    values = {**visibility(actor), "moment": moment, "identity": identity, "limit": page.limit + 1}
    async with context.transaction() as session:
        cards = [_card(row) for row in (await session.execute(_LIST, values)).mappings()]
    return page_of(cards, page.limit, lambda card: (card.created_at, card.id))


async def get_bot(context: Context, actor: Actor, bot_id: UUID) -> BotCard:
    """One bot. Raises NotFound."""
    permit(actor, "bot.read")
    async with context.transaction() as session:
        row = (await session.execute(_ONE, {**visibility(actor), "id": bot_id})).mappings().one_or_none()
    if row is None:
        raise NotFound("There is no such bot, or it is not yours.")
    return _card(row)


async def find_bot(context: Context, actor: Actor, name: str) -> BotCard | None:
    """The bot with this slug or name, if there is one."""
    permit(actor, "bot.read")
    async with context.transaction() as session:
        rows = (await session.execute(_NAMED, {**visibility(actor), "name": name.strip()})).mappings().all()
    return _card(rows[0]) if rows else None


async def implicit_bot(context: Context, actor: Actor, knowledge_base_id: UUID) -> BotCard:
    """The bot of a knowledge base, made when first needed. Raises NotFound."""
    permit(actor, "chat")
    values = {**visibility(actor), "kb": knowledge_base_id}
    async with context.transaction() as session:
        await require_visible(session, actor, knowledge_base_id)
        row = (await session.execute(_IMPLICIT, values)).mappings().one_or_none()
        if row is None:
            await session.execute(
                text(
                    "INSERT INTO bots (id, workspace_id, name, slug, public_id, instructions, memory, "
                    "suggested_questions, implicit_knowledge_base_id, created_at, updated_at) "
                    "SELECT gen_random_uuid(), k.workspace_id, k.name, 'kb-' || k.id, :public_id, '', true, '[]', "
                    "k.id, now(), now() FROM knowledge_bases k WHERE k.id = :kb ON CONFLICT DO NOTHING"
                ),
                {"kb": knowledge_base_id, "public_id": new_public_id()},
            )
            row = (await session.execute(_IMPLICIT, values)).mappings().one()
    return _card(row)


async def own_bot(context: Context, actor: Actor, knowledge_base_id: UUID) -> BotCard | None:
    """The bot of a knowledge base if it was needed before and the actor may see it."""
    async with context.transaction() as session:
        found = await session.execute(_IMPLICIT, {**visibility(actor), "kb": knowledge_base_id})
        row = found.mappings().one_or_none()
    return _card(row) if row else None


async def update_bot(context: Context, actor: Actor, bot_id: UUID, changes: Mapping[str, Any]) -> BotCard:
    """Change fields of a bot. Raises NotFound, Conflict, InvalidInput."""
    permit(actor, "bot.edit")
    await get_bot(context, actor, bot_id)
    check_bot(changes)
    try:
        async with context.transaction() as session:
            bot = await session.get_one(Bot, bot_id)
            for name, value in changes.items():
                if name == "knowledge_base_ids":
                    await _set_knowledge(session, actor, bot_id, value)
                elif name == "name":
                    bot.name = clean_name(value)
                elif name == "slug":
                    bot.slug = _checked_slug(value)
                elif name == "retrieval":
                    bot.retrieval = with_changes(bot.retrieval, value)
                else:
                    setattr(bot, name, value)
            bot.updated_at = now()
            record(session, actor, "bot_changed", bot_id, fields=sorted(changes))
    except IntegrityError as problem:
        raise Conflict("slug: taken by another bot", field="slug") from problem
    return await get_bot(context, actor, bot_id)


async def delete_bot(context: Context, actor: Actor, bot_id: UUID) -> None:
    """Remove a bot with its conversations. Raises NotFound, and Conflict for the bot of a knowledge base."""
    permit(actor, "bot.edit")
    card = await get_bot(context, actor, bot_id)
    if card.is_implicit:
        raise Conflict("This bot belongs to its knowledge base; delete that instead.")
    async with context.transaction() as session:
        await session.execute(text("DELETE FROM bots WHERE id = :id"), {"id": bot_id})
        record(session, actor, "bot_deleted", bot_id)


def check_bot(changes: Mapping[str, Any]) -> None:
    """Raise InvalidInput when a value is out of range."""
    if len(changes.get("instructions") or "") > LONGEST_INSTRUCTIONS:
        raise InvalidInput(f"instructions: at most {LONGEST_INSTRUCTIONS} characters", field="instructions")
    temperature = changes.get("temperature")
    if temperature is not None and not 0 <= temperature <= 2:
        raise InvalidInput("temperature: a number between 0 and 2 is expected", field="temperature")


def slug_of(name: str) -> str:
    """A name for addresses: lower case letters, digits and single hyphens."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:LONGEST_SLUG].strip("-") or "bot"


def _checked_slug(slug: str) -> str:
    if len(slug) > LONGEST_SLUG or not _SLUG.match(slug):
        raise InvalidInput("slug: lower case letters, digits and single hyphens are expected", field="slug")
    return slug


async def _free_slug(session: AsyncSession, actor: Actor, wanted: str) -> str:
    found = await session.execute(
        text("SELECT slug FROM bots WHERE workspace_id = :workspace AND slug LIKE :like"),
        {"workspace": actor.workspace_id, "like": wanted + "%"},
    )
    taken = set(found.scalars())
    if wanted not in taken:
        return wanted
    return next(name for number in range(2, 10_000) if (name := f"{wanted}-{number}") not in taken)
