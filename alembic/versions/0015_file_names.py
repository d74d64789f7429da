"""Files are looked up by their name when one of the same name is uploaded."""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0015"
down_revision: str | Sequence[str] | None = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "versions_filename", "versions", ["knowledge_base_id", "filename"], postgresql_where=sa.text("filename <> ''")
    )


def downgrade() -> None:
    op.drop_index("versions_filename", table_name="versions")
