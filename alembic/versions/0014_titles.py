"""Pages of sources keep the title of the document that was removed with them."""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0014"
down_revision: str | Sequence[str] | None = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("source_pages", sa.Column("last_title", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("source_pages", "last_title")
