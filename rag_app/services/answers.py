"""Asks a bot: starts a run, follows it, stops it, makes an answer anew."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.chat.history import Turn
from rag_app.database.columns import new_id, now
from rag_app.database.conversations import Conversation, Message
from rag_app.errors import Busy, Conflict, InvalidInput, NotFound, StreamExpired
from rag_app.services.answering import Asked, events_of
from rag_app.services.bots import BotCard, get_bot
from rag_app.services.context import Context
from rag_app.services.conversations import Via
from rag_app.services.permissions import Actor, permit
from rag_app.services.run_registry import Numbered, Run
from rag_app.services.runs import start_run
from rag_app.services.wire import ENDS, Json

LONGEST_MESSAGE = 20_000
REMEMBERED_TURNS = 20
STREAM_KEPT_S = 15 * 60
POLL_S = 0.2
READING_EVERY_S = 5.0

_OWN = text(
    "SELECT c.id, c.bot_id FROM conversations c WHERE c.id = :id AND c.user_id = :user AND c.workspace_id = :workspace"
)
_HISTORY = text(
    "SELECT role, text FROM messages WHERE conversation_id = :conversation AND replaced_at IS NULL AND text <> '' "
    "AND (created_at, id) < (:moment, :identity) ORDER BY created_at DESC, id DESC LIMIT :most"
)
_MESSAGE = text(
    "SELECT m.id, m.conversation_id, m.status, m.role, m.reply_to_id, c.bot_id, "
    "extract(epoch FROM now() - m.finished_at) AS ended_s "
    "FROM messages m JOIN conversations c ON c.id = m.conversation_id "
    "WHERE m.id = :id AND c.user_id = :user AND c.workspace_id = :workspace"
)
_EVENTS_AFTER = text(
    "SELECT number, kind, data FROM message_events WHERE message_id = :id AND number > :after ORDER BY number"
)
_READING = text("UPDATE messages SET last_reader_at = now() WHERE id = :id AND status = 'running'")
_STATUS = text("SELECT status FROM messages WHERE id = :id")
_STOP = text("UPDATE messages SET stop_requested = true WHERE id = :id AND status = 'running'")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and in which conversation (None = a new one, begun at `via`)."""

    message: str
    conversation_id: UUID | None = None
    language: str = ""
    via: Via = "console"


@dataclass(frozen=True, slots=True)
class Started:
    """A run that has begun."""

    conversation_id: UUID
    message_id: UUID


Bind = Callable[[AsyncSession, UUID], Awaitable[None]]


async def ask(context: Context, actor: Actor, bot_id: UUID, question: Question, *, bind: Bind | None = None) -> Started:
    """Begin an answer; follow it with `follow`. What was asked is kept whatever happens to the answer.

    `bind` is called with the id of the answer inside the transaction that creates it.

    Raises NotFound (bot or conversation), Busy (the conversation is being answered), InvalidInput.
    """
    permit(actor, "chat")
    message = question.message.strip()
    if not message or len(message) > LONGEST_MESSAGE or "\0" in message:
        raise InvalidInput(f"message: between 1 and {LONGEST_MESSAGE} characters are expected", field="message")
    bot = await get_bot(context, actor, bot_id)
    try:
        async with context.transaction() as session:
            conversation_id = await _conversation(session, actor, bot, question, message)
            asked = Message(workspace_id=actor.workspace_id, conversation_id=conversation_id, role="user", text=message)
            session.add(asked)
            await session.flush()
            reply = await _add_reply(session, actor, conversation_id, asked.id)
            history = await _history(session, conversation_id, before=asked)
            if bind:
                await bind(session, reply.id)
    except IntegrityError as problem:
        raise Busy("This conversation is still being answered; wait for it or stop it.") from problem
    _start(context, actor, bot, _Turn(conversation_id, reply.id, message, history, question.language))
    return Started(conversation_id, reply.id)


async def started_before(context: Context, actor: Actor, message_id: UUID) -> Started:
    """The run of an answer of the actor's, under way or ended. Raises NotFound."""
    permit(actor, "chat")
    async with context.transaction() as session:
        row = (await session.execute(_MESSAGE, _own(actor, message_id))).one_or_none()
    if row is None or row.role != "assistant":
        raise NotFound("There is no such answer, or it is not yours.")
    return Started(row.conversation_id, message_id)


async def regenerate(context: Context, actor: Actor, message_id: UUID, *, bind: Bind | None = None) -> Started:
    """Make an answer anew; the old one is kept but no longer shown. `bind` as in `ask`.

    Raises NotFound, Busy, and Conflict for a question or an answer that was made anew before.
    """
    permit(actor, "chat")
    async with context.transaction() as session:
        row = (await session.execute(_MESSAGE, _own(actor, message_id))).one_or_none()
    if row is None:
        raise NotFound("There is no such message, or it is not yours.")
    if row.role != "assistant" or row.reply_to_id is None:
        raise Conflict("Only an answer can be made anew.")
    bot = await get_bot(context, actor, row.bot_id)
    try:
        async with context.transaction() as session:
            old = await session.get_one(Message, message_id, with_for_update=True)
            if old.replaced_at is not None:
                raise Conflict("This answer was made anew already.")
            asked = await session.get_one(Message, row.reply_to_id)
            old.replaced_at = now()
            reply = await _add_reply(session, actor, row.conversation_id, asked.id)
            history = await _history(session, row.conversation_id, before=asked)
            if bind:
                await bind(session, reply.id)
    except IntegrityError as problem:
        raise Busy("This conversation is still being answered; wait for it or stop it.") from problem
    _start(context, actor, bot, _Turn(row.conversation_id, reply.id, asked.text, history))
    return Started(row.conversation_id, reply.id)


