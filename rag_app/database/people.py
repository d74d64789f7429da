"""Tables of people and how they prove who they are."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Index, Text, UniqueConstraint, func, text
from sqlmodel import Field, SQLModel

from rag_app.database.columns import id_field, json_field, moment


class Workspace(SQLModel, table=True):
    """One tenant."""

    __tablename__ = "workspaces"
    id: UUID = id_field()
    name: str
    default_chat_model: str | None = None
    default_embedding_model: str | None = None
    created_at: datetime = moment()


class User(SQLModel, table=True):
    """A person who signs in."""

    __tablename__ = "users"
    __table_args__ = (Index("users_email_key", text("lower(email)"), unique=True),)
    id: UUID = id_field()
    workspace_id: UUID = Field(foreign_key="workspaces.id", index=True)
    email: str
    name: str = ""
    role: str
    password_hash: str
    created_at: datetime = moment()
    disabled_at: datetime | None = moment(default=False)


class Session(SQLModel, table=True):
    """One signed-in browser; the token is kept as a hash."""

    __tablename__ = "sessions"
    id: UUID = id_field()
    user_id: UUID = Field(foreign_key="users.id", index=True, ondelete="CASCADE")
    token_hash: bytes = Field(unique=True)
    user_agent: str = ""
    created_at: datetime = moment()
    last_seen_at: datetime = moment()
    expires_at: datetime = moment()
    revoked_at: datetime | None = moment(default=False)


class OneTimeLink(SQLModel, table=True):
    """A link that works once: setup, invite or reset."""

    __tablename__ = "one_time_links"
    id: UUID = id_field()
    kind: str
    token_hash: bytes = Field(unique=True)
    workspace_id: UUID | None = Field(default=None, foreign_key="workspaces.id", ondelete="CASCADE")
    user_id: UUID | None = Field(default=None, foreign_key="users.id", ondelete="CASCADE")
    email: str = ""
    role: str = ""
    created_by: UUID | None = None
    created_at: datetime = moment()
    expires_at: datetime = moment()
    used_at: datetime | None = moment(default=False)


class ApiKey(SQLModel, table=True):
    """A key for programs; kept as a hash, shown once."""

    __tablename__ = "api_keys"
    id: UUID = id_field()
    workspace_id: UUID = Field(foreign_key="workspaces.id", index=True, ondelete="CASCADE")
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE")
    name: str
    prefix: str
    key_hash: bytes = Field(unique=True)
    scopes: list[str] = Field(default_factory=list, sa_type=ARRAY(Text), nullable=False)
    created_at: datetime = moment()
    last_used_at: datetime | None = moment(default=False)
    expires_at: datetime | None = moment(default=False)
    revoked_at: datetime | None = moment(default=False)


class SignInAttempt(SQLModel, table=True):
    """A failed attempt, counted per address of the caller and per account."""

    __tablename__ = "sign_in_attempts"
    __table_args__ = (Index("sign_in_attempts_key_at", "key", "at"),)
    id: UUID = id_field()
    key: bytes
    at: datetime = moment()


class AuditEvent(SQLModel, table=True):
    """Who did what to which thing."""

    __tablename__ = "audit_events"
    __table_args__ = (Index("audit_events_workspace_at", "workspace_id", "at"),)
    id: UUID = id_field()
    workspace_id: UUID
    actor_id: UUID | None = None
    action: str
    thing_id: UUID | None = None
    details: dict[str, Any] = json_field()
    at: datetime = moment()


class IdempotencyRecord(SQLModel, table=True):
    """The answer given to a POST that carried an Idempotency-Key, kept for 24 hours."""

    __tablename__ = "idempotency_records"
    __table_args__ = (UniqueConstraint("scope", "route", "key"),)
    id: UUID = id_field()
    scope: str
    route: str
    key: str
    body_hash: bytes
    status: int | None = None
    response: dict[str, Any] | None = Field(default=None, sa_type=json_field().sa_type, nullable=True)
    message_id: UUID | None = None
    created_at: datetime = moment(index=True)


class Provider(SQLModel, table=True):
    """A model provider of a workspace; the key is ciphertext bound to this row."""

    __tablename__ = "providers"
    id: UUID = id_field()
    workspace_id: UUID = Field(foreign_key="workspaces.id", index=True, ondelete="CASCADE")
    provider: str
    name: str
    base_url: str = ""
    secret: bytes | None = None
    created_at: datetime = moment()
    updated_at: datetime = Field(
        default=None, sa_type=moment().sa_type, nullable=False, sa_column_kwargs={"server_default": func.now()}
    )
