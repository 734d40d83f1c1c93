"""Tables with the names of what their rows belong to: study, arm, checkpoint, condition, prompt, scorer.

No database holds these views: to add them would be a new revision, and a file of today could then not be
read before an upgrade. `view_statements` is their SQL, for any client to run for itself.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Table, select

from hormesis.db.read.frame import Query
from hormesis.db.schema import Base

SUFFIX = "_named"
VIEWED = (
    *("generation", "score", "metric", "summary", "probe", "train_point"),
    *("capability_score", "attack_outcome", "attack_trial"),
)
"""Tables that have a view."""
LABELS = {
    "study": {"name": "study", "hash": "study_hash"},
    "arm": {"name": "arm", "kind": "arm_kind", "share": "arm_share", "seed": "seed"},
    "checkpoint": {"name": "checkpoint"},
    "condition": {
        "key": "condition",
        "method": "method",
        "strength": "strength",
        "matched_cost": "matched_cost",
    },
    "probe_set": {"name": "probe_set"},
    "prompt_set": {"name": "prompt_set"},
    "prompt": {"position": "prompt_position", "text": "prompt"},
    "generation": {"sample": "sample"},
    "scorer": {"name": "scorer", "revision": "scorer_revision"},
    "attack": {"kind": "attack", "setting": "attack_setting"},
}
"""Columns that a row takes from what it refers to, at whatever distance, and what a view calls them."""


@dataclass(frozen=True, eq=False)
class View:
    """The select of a view, and those of its columns that may be empty: imported checkpoints have no arm."""

    table: Table
    query: Query
    optional: frozenset[str]


def views() -> tuple[str, ...]:
    """Names of all views."""
    return tuple(f"{name}{SUFFIX}" for name in VIEWED)


def view(name: str) -> View:
    """The view of this name: the labels of `LABELS`, then the table's own columns. KeyError for no view."""
    table = Base.metadata.tables[dict(zip(views(), VIEWED, strict=True))[name]]
    source, may_be_missing = _joined(table)
    labels: list[ColumnElement[Any]] = []
    optional: set[str] = set()
    for parent in (parent for parent in LABELS if parent in may_be_missing):
        columns = Base.metadata.tables[parent].columns
        labels += [columns[column].label(label) for column, label in LABELS[parent].items()]
        optional |= {*LABELS[parent].values()} if may_be_missing[parent] else set()
    query: Query = select(*labels, *table.columns).select_from(source)
    return View(table, query, frozenset(optional))


def _joined(table: Table) -> tuple[FromClause, dict[str, bool]]:
    """A table joined with all it refers to, nearest first; by name, whether its row may be missing."""
    source: FromClause = table
    may_be_missing: dict[str, bool] = {}
    queue = deque([(table, False)])
    while queue:
        child, is_optional = queue.popleft()
        for column in child.columns:
            for reference in column.foreign_keys:
                parent = reference.column.table
                if parent.name in may_be_missing:
                    continue
                may_be_missing[parent.name] = is_optional or bool(column.nullable)
                source = source.join(parent, column == reference.column, isouter=may_be_missing[parent.name])
                queue.append((parent, may_be_missing[parent.name]))
    return source, may_be_missing


def view_statements() -> str:
    """`CREATE TEMP VIEW` of every view, which SQLite (also read-only), PostgreSQL and DuckDB take."""
    return "\n\n".join(f"CREATE TEMP VIEW {name} AS\n{view(name).query};" for name in views()) + "\n"