async def stop(context: Context, actor: Actor, message_id: UUID) -> None:
    """End a run, from any process. Stopping one that has ended is fine. Raises NotFound."""
    permit(actor, "chat")
    async with context.transaction() as session:
        if (await session.execute(_MESSAGE, _own(actor, message_id))).one_or_none() is None:
            raise NotFound("There is no such message, or it is not yours.")
        await session.execute(_STOP, {"id": message_id})
    run = context.runs.get(message_id)
    if run and run.task and not run.ended:
        run.stopping = True
        run.task.cancel()


async def follow(context: Context, actor: Actor, message_id: UUID, *, after: int = 0) -> AsyncGenerator[Numbered, None]:
    """The events of a run after a number, until its last one; from whichever process.

    Raises NotFound, and StreamExpired 15 minutes after the end.
    """
    permit(actor, "chat")
    async with context.transaction() as session:
        row = (await session.execute(_MESSAGE, _own(actor, message_id))).one_or_none()
    if row is None or row.role != "assistant":
        raise NotFound("There is no such answer, or it is not yours.")
    if row.ended_s is not None and row.ended_s > STREAM_KEPT_S:
        raise StreamExpired
    run = context.runs.get(message_id)
    source = _follow_here(run, after) if run else _follow_elsewhere(context, message_id, after)
    async with aclosing(source):  # a reader who goes away counts as gone at once
        async for event in source:
            yield event


async def _follow_here(run: Run, after: int) -> AsyncGenerator[Numbered, None]:
    run.readers += 1
    try:
        while True:
            changed = run.changed
            for event in run.events[after:]:
                if event[1] in ENDS:
                    await run.written.wait()
                yield event
                after = event[0]
                if event[1] in ENDS:
                    return
            if after >= len(run.events):
                if run.ended:
                    return
                await changed.wait()
    finally:
        run.readers -= 1


async def _follow_elsewhere(context: Context, message_id: UUID, after: int) -> AsyncGenerator[Numbered, None]:
    beat = 0.0
    while True:
        async with context.transaction() as session:
            status = (await session.execute(_STATUS, {"id": message_id})).scalar_one_or_none()
            rows = (await session.execute(_EVENTS_AFTER, {"id": message_id, "after": after})).all()
            if beat <= 0:
                await session.execute(_READING, {"id": message_id})
                beat = READING_EVERY_S
        for row in rows:
            yield row.number, row.kind, row.data
            after = row.number
            if row.kind in ENDS:
                return
        if status != "running" and not rows:
            return
        await asyncio.sleep(POLL_S)
        beat -= POLL_S


async def finished(context: Context, actor: Actor, started: Started) -> Json:
    """Wait for the end of a run: the data of its last event, with `error` events as they are."""
    last: Numbered | None = None
    async with aclosing(follow(context, actor, started.message_id)) as events:
        async for event in events:
            last = event
    if last is None:
        raise StreamExpired
    return {"kind": last[1], **last[2]}


@dataclass(frozen=True, slots=True)
class _Turn:
    conversation_id: UUID
    message_id: UUID
    question: str
    history: tuple[Turn, ...]
    language: str = ""


def _own(actor: Actor, identity: UUID) -> dict[str, UUID]:
    return {"id": identity, "user": actor.user_id, "workspace": actor.workspace_id}


async def _conversation(session: AsyncSession, actor: Actor, bot: BotCard, question: Question, message: str) -> UUID:
    if question.conversation_id is not None:
        row = (await session.execute(_OWN, _own(actor, question.conversation_id))).one_or_none()
        if row is None or row.bot_id != bot.id:
            raise NotFound("There is no such conversation with this bot, or it is not yours.")
        return question.conversation_id
    title = " ".join(message.split())
    conversation = Conversation(
        workspace_id=actor.workspace_id, bot_id=bot.id, user_id=actor.user_id, title=title[:80], via=question.via
    )
    session.add(conversation)
    await session.flush()
    return conversation.id


async def _add_reply(session: AsyncSession, actor: Actor, conversation_id: UUID, asked_id: UUID) -> Message:
    reply = Message(
        id=new_id(),
        workspace_id=actor.workspace_id,
        conversation_id=conversation_id,
        role="assistant",
        status="running",
        reply_to_id=asked_id,
        heartbeat_at=now(),
        last_reader_at=now(),
    )
    session.add(reply)
    await session.flush()
    return reply


async def _history(session: AsyncSession, conversation_id: UUID, *, before: Message) -> tuple[Turn, ...]:
    place = {"moment": before.created_at, "identity": before.id}
    found = await session.execute(_HISTORY, {"conversation": conversation_id, "most": REMEMBERED_TURNS, **place})
    return tuple(Turn(row.role, row.text) for row in reversed(found.all()))


def _start(context: Context, actor: Actor, bot: BotCard, turn: _Turn) -> None:
    """Nothing is waited for between the commit and here, so that no answer stands in the tables without its run."""
    run = Run(turn.message_id, turn.conversation_id)
    asked = Asked(turn.question, turn.history, turn.language)
    start_run(context, run, events_of(context, actor, bot, asked, trace=run.trace))
