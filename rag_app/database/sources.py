"""Tables of sources: where documents come from by themselves, what they led to, and each run over them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, text
from sqlalchemy.dialects.postgresql import BYTEA
from sqlmodel import Field, SQLModel

from rag_app.database.columns import id_field, json_field, moment


class Source(SQLModel, table=True):
    """A page, website, feed, repository, bucket or folder that a knowledge base is filled from."""

    __tablename__ = "sources"
    __table_args__ = (
        Index("sources_newest", "knowledge_base_id", "created_at", "id"),
        Index("sources_due", "next_run_at", postgresql_where=text("state = 'active' AND next_run_at IS NOT NULL")),
    )
    id: UUID = id_field()
    workspace_id: UUID = Field(foreign_key="workspaces.id")
    knowledge_base_id: UUID = Field(foreign_key="knowledge_bases.id", ondelete="CASCADE")
    kind: str  # page | website | feed | git | s3 | folder
    name: str
    address: str
    settings: dict[str, Any] = json_field()
    secret: bytes | None = Field(default=None, sa_type=BYTEA, repr=False)  # sealed; see services/source_secrets.py
    schedule: dict[str, Any] = json_field()  # {} = only by hand; {every_minutes} or {cron, time_zone}
    state: str = "active"  # active | paused
    next_run_at: datetime | None = moment(default=False)
    created_by: UUID | None = None
    created_at: datetime = moment()
    updated_at: datetime = moment()


class SourceRun(SQLModel, table=True):
    """One pass over a source. Its frontier are the pages that carry its id and are not visited yet."""

    __tablename__ = "source_runs"
    __table_args__ = (
        Index("source_runs_newest", "source_id", "created_at", "id"),
        Index(
            "source_runs_one_at_a_time",
            "source_id",
            unique=True,
            postgresql_where=text("status IN ('queued', 'running')"),
        ),
    )
    id: UUID = id_field()
    workspace_id: UUID
    knowledge_base_id: UUID = Field(foreign_key="knowledge_bases.id", ondelete="CASCADE")
    source_id: UUID = Field(foreign_key="sources.id", ondelete="CASCADE")
    task_id: UUID | None = Field(default=None, foreign_key="tasks.id", ondelete="SET NULL")
    status: str = "queued"  # queued | running | done | failed | cancelled
    phase: str = "starting"  # starting | crawling | retiring
    progress: float = 0.0
    may_retire_many: bool = False  # a person has confirmed that many pages are gone
    attempt: int = 0  # fencing: only the newest attempt may write
    claimed_by: int | None = None  # the worker that is at it; alive while it holds its advisory lock
    scope: dict[str, Any] = json_field()  # what belongs to the source, as found at its start
    robots: dict[str, Any] = json_field()  # what its reader remembers; of sites: origin -> the rules that hold for us
    outages: int = 0  # failures of the site in a row
    is_truncated: bool = False  # a limit left pages out
    has_gaps: bool = False  # a page could not be read, so what it leads to is not known
    found: int = 0
    visited: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: int = 0
    skipped: int = 0
    held_back: int = 0  # pages that seem gone but were kept, because they are so many
    error_code: str | None = None
    error_message: str | None = None
    created_at: datetime = moment()
    started_at: datetime | None = moment(default=False)
    finished_at: datetime | None = moment(default=False)


class SourcePage(SQLModel, table=True):
    """One address of a source: the document it became, and what is needed to see that it has not changed."""

    __tablename__ = "source_pages"
    __table_args__ = (
        Index("source_pages_address", "source_id", "url", unique=True),
        Index("source_pages_loose", "source_id", "loose"),
        Index("source_pages_frontier", "source_id", "run_id", "is_visited"),
        Index("source_pages_document", "knowledge_base_id", "document_id"),
    )
    id: UUID = id_field()
    workspace_id: UUID
    knowledge_base_id: UUID = Field(foreign_key="knowledge_bases.id", ondelete="CASCADE")
    source_id: UUID = Field(foreign_key="sources.id", ondelete="CASCADE")
    url: str
    loose: str  # the address without what seldom tells two pages apart: scheme, case, a slash at the end
    depth: int = 0
    run_id: UUID | None = None  # the run that met it last
    is_visited: bool = False  # by that run
    tries: int = 0
    # waiting | added | changed | unchanged | gone | removed | failed | skipped | alias
    status: str = "waiting"
    document_id: UUID | None = None
    last_title: str | None = None  # of the document that was removed with it
    mark: str = ""  # fingerprint that the listing of its run gave; "" = none
    etag: str = ""
    last_modified: str = ""
    content_hash: bytes | None = Field(default=None, sa_type=BYTEA)
    links: list[Any] = json_field(list)
    error_code: str | None = None
    error_message: str | None = None
    seen_at: datetime | None = moment(default=False)
    changed_at: datetime | None = moment(default=False)
