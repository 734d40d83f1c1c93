"""Losses of held-out documents and outcomes of items lie in the rows of the numbers that are made of them.

They stay empty for what was measured before; summaries over seeds take it from files, or from intervals.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    """Add the columns."""
    for table, columns in (
        ("condition", ("document_nats", "document_tokens")),
        ("capability_score", ("item_tops", "item_bottoms")),
    ):
        for column in columns:
            op.add_column(table, sa.Column(column, sa.LargeBinary(), nullable=True))
