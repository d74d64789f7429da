"""Passwords that open encrypted originals, sealed until used; what a reading left out; members of archives."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision: str = "0004"
down_revision: str | Sequence[str] | None = "0003"
branch_labels = None
depends_on = None

# Whichever statement brings a version to its end, the password goes in that same moment.
_FORGET = """
CREATE FUNCTION versions_forget_password() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.sealed_password := NULL;
    RETURN NEW;
END $$
"""
_FORGET_AT_THE_END = """
CREATE TRIGGER versions_forget_password BEFORE INSERT OR UPDATE ON versions FOR EACH ROW
WHEN (NEW.sealed_password IS NOT NULL AND NEW.state IN ('ready', 'failed'))
EXECUTE FUNCTION versions_forget_password()
"""


def upgrade() -> None:
    op.add_column("versions", sa.Column("sealed_password", postgresql.BYTEA(), nullable=True))
    op.add_column(
        "versions", sa.Column("warnings", postgresql.JSONB(), nullable=False, server_default=sa.text("'[]'::jsonb"))
    )
    op.execute(_FORGET)
    op.execute(_FORGET_AT_THE_END)
    op.add_column("documents", sa.Column("parent_id", sa.Uuid(), nullable=True))
    op.create_index(
        "documents_parent",
        "documents",
        ["knowledge_base_id", "parent_id"],
        postgresql_where=sa.text("parent_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("documents_parent", "documents")
    op.drop_column("documents", "parent_id")
    op.execute("DROP TRIGGER versions_forget_password ON versions")
    op.execute("DROP FUNCTION versions_forget_password()")
    op.drop_column("versions", "warnings")
    op.drop_column("versions", "sealed_password")
