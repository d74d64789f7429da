"""Versions know the source that brought them."""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0012"
down_revision: str | Sequence[str] | None = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("versions", sa.Column("source_id", sa.Uuid(), nullable=True))


def downgrade() -> None:
    op.drop_column("versions", "source_id")
