"""Table of edits: what people have hidden or corrected, each tied to the words it was marked at."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, text
from sqlalchemy.dialects.postgresql import BYTEA
from sqlmodel import Field, SQLModel

from rag_app.database.columns import moment, new_id


class EditRow(SQLModel, table=True):
    """A stretch of a document that somebody hid or corrected, and where it stands in the active version."""

    __tablename__ = "edits"
    __table_args__ = (
        ForeignKeyConstraint(
            ["knowledge_base_id", "document_id"], ["documents.knowledge_base_id", "documents.id"], ondelete="CASCADE"
        ),
        Index("edits_document", "knowledge_base_id", "document_id"),
        Index("edits_note", "knowledge_base_id", "note_id"),
        Index("edits_id", "id"),
        Index(
            "edits_conflicts",
            "knowledge_base_id",
            "created_at",
            "id",
            postgresql_where=text("conflict IS NOT NULL"),
        ),
    )
    knowledge_base_id: UUID = Field(primary_key=True)
    id: UUID = Field(default_factory=new_id, primary_key=True)
    workspace_id: UUID
    document_id: UUID
    kind: str  # hide | correct
    quote: str  # the words that were marked
    prefix: str
    suffix: str
    position: int
    likes_before: int | None = None  # of stretches like it in its text, see ingestion.anchors
    likes_behind: int | None = None
    text_hash: bytes = Field(sa_type=BYTEA)
    marked_in: UUID  # the version in which it was marked
    replacement: str = ""  # what a correction says instead
    note_id: UUID | None = None  # the document that a correction is answered from
    revision: int = 1
    placed_in: UUID | None = None  # the version for which the next three are true
    char_from: int | None = None
    char_to: int | None = None
    conflict: str | None = None  # not_found | ambiguous | changed
    created_by: UUID | None = None
    created_at: datetime = moment()
    updated_at: datetime = moment()
