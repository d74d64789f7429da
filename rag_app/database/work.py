"""Tables of background work: what a person can watch, and what workers have counted."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from rag_app.database.columns import id_field, json_field, moment


class Figure(SQLModel, table=True):
    """What all workers together have counted under one name and set of labels."""

    __tablename__ = "figures"
    name: str = Field(primary_key=True)
    labels: str = Field(primary_key=True)  # a JSON object with sorted keys
    value: float


class Task(SQLModel, table=True):
    """Work under way: phase, progress, result. A job in the queue only triggers it."""

    __tablename__ = "tasks"
    __table_args__ = (
        Index("tasks_newest", "workspace_id", "created_at"),
        Index("tasks_version", "version_id"),
    )
    id: UUID = id_field()
    workspace_id: UUID = Field(foreign_key="workspaces.id")
    kind: str
    status: str = "queued"  # queued | running | done | failed | cancelled
    phase: str | None = None
    progress: float = 0.0
    result: dict[str, Any] = json_field()
    error_code: str | None = None
    error_message: str | None = None
    knowledge_base_id: UUID | None = Field(default=None, foreign_key="knowledge_bases.id", ondelete="CASCADE")
    document_id: UUID | None = None
    version_id: UUID | None = None
    created_by: UUID | None = None
    created_at: datetime = moment()
    started_at: datetime | None = moment(default=False)
    finished_at: datetime | None = moment(default=False)
