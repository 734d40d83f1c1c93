"""Marks a database that holds the first tables; a new one is made from the schema and needs no revision.

Does nothing: a file at this revision runs only what comes later.
"""

from __future__ import annotations

revision: str = "0002"
down_revision: str | None = None
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    """Change nothing."""
