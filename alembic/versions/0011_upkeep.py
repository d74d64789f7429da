"""Indexes that cost less to keep while documents pour in, and that count them quickly."""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0011"
down_revision: str | Sequence[str] | None = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("versions_unfinished", table_name="versions")
    op.create_index(
        "versions_not_ready",
        "versions",
        ["knowledge_base_id", "created_at"],
        postgresql_where=sa.text("state <> 'ready'"),
    )
    op.drop_index("documents_newest", table_name="documents")
    op.create_index(
        "documents_newest",
        "documents",
        ["knowledge_base_id", "created_at", "id"],
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "documents_deleted", "documents", ["knowledge_base_id"], postgresql_where=sa.text("deleted_at IS NOT NULL")
    )
    op.execute("ALTER INDEX lexical_terms SET (fastupdate = on, gin_pending_list_limit = 256)")


def downgrade() -> None:
    op.execute("ALTER INDEX lexical_terms SET (fastupdate = off)")
    op.execute("ALTER INDEX lexical_terms RESET (gin_pending_list_limit)")
    op.drop_index("documents_deleted", table_name="documents")
    op.drop_index("documents_newest", table_name="documents")
    op.create_index("documents_newest", "documents", ["knowledge_base_id", "created_at", "id"])
    op.drop_index("versions_not_ready", table_name="versions")
    op.create_index(
        "versions_unfinished",
        "versions",
        ["updated_at"],
        postgresql_where=sa.text("state IN ('queued', 'working')"),
    )
