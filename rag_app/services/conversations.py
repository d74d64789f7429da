"""Conversations and their messages: list, read, rename, archive, delete; and what people think of answers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import RowMapping, text

from rag_app.errors import Conflict, InvalidInput, NotFound
from rag_app.services.context import Context
from rag_app.services.paging import Page, PageRequest, page_of
from rag_app.services.permissions import Actor, permit

Via = Literal["console", "api", "cli"]
LONGEST_TITLE = 200
LONGEST_COMMENT = 2000

_CARDS = """
SELECT c.id, c.bot_id, b.name AS bot_name, b.implicit_knowledge_base_id AS knowledge_base_id, c.title,
       c.via, c.archived_at IS NOT NULL AS archived, c.created_at, c.updated_at
FROM conversations c JOIN bots b ON b.id = c.bot_id WHERE c.user_id = :user AND c.workspace_id = :workspace
"""
_WANTED = """ AND (CAST(:by_person AS boolean) IS NULL OR (c.via = 'console') = :by_person)
AND (CAST(:archived AS boolean) IS NULL OR (c.archived_at IS NOT NULL) = :archived)
AND (CAST(:q AS text) IS NULL OR c.title ILIKE :q
     OR c.id IN (SELECT m.conversation_id FROM messages m WHERE m.text ILIKE :q))"""
_LIST = text(
    _CARDS
    + _WANTED
    + """ AND (CAST(:moment AS timestamptz) IS NULL OR (c.updated_at, c.id) < (:moment, :identity))
ORDER BY c.updated_at DESC, c.id DESC LIMIT :limit"""
)
_ONE = text(_CARDS + " AND c.id = :id")
_MESSAGES = """
SELECT m.id, m.conversation_id, m.role, m.text, m.status, m.abstained, m.model, m.citations, m.usage, m.timings_ms,
       m.error_code, m.error_message, m.created_at, f.rating, f.comment, m.reply_to_id
FROM messages m JOIN conversations c ON c.id = m.conversation_id
LEFT JOIN feedback f ON f.message_id = m.id AND f.user_id = c.user_id
WHERE c.user_id = :user AND c.workspace_id = :workspace AND m.replaced_at IS NULL
"""
_OF_CONVERSATION = text(
    _MESSAGES
    + """ AND m.conversation_id = :conversation
AND (CAST(:moment AS timestamptz) IS NULL OR (m.created_at, m.id) < (:moment, :identity))
ORDER BY m.created_at DESC, m.id DESC LIMIT :limit"""
)
_MESSAGE = text(_MESSAGES + " AND m.id = :id")
_RATE = text(
    "INSERT INTO feedback (message_id, user_id, rating, comment, at) VALUES (:id, :user, :rating, :comment, now()) "
    "ON CONFLICT (message_id, user_id) DO UPDATE SET rating = :rating, comment = :comment, at = now()"
)
_RENAME = text("UPDATE conversations SET title = :title WHERE id = :id")
_ARCHIVE = text(
    "UPDATE conversations SET archived_at = CASE WHEN :archived THEN coalesce(archived_at, now()) END WHERE id = :id"
)
_STOP_RUNS = text("UPDATE messages SET stop_requested = true WHERE conversation_id = :id AND status = 'running'")


@dataclass(frozen=True, slots=True)
class ConversationCard:
    """What people see of a conversation. `knowledge_base_id` is set when it is with the bot of a knowledge base."""

    id: UUID
    bot_id: UUID
    bot_name: str
    knowledge_base_id: UUID | None
    title: str
    via: str
    archived: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class MessageError:
    """Why an answer ended early."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a person thinks of an answer: 1 or -1, and why."""

    rating: int
    comment: str = ""


@dataclass(frozen=True, slots=True)
class MessageCard:
    """What people see of a message."""

    id: UUID
    conversation_id: UUID
    role: str
    text: str
    status: str
    abstained: bool
    model: str
    citations: tuple[dict[str, Any], ...]
    usage: dict[str, Any]
    timings_ms: dict[str, Any]
    error: MessageError | None
    feedback: Opinion | None
    reply_to_id: UUID | None
    created_at: datetime


def _message(row: RowMapping) -> MessageCard:
    values = dict(row)
    code, problem = values.pop("error_code"), values.pop("error_message")
    rating, comment = values.pop("rating"), values.pop("comment")
    values["citations"] = tuple(values["citations"])
    return MessageCard(
        **values,
        error=MessageError(code, problem or "") if code else None,
        feedback=Opinion(rating, comment) if rating is not None else None,
    )


