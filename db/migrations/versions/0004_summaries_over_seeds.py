"""Summaries over seeds of attacks, capability and toy experiments; random directions have one row together.

Rows of single random directions and of suffix attacks leave `summary`; `hormesis run` computes what takes
their place.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    """Make the tables and drop the rows that would be told twice."""
    op.create_table(
        "attack_summary",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("share", sa.Double(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("condition_key", sa.String(), nullable=False),
        sa.Column("strength", sa.Double(), nullable=True),
        sa.Column("matched_cost", sa.Double(), nullable=True),
        sa.Column("attack", sa.String(), nullable=False),
        sa.Column("setting", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("x", sa.Double(), nullable=True),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("n_seeds", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("unit", sa.String(), nullable=False),
        sa.Column("interval", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"], ["study.id"], name=op.f("fk_attack_summary_study_id_study"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attack_summary")),
        sa.UniqueConstraint("study_id", "key", name=op.f("uq_attack_summary_study_id_key")),
    )
    op.create_table(
        "capability_summary",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("share", sa.Double(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("condition_key", sa.String(), nullable=False),
        sa.Column("strength", sa.Double(), nullable=True),
        sa.Column("matched_cost", sa.Double(), nullable=True),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("measure", sa.String(), nullable=False),
        sa.Column("chance", sa.Double(), nullable=True),
        sa.Column("change", sa.Double(), nullable=True),
        sa.Column("change_low", sa.Double(), nullable=True),
        sa.Column("change_high", sa.Double(), nullable=True),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("n_seeds", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("unit", sa.String(), nullable=False),
        sa.Column("interval", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"], ["study.id"], name=op.f("fk_capability_summary_study_id_study"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_capability_summary")),
        sa.UniqueConstraint("study_id", "key", name=op.f("uq_capability_summary_study_id_key")),
    )
    op.create_table(
        "toy_mean",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("experiment_id", sa.Integer(), nullable=False),
        sa.Column("network", sa.String(), nullable=False),
        sa.Column("probe", sa.String(), nullable=False),
        sa.Column("share", sa.Double(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("n_seeds", sa.Integer(), nullable=False),
        sa.Column("interval", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_id"],
            ["toy_experiment.id"],
            name=op.f("fk_toy_mean_experiment_id_toy_experiment"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_toy_mean")),
        sa.UniqueConstraint(
            "experiment_id",
            "network",
            "probe",
            "share",
            "name",
            name=op.f("uq_toy_mean_experiment_id_network_probe_share_name"),
        ),
    )

    op.execute("DELETE FROM summary WHERE method = 'random-direction' OR name LIKE 'suffix/_%' ESCAPE '/'")
