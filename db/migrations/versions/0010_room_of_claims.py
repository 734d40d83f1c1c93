"""What a verdict compares, the room that its data leave, and how many tests it is corrected with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    """Add the columns; they are empty until the verdicts are made again."""
    with op.batch_alter_table("verdict", schema=None) as batch_op:
        batch_op.add_column(sa.Column("contrast", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("room", sa.Double(), nullable=True))
        batch_op.add_column(sa.Column("tests", sa.Integer(), nullable=True))
