"""Conversations know whether a person or a program began them."""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0013"
down_revision: str | Sequence[str] | None = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("conversations", sa.Column("via", sa.String(), nullable=False, server_default="console"))
    op.alter_column("conversations", "via", server_default=None)


def downgrade() -> None:
    op.drop_column("conversations", "via")
