"""Tables of knowledge bases, documents, versions and passages. Keys of the hot ones begin with knowledge_base_id."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, text
from sqlalchemy.dialects.postgresql import BYTEA, JSONB
from sqlmodel import Field, SQLModel

from rag_app.database.columns import id_field, json_field, moment, new_id


class KnowledgeBase(SQLModel, table=True):
    """A pile of documents that is searched together."""

    __tablename__ = "knowledge_bases"
    __table_args__ = (Index("knowledge_bases_name_key", "workspace_id", text("lower(name)"), unique=True),)
    id: UUID = id_field()
    workspace_id: UUID = Field(foreign_key="workspaces.id", index=True)
    name: str
    description: str = ""
    language: str = ""  # "" = found per document
    access: str = "workspace"  # workspace | restricted
    active_index_id: int | None = Field(default=None, sa_type=BigInteger)
    created_by: UUID | None = None
    created_at: datetime = moment()


class KnowledgeBaseMember(SQLModel, table=True):
    """A person who may use a restricted knowledge base."""

    __tablename__ = "knowledge_base_members"
    knowledge_base_id: UUID = Field(foreign_key="knowledge_bases.id", primary_key=True, ondelete="CASCADE")
    user_id: UUID = Field(foreign_key="users.id", primary_key=True, ondelete="CASCADE")


class EmbeddingIndex(SQLModel, table=True):
    """One knowledge base cut in one way and embedded by one model. At most one is being built beside the active one."""

    __tablename__ = "indexes"
    __table_args__ = (
        Index("indexes_one_building", "knowledge_base_id", unique=True, postgresql_where=text("state = 'building'")),
    )
    id: int | None = Field(default=None, sa_type=BigInteger, primary_key=True)
    knowledge_base_id: UUID = Field(foreign_key="knowledge_bases.id", index=True, ondelete="CASCADE")
    workspace_id: UUID
    model: str
    dimensions: int
    state: str = "active"  # building | active | retired | failed | dropping
    has_hnsw: bool = False
    created_at: datetime = moment()
    cutting_id: int = Field(default=0, sa_type=BigInteger)  # the passages it is about; shared while only models change
    passage_tokens: int = 220
    overlap_tokens: int = 0
    phase: str | None = None  # cutting | embedding | indexing | comparing | ready | flipping
    total: int = 0  # passages there are to be, and how many there are
    done: int = 0
    left_s: float | None = None
    auto_flip: bool = True  # use it as soon as it is complete, instead of waiting for a person
    keep_days: int = 14  # how long the one it takes the place of is kept
    task_id: UUID | None = None
    claimed_by: int | None = None
    attempt: int = 0  # fencing: only the newest attempt writes
    failures: int = 0
    retry_at: datetime | None = moment(default=False)
    pausing_until: datetime | None = moment(default=False)  # ingestion waits so long, so that the flip catches up
    problem_code: str | None = None
    problem_message: str | None = None
    comparison: dict[str, Any] = json_field()
    updated_at: datetime = moment()
    activated_at: datetime | None = moment(default=False)
    retired_at: datetime | None = moment(default=False)
    drop_at: datetime | None = moment(default=False)


class Document(SQLModel, table=True):
    """One file or page. What is searchable is its active version; the latest one may still be on its way."""

    __tablename__ = "documents"
    __table_args__ = (
        Index(
            "documents_external_id_key",
            "knowledge_base_id",
            "external_id",
            unique=True,
            postgresql_where=text("external_id IS NOT NULL AND deleted_at IS NULL"),
        ),
        Index("documents_id", "id"),
        Index("documents_newest", "knowledge_base_id", "created_at", "id", postgresql_where=text("deleted_at IS NULL")),
        Index("documents_deleted", "knowledge_base_id", postgresql_where=text("deleted_at IS NOT NULL")),
        Index("documents_parent", "knowledge_base_id", "parent_id", postgresql_where=text("parent_id IS NOT NULL")),
    )
    knowledge_base_id: UUID = Field(foreign_key="knowledge_bases.id", primary_key=True, ondelete="CASCADE")
    id: UUID = Field(default_factory=new_id, primary_key=True)
    workspace_id: UUID
    kind: str = "file"  # file | text | page | note | archive
    external_id: str | None = None
    title: str
    url: str | None = None
    document_metadata: dict[str, Any] = Field(
        default_factory=dict, sa_type=JSONB, nullable=False, sa_column_kwargs={"name": "metadata"}
    )
    active_version_id: UUID | None = None
    latest_version_id: UUID | None = None
    parent_id: UUID | None = None  # the archive that this document was unpacked from
    created_by: UUID | None = None
    created_at: datetime = moment()
    updated_at: datetime = moment()
    deleted_at: datetime | None = moment(default=False)


class Version(SQLModel, table=True):
    """Immutable content of a document, and how far it has been read."""

    __tablename__ = "versions"
    __table_args__ = (
        ForeignKeyConstraint(
            ["knowledge_base_id", "document_id"], ["documents.knowledge_base_id", "documents.id"], ondelete="CASCADE"
        ),
        Index("versions_document", "knowledge_base_id", "document_id", "number", unique=True),
        Index("versions_not_ready", "knowledge_base_id", "created_at", postgresql_where=text("state <> 'ready'")),
        Index("versions_sha256", "knowledge_base_id", "sha256"),
        Index("versions_original", "original_key"),
        Index("versions_filename", "knowledge_base_id", "filename", postgresql_where=text("filename <> ''")),
    )
    knowledge_base_id: UUID = Field(primary_key=True)
    id: UUID = Field(default_factory=new_id, primary_key=True)
    document_id: UUID
    workspace_id: UUID
    number: int = 1
    state: str = "queued"  # queued | working | ready | failed
    phase: str | None = None  # fetching | reading | cutting | embedding | publishing
    progress: float = 0.0
    error_code: str | None = None
    error_message: str | None = None
    attempt: int = 0  # fencing: only the newest attempt may flip
    failures: int = 0  # attempts since something was last achieved
    claimed_by: int | None = None  # the worker that is at it; alive while it holds its advisory lock
    filename: str = ""
    media_type: str = ""
    byte_count: int = Field(default=0, sa_type=BigInteger)
    sha256: bytes | None = Field(default=None, sa_type=BYTEA)  # of the content; None until a page is fetched
    original_key: str | None = None  # name in the file store
    original_offset: int = Field(default=0, sa_type=BigInteger)  # where the content begins in a shared original
    title: str = ""
    language: str = ""
    text: str | None = None
    pages: list[Any] = json_field(list)  # [[page, char_from, char_to], …]
    blocks: list[Any] = json_field(list)  # [[kind, char_from, char_to, level], …]
    places: list[Any] = json_field(list)  # [[char_from, char_to, place], …]
    cuts: list[Any] = json_field(list)  # [[char_from, char_to, heading, context, page_from, page_to, place], …]
    cutting_id: int = Field(default=0, sa_type=BigInteger)  # by which `cuts` were made
    passage_count: int = 0
    page_count: int | None = None
    created_by: UUID | None = None
    source_id: UUID | None = None  # the source that brought it
    restored_from: UUID | None = None  # the older version whose content it brought back
    warnings: list[Any] = json_field(list)  # sentences: what was left out of the text
    names: list[Any] = json_field(list)  # that it goes by, in lower case, see ingestion/names.py
    sealed_password: bytes | None = Field(default=None, sa_type=BYTEA)  # a trigger erases it with ready and failed
    created_at: datetime = moment()
    updated_at: datetime = moment()
    ready_at: datetime | None = moment(default=False)


class Passage(SQLModel, table=True):
    """A slice of an active version: the unit of retrieval and of citation."""

    __tablename__ = "passages"
    __table_args__ = (
        Index("passages_version", "knowledge_base_id", "version_id", "cutting_id", "ordinal", unique=True),
        Index("passages_document", "knowledge_base_id", "document_id"),
        Index("passages_id", "id"),
    )
    knowledge_base_id: UUID = Field(foreign_key="knowledge_bases.id", primary_key=True, ondelete="CASCADE")
    id: UUID = Field(default_factory=new_id, primary_key=True)
    workspace_id: UUID
    document_id: UUID
    version_id: UUID
    cutting_id: int = Field(default=0, sa_type=BigInteger)
    ordinal: int
    char_from: int
    char_to: int
    page_from: int | None = None
    page_to: int | None = None
    place: dict[str, Any] = json_field()  # see retrieval/places.py
    heading: str = ""
    context: str = ""
    text: str
    language: str = ""


class EmbeddingCache(SQLModel, table=True):
    """Vectors by content, so that unchanged text is never embedded twice."""

    __tablename__ = "embedding_cache"
    workspace_id: UUID = Field(primary_key=True)
    model: str = Field(primary_key=True)
    content_hash: bytes = Field(primary_key=True)
    embedding: Any = Field(sa_type=HALFVEC, nullable=False)
    created_at: datetime = moment()
