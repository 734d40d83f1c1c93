"""An empty text has no score, also among the trials of attacks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    """Let the column be null."""
    # As it was made: its rows lie in the primary key.
    options = {"sqlite_with_rowid": False}
    with op.batch_alter_table("attack_trial", table_kwargs=options) as batch:
        batch.alter_column("score", existing_type=sa.DOUBLE(), nullable=True)
