"""Alembic's entry: runs the revisions on the connection that `db.migrate` hands over.

Knows no address of its own; there is no alembic.ini.
"""

from __future__ import annotations

from typing import Any, Literal

from alembic import context

from hormesis.db.schema import Base
from hormesis.db.schema.base import UtcDateTime


def render_item(kind: str, item: Any, _: Any) -> str | Literal[False]:
    """Write our own column types as the plain types they are stored as."""
    return "sa.DateTime()" if kind == "type" and isinstance(item, UtcDateTime) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transactional_ddl=True,
    compare_type=True,
    render_item=render_item,
)
with context.begin_transaction():
    context.run_migrations()
