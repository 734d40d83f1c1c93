"""Statistics of heads that no seed and no resample moves have no interval."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    """Let the ends be null; rows are made anew by the next run."""
    with op.batch_alter_table("head_summary", schema=None) as batch_op:
        for name in ("low", "high"):
            batch_op.alter_column(name, existing_type=sa.Double(), nullable=True)
