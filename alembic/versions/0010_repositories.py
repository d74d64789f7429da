"""Repositories and buckets as sources: a sealed secret, and the fingerprints that a listing gives."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision: str = "0010"
down_revision: str | Sequence[str] | None = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sources", sa.Column("secret", postgresql.BYTEA(), nullable=True))
    op.add_column("source_pages", sa.Column("mark", sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("source_pages", "mark")
    op.drop_column("sources", "secret")
