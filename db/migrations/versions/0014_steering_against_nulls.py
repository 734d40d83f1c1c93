"""What ITI takes away beside null directions of each kind.

Empty for what was evaluated before; the next run fills it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    """Make the table."""

    op.create_table(
        "null_effect",
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("id", "study_id")),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("key", "kind")),
        sa.Column("share", sa.Double(), nullable=False),
        sa.Column("null_kind", sa.String(), nullable=False),
        sa.Column("matched_cost", sa.Double(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("prompt_set", "scorer")),
        sa.Column("directions", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("steered", "mean")),
        sa.Column("percentile", sa.Double(), nullable=True),
        sa.Column("rank", sa.Integer(), nullable=True),
        *(
            sa.Column(f"{part}_variance", sa.Double(), nullable=True)
            for part in ("seeds", "prompts", "direction")
        ),
        *(sa.Column(f"steered_{end}", sa.Double(), nullable=True) for end in ("low", "high")),
        sa.Column("falls", sa.JSON(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=True) for name in ("low", "high")),
        sa.Column("unit", sa.String(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("n", "n_seeds")),
        sa.Column("interval", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"], ["study.id"], name=op.f("fk_null_effect_study_id_study"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_null_effect")),
        sa.UniqueConstraint("study_id", "key", name=op.f("uq_null_effect_study_id_key")),
    )
