"""What probes gain over readers that need no trained head.

Empty for what was probed before; the next run fills it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    """Make the table."""
    numbers = ("auroc", "auroc_low", "auroc_high", "baseline_select_auroc", "baseline_auroc", "baseline_low")
    op.create_table(
        "probe_gain",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("checkpoint_id", sa.Integer(), nullable=False),
        sa.Column("probe_set_id", sa.Integer(), nullable=False),
        *(
            sa.Column(name, sa.String(), nullable=False)
            for name in ("position", "baseline", "heads", "subset")
        ),
        sa.Column("n_heads", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=False) for name in (*numbers, "baseline_high")),
        sa.Column("is_chosen", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("value", "low", "high")),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("n_train", "n_select", "n_test")),
        sa.Column("interval", sa.String(), nullable=False),
        sa.Column("resamples", sa.LargeBinary(), nullable=False),
        *(
            sa.ForeignKeyConstraint(
                [f"{table}_id"],
                [f"{table}.id"],
                name=op.f(f"fk_probe_gain_{table}_id_{table}"),
                ondelete="CASCADE",
            )
            for table in ("checkpoint", "probe_set")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_probe_gain")),
        sa.UniqueConstraint(
            *("checkpoint_id", "probe_set_id", "position", "baseline", "heads", "subset"),
            name=op.f("uq_probe_gain_baseline"),
        ),
    )