@dataclass(frozen=True, slots=True)
class ConversationFilter:
    """Which conversations are wanted; None = both kinds. `by_person`: begun in the console, not by a program."""

    q: str | None = None
    archived: bool | None = False
    by_person: bool | None = None


def _mine(actor: Actor, **more: Any) -> dict[str, Any]:
    return {"user": actor.user_id, "workspace": actor.workspace_id, **more}


async def list_conversations(
    context: Context, actor: Actor, *, wanted: ConversationFilter, page: PageRequest
) -> Page[ConversationCard]:
    """The actor's own conversations, the one used last first."""
    permit(actor, "chat")
    moment, identity = page.place()
    like = None
    if wanted.q and wanted.q.strip():
        like = "%" + wanted.q.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    narrowed = {"q": like, "archived": wanted.archived, "by_person": wanted.by_person}
    values = _mine(actor, **narrowed, moment=moment, identity=identity, limit=page.limit + 1)
    async with context.transaction() as session:
        cards = [ConversationCard(**row) for row in (await session.execute(_LIST, values)).mappings()]
    return page_of(cards, page.limit, lambda card: (card.updated_at, card.id))


async def get_conversation(context: Context, actor: Actor, conversation_id: UUID) -> ConversationCard:
    """One of the actor's own conversations. Raises NotFound."""
    permit(actor, "chat")
    async with context.transaction() as session:
        row = (await session.execute(_ONE, _mine(actor, id=conversation_id))).mappings().one_or_none()
    if row is None:
        raise NotFound("There is no such conversation, or it is not yours.")
    return ConversationCard(**row)


async def list_messages(context: Context, actor: Actor, conversation_id: UUID, page: PageRequest) -> Page[MessageCard]:
    """The messages of a conversation, newest first. Raises NotFound."""
    await get_conversation(context, actor, conversation_id)
    moment, identity = page.place()
    values = _mine(actor, conversation=conversation_id, moment=moment, identity=identity, limit=page.limit + 1)
    async with context.transaction() as session:
        cards = [_message(row) for row in (await session.execute(_OF_CONVERSATION, values)).mappings()]
    return page_of(cards, page.limit, lambda card: (card.created_at, card.id))


async def get_message(context: Context, actor: Actor, message_id: UUID) -> MessageCard:
    """One message. Raises NotFound."""
    permit(actor, "chat")
    async with context.transaction() as session:
        row = (await session.execute(_MESSAGE, _mine(actor, id=message_id))).mappings().one_or_none()
    if row is None:
        raise NotFound("There is no such message, or it is not yours.")
    return _message(row)


async def update_conversation(
    context: Context, actor: Actor, conversation_id: UUID, *, title: str | None = None, archived: bool | None = None
) -> ConversationCard:
    """Rename, archive or bring back. Raises NotFound, InvalidInput."""
    await get_conversation(context, actor, conversation_id)
    async with context.transaction() as session:
        if title is not None:
            cleaned = " ".join(title.split())
            if not 1 <= len(cleaned) <= LONGEST_TITLE:
                raise InvalidInput(f"title: between 1 and {LONGEST_TITLE} characters are expected", field="title")
            await session.execute(_RENAME, {"id": conversation_id, "title": cleaned})
        if archived is not None:
            await session.execute(_ARCHIVE, {"id": conversation_id, "archived": archived})
    return await get_conversation(context, actor, conversation_id)


async def delete_conversation(context: Context, actor: Actor, conversation_id: UUID) -> None:
    """Remove a conversation with all its messages; an answer under way ends. Raises NotFound."""
    await get_conversation(context, actor, conversation_id)
    async with context.transaction() as session:
        await session.execute(_STOP_RUNS, {"id": conversation_id})
        await session.execute(text("DELETE FROM conversations WHERE id = :id"), {"id": conversation_id})


async def rate_message(context: Context, actor: Actor, message_id: UUID, opinion: Opinion) -> MessageCard:
    """Keep what the actor thinks of an answer; a second opinion replaces the first. Raises NotFound, Conflict."""
    if opinion.rating not in (1, -1):
        raise InvalidInput("rating: 1 or -1 is expected", field="rating")
    if len(opinion.comment) > LONGEST_COMMENT:
        raise InvalidInput(f"comment: at most {LONGEST_COMMENT} characters are expected", field="comment")
    card = await get_message(context, actor, message_id)
    if card.role != "assistant" or card.status == "running":
        raise Conflict("Only a finished answer can be rated.")
    values = {"id": message_id, "user": actor.user_id, "rating": opinion.rating, "comment": opinion.comment}
    async with context.transaction() as session:
        await session.execute(_RATE, values)
    return await get_message(context, actor, message_id)
