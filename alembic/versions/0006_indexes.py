"""Several indexes of one knowledge base: one that is searched, others being built or kept."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision: str = "0006"
down_revision: str | Sequence[str] | None = "0005"
branch_labels = None
depends_on = None

_CUT = ("passages", "versions", "lexical", "lexical_deltas", "lexical_counts", "lexical_totals")
_KEYS = {
    "lexical_counts": ("knowledge_base_id", "term", "cutting_id"),
    "lexical_totals": ("knowledge_base_id", "cutting_id", "language"),
}
_INDEX_COLUMNS = (
    sa.Column("cutting_id", sa.BigInteger(), nullable=False, server_default="0"),
    sa.Column("passage_tokens", sa.Integer(), nullable=False, server_default="220"),
    sa.Column("overlap_tokens", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("phase", sa.String(), nullable=True),
    sa.Column("total", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("done", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("left_s", sa.Float(), nullable=True),
    sa.Column("auto_flip", sa.Boolean(), nullable=False, server_default=sa.true()),
    sa.Column("keep_days", sa.Integer(), nullable=False, server_default="14"),
    sa.Column("task_id", sa.Uuid(), nullable=True),
    sa.Column("claimed_by", sa.Integer(), nullable=True),
    sa.Column("attempt", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("failures", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True),
    sa.Column("pausing_until", sa.DateTime(timezone=True), nullable=True),
    sa.Column("problem_code", sa.String(), nullable=True),
    sa.Column("problem_message", sa.String(), nullable=True),
    sa.Column("comparison", postgresql.JSONB(), nullable=False, server_default=sa.text("'{}'::jsonb")),
    sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
    sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
    sa.Column("drop_at", sa.DateTime(timezone=True), nullable=True),
)


def upgrade() -> None:
    for table in _CUT:
        op.add_column(table, sa.Column("cutting_id", sa.BigInteger(), nullable=False, server_default="0"))
    for table, columns in _KEYS.items():
        op.drop_constraint(f"{table}_pkey", table, type_="primary")
        op.create_primary_key(f"{table}_pkey", table, list(columns))
    op.drop_index("passages_version", "passages")
    op.create_index(
        "passages_version", "passages", ["knowledge_base_id", "version_id", "cutting_id", "ordinal"], unique=True
    )
    for column in _INDEX_COLUMNS:
        op.add_column("indexes", column)
    op.create_index(
        "indexes_one_building",
        "indexes",
        ["knowledge_base_id"],
        unique=True,
        postgresql_where=sa.text("state = 'building'"),
    )


def downgrade() -> None:
    op.drop_index("indexes_one_building", "indexes")
    for column in reversed(_INDEX_COLUMNS):
        op.drop_column("indexes", column.name)
    op.drop_index("passages_version", "passages")
    op.create_index("passages_version", "passages", ["knowledge_base_id", "version_id", "ordinal"], unique=True)
    for table, columns in _KEYS.items():
        op.drop_constraint(f"{table}_pkey", table, type_="primary")
        op.create_primary_key(f"{table}_pkey", table, [name for name in columns if name != "cutting_id"])
    for table in _CUT:
        op.drop_column(table, "cutting_id")
