"""maps of directions.

Revision 0003, after 0002.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    """Make the tables of this revision."""
    op.create_table(
        "direction_profile",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("checkpoint_id", sa.Integer(), nullable=False),
        sa.Column("probe_set_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.String(), nullable=False),
        sa.Column("space", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("basis", sa.String(), nullable=False),
        sa.Column("example_list_id", sa.Integer(), nullable=True),
        sa.Column("heads", sa.Integer(), nullable=False),
        sa.Column("columns", sa.Integer(), nullable=False),
        sa.Column("scale", sa.Double(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"],
            ["checkpoint.id"],
            name=op.f("fk_direction_profile_checkpoint_id_checkpoint"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["example_list_id"],
            ["example_list.id"],
            name=op.f("fk_direction_profile_example_list_id_example_list"),
        ),
        sa.ForeignKeyConstraint(
            ["probe_set_id"],
            ["probe_set.id"],
            name=op.f("fk_direction_profile_probe_set_id_probe_set"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_direction_profile")),
        sa.UniqueConstraint(
            "checkpoint_id", "probe_set_id", "position", "space", "method", name="uq_direction_profile_method"
        ),
    )
    op.create_table(
        "head_contribution",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("checkpoint_id", sa.Integer(), nullable=False),
        sa.Column("probe_set_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.String(), nullable=False),
        sa.Column("layer", sa.Integer(), nullable=False),
        sa.Column("head", sa.Integer(), nullable=False),
        sa.Column("others", sa.Integer(), nullable=False),
        sa.Column("missed", sa.Integer(), nullable=False),
        sa.Column("right", sa.Integer(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("interval", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"],
            ["checkpoint.id"],
            name=op.f("fk_head_contribution_checkpoint_id_checkpoint"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["probe_set_id"],
            ["probe_set.id"],
            name=op.f("fk_head_contribution_probe_set_id_probe_set"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_head_contribution")),
        sa.UniqueConstraint(
            "checkpoint_id", "probe_set_id", "position", "layer", "head", name="uq_head_contribution_head"
        ),
    )
    op.create_table(
        "map_agreement",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("checkpoint_id", sa.Integer(), nullable=True),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("space", sa.String(), nullable=False),
        sa.Column("measure", sa.String(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("low", sa.Double(), nullable=False),
        sa.Column("high", sa.Double(), nullable=False),
        sa.Column("expected", sa.Double(), nullable=True),
        sa.Column("independent_mean", sa.Double(), nullable=True),
        sa.Column("independent_high", sa.Double(), nullable=True),
        sa.Column("independent_p", sa.Double(), nullable=True),
        sa.Column("random_mean", sa.Double(), nullable=False),
        sa.Column("random_high", sa.Double(), nullable=False),
        sa.Column("random_p", sa.Double(), nullable=False),
        sa.Column("neighbours", sa.Integer(), nullable=False),
        sa.Column("draws", sa.Integer(), nullable=False),
        sa.Column("heads", sa.Integer(), nullable=False),
        sa.Column("checkpoints", sa.Integer(), nullable=False),
        sa.Column("interval", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"],
            ["checkpoint.id"],
            name=op.f("fk_map_agreement_checkpoint_id_checkpoint"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["study_id"], ["study.id"], name=op.f("fk_map_agreement_study_id_study"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_map_agreement")),
        sa.UniqueConstraint("study_id", "key", "measure", name=op.f("uq_map_agreement_study_id_key_measure")),
    )
    with op.batch_alter_table("projection", schema=None) as batch_op:
        batch_op.add_column(sa.Column("space", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("null_model", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("trustworthiness", sa.Double(), nullable=True))
        batch_op.add_column(sa.Column("overlap", sa.Double(), nullable=True))
