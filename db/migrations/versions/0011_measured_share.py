"""How much of each mix is toxic by a judge, beside the share of toxic sources that was asked for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    """Add the columns; mixes made before are not judged."""
    with op.batch_alter_table("arm", schema=None) as batch_op:
        for name in ("toxic_share", "toxic_share_low", "toxic_share_high"):
            batch_op.add_column(sa.Column(name, sa.Double(), nullable=True))
        batch_op.add_column(sa.Column("judged", sa.Integer(), nullable=True))
