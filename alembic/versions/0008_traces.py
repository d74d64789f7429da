"""Why an answer is as it is."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision: str = "0008"
down_revision: str | Sequence[str] | None = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """How a bot searches, and what was noted down while an answer was made."""
    op.add_column("bots", sa.Column("retrieval", postgresql.JSONB(), nullable=False, server_default=sa.text("'{}'")))
    op.create_table(
        "message_traces",
        sa.Column("message_id", sa.Uuid(), sa.ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("data", postgresql.JSONB(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("message_traces_at", "message_traces", ["at"])


def downgrade() -> None:
    """Without either."""
    op.drop_table("message_traces")
    op.drop_column("bots", "retrieval")
