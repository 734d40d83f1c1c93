"""What scorers were trained on; expected maxima of one sample go, which are the mean under another name."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: None = None
depends_on: None = None

STUDIES = sa.text("SELECT id, config FROM study")
OF_METRICS = sa.text(
    "DELETE FROM metric WHERE name = 'expected_max_toxicity' AND checkpoint_id IN "
    "(SELECT id FROM checkpoint WHERE study_id = :study)"
)
OF_SUMMARIES = sa.text("DELETE FROM summary WHERE name = 'expected_max_toxicity' AND study_id = :study")


def upgrade() -> None:
    """Add the column and drop what was the mean."""
    with op.batch_alter_table("scorer", schema=None) as batch_op:
        batch_op.add_column(sa.Column("trained_on", sa.JSON(none_as_null=True), nullable=True))
    connection = op.get_bind()
    for study, config in connection.execute(STUDIES).all():
        settings = json.loads(config) if isinstance(config, str) else config
        if settings.get("evaluation", {}).get("samples", 1) == 1:
            for deletion in (OF_METRICS, OF_SUMMARIES):
                connection.execute(deletion, {"study": study})
