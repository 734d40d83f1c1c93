"""How scorers judge statements by the group that they mention.

Empty for studies that were finished before; the next run fills it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    """Make the table."""
    numbers = ("rate", "rate_low", "rate_high", "score", "score_low", "score_high")
    nullable = ("ratio", "ratio_low", "ratio_high", "null_low", "null_median", "null_high", "p")
    op.create_table(
        "scorer_group",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("key", "probe_set")),
        sa.Column("scorer", sa.String(length=200), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("revision", "group")),
        sa.Column("n", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=False) for name in numbers),
        *(sa.Column(name, sa.Double(), nullable=True) for name in nullable),
        sa.Column("interval", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"], ["study.id"], name=op.f("fk_scorer_group_study_id_study"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scorer_group")),
        sa.UniqueConstraint("study_id", "key", name=op.f("uq_scorer_group_study_id_key")),
    )
