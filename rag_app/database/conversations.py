"""Tables of bots, conversations, messages and what people think of them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from rag_app.database.columns import id_field, json_field, moment


class Bot(SQLModel, table=True):
    """A configured assistant over some knowledge bases (or none)."""

    __tablename__ = "bots"
    __table_args__ = (
        Index("bots_slug_key", "workspace_id", "slug", unique=True),
        Index(
            "bots_implicit_key",
            "implicit_knowledge_base_id",
            unique=True,
            postgresql_where=text("implicit_knowledge_base_id IS NOT NULL"),
        ),
    )
    id: UUID = id_field()
    workspace_id: UUID = Field(foreign_key="workspaces.id", index=True)
    name: str
    slug: str
    public_id: str = Field(unique=True)
    instructions: str = ""
    model: str | None = None  # None = the default of the workspace
    fallback_model: str | None = None
    temperature: float | None = None
    memory: bool = True
    suggested_questions: list[str] = json_field(list)
    retrieval: dict[str, Any] = json_field()  # what differs from the defaults, see services/retrieval_settings.py
    implicit_knowledge_base_id: UUID | None = Field(default=None, foreign_key="knowledge_bases.id", ondelete="CASCADE")
    created_at: datetime = moment()
    updated_at: datetime = moment()


class BotKnowledgeBase(SQLModel, table=True):
    """Which knowledge bases a bot may use."""

    __tablename__ = "bot_knowledge_bases"
    bot_id: UUID = Field(foreign_key="bots.id", primary_key=True, ondelete="CASCADE")
    knowledge_base_id: UUID = Field(foreign_key="knowledge_bases.id", primary_key=True, ondelete="CASCADE")


class Conversation(SQLModel, table=True):
    """A person's exchange with one bot."""

    __tablename__ = "conversations"
    __table_args__ = (Index("conversations_of_user", "user_id", "updated_at"),)
    id: UUID = id_field()
    workspace_id: UUID = Field(foreign_key="workspaces.id", index=True)
    bot_id: UUID = Field(foreign_key="bots.id", index=True, ondelete="CASCADE")
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE")
    title: str = ""
    via: str = "console"  # console | api | cli: where it was begun
    archived_at: datetime | None = moment(default=False)
    created_at: datetime = moment()
    updated_at: datetime = moment()


class Message(SQLModel, table=True):
    """One turn. An answer is a run of its own: it can be stopped, and followed from any connection."""

    __tablename__ = "messages"
    __table_args__ = (
        Index("messages_of_conversation", "conversation_id", "created_at"),
        Index(
            "messages_one_run",
            "conversation_id",
            unique=True,
            postgresql_where=text("status = 'running'"),
        ),
    )
    id: UUID = id_field()
    workspace_id: UUID
    conversation_id: UUID = Field(foreign_key="conversations.id", ondelete="CASCADE")
    role: str  # user | assistant
    text: str = ""
    status: str = "done"  # running | done | stopped | failed | interrupted
    reply_to_id: UUID | None = None
    replaced_at: datetime | None = moment(default=False)  # a regenerated answer took its place
    abstained: bool = False
    model: str = ""
    citations: list[Any] = json_field(list)
    usage: dict[str, Any] = json_field()
    timings_ms: dict[str, Any] = json_field()
    error_code: str | None = None
    error_message: str | None = None
    stop_requested: bool = False
    last_reader_at: datetime | None = moment(default=False)
    heartbeat_at: datetime | None = moment(default=False)
    claimed_by: int | None = None  # the process that makes it; alive while it holds its advisory lock
    created_at: datetime = moment()
    finished_at: datetime | None = moment(default=False)


class MessageEvent(SQLModel, table=True):
    """One event of an answer's stream; the number counts from 1 per message."""

    __tablename__ = "message_events"
    message_id: UUID = Field(foreign_key="messages.id", primary_key=True, ondelete="CASCADE")
    number: int = Field(primary_key=True)
    kind: str
    data: dict[str, Any] = Field(sa_type=JSONB, nullable=False)
    at: datetime = moment()


class MessageTrace(SQLModel, table=True):
    """How an answer came about: ids, figures and questions asked; never text of documents."""

    __tablename__ = "message_traces"
    __table_args__ = (Index("message_traces_at", "at"),)
    message_id: UUID = Field(foreign_key="messages.id", primary_key=True, ondelete="CASCADE")
    workspace_id: UUID
    data: dict[str, Any] = Field(sa_type=JSONB, nullable=False)
    at: datetime = moment()


class Feedback(SQLModel, table=True):
    """What a person thinks of an answer."""

    __tablename__ = "feedback"
    message_id: UUID = Field(foreign_key="messages.id", primary_key=True, ondelete="CASCADE")
    user_id: UUID = Field(foreign_key="users.id", primary_key=True, ondelete="CASCADE")
    rating: int
    comment: str = ""
    at: datetime = moment()
