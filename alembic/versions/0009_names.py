"""The names that a document goes by."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision: str = "0009"
down_revision: str | Sequence[str] | None = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Search asks them when documents resemble each other."""
    op.add_column(
        "versions", sa.Column("names", postgresql.JSONB(), nullable=False, server_default=sa.text("'[]'::jsonb"))
    )


def downgrade() -> None:
    """Without them."""
    op.drop_column("versions", "names")
