"""What became of each source's rows, and what roles have in common."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    """Make the tables; studies that are finished have no rows in them."""
    op.create_table(
        "source_use",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("location", sa.String(), nullable=False),
        sa.Column("revision", sa.String(), nullable=False),
        sa.Column("licence", sa.String(), nullable=False),
        sa.Column("attribution", sa.String(), nullable=False),
        sa.Column("platform", sa.String(), nullable=False),
        sa.Column("annotators", sa.String(), nullable=False),
        sa.Column("rows_read", sa.Integer(), nullable=False),
        sa.Column("rows_used", sa.Integer(), nullable=False),
        sa.Column("rows_cut", sa.Integer(), nullable=True),
        sa.Column("dropped", sa.JSON(), nullable=False),
        sa.Column("stopped", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"], ["study.id"], name=op.f("fk_source_use_study_id_study"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_source_use")),
        sa.UniqueConstraint(
            "study_id", "role", "position", name=op.f("uq_source_use_study_id_role_position")
        ),
    )
    op.create_table(
        "source_overlap",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("first", sa.String(), nullable=False),
        sa.Column("second", sa.String(), nullable=False),
        sa.Column("n_first", sa.Integer(), nullable=False),
        sa.Column("n_second", sa.Integer(), nullable=False),
        sa.Column("shared_first", sa.Integer(), nullable=False),
        sa.Column("shared_second", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"], ["study.id"], name=op.f("fk_source_overlap_study_id_study"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_source_overlap")),
        sa.UniqueConstraint(
            "study_id", "kind", "first", "second", name=op.f("uq_source_overlap_study_id_kind_first_second")
        ),
    )
