"""What people have hidden or corrected, tied to the text; who made a version, and which one it brought back."""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0007"
down_revision: str | Sequence[str] | None = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("versions", sa.Column("created_by", sa.Uuid(), nullable=True))
    op.add_column("versions", sa.Column("restored_from", sa.Uuid(), nullable=True))
    op.create_table(
        "edits",
        sa.Column("knowledge_base_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("quote", sa.String(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("suffix", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("likes_before", sa.Integer(), nullable=True),
        sa.Column("likes_behind", sa.Integer(), nullable=True),
        sa.Column("text_hash", sa.LargeBinary(), nullable=False),
        sa.Column("marked_in", sa.Uuid(), nullable=False),
        sa.Column("replacement", sa.String(), nullable=False),
        sa.Column("note_id", sa.Uuid(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("placed_in", sa.Uuid(), nullable=True),
        sa.Column("char_from", sa.Integer(), nullable=True),
        sa.Column("char_to", sa.Integer(), nullable=True),
        sa.Column("conflict", sa.String(), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["knowledge_base_id", "document_id"], ["documents.knowledge_base_id", "documents.id"], ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("knowledge_base_id", "id"),
    )
    op.create_index("edits_document", "edits", ["knowledge_base_id", "document_id"])
    op.create_index("edits_note", "edits", ["knowledge_base_id", "note_id"])
    op.create_index("edits_id", "edits", ["id"])
    op.create_index(
        "edits_conflicts",
        "edits",
        ["knowledge_base_id", "created_at", "id"],
        postgresql_where=sa.text("conflict IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_table("edits")
    op.drop_column("versions", "restored_from")
    op.drop_column("versions", "created_by")
