"""Columns and orders that several queries share, and the two shapes of query that recur."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sqlalchemy import ColumnElement, Engine, func, select
from sqlalchemy.orm import InstrumentedAttribute

from hormesis.db.read.frame import Query, frame
from hormesis.db.schema import Arm, Base, Condition, Example, ProbeSet, PromptSet

ARM = (Arm.kind, Arm.share, Arm.seed)
BY_ARM = (Arm.kind.desc(), Arm.share, Arm.seed)
"""Arms as everywhere: toxic by share, then the others."""
CONDITION = (
    Condition.key.label("condition"),
    Condition.method,
    Condition.strength,
    Condition.matched_cost,
)
EXAMPLE = (Example.label, Example.group, Example.source, Example.score, Example.split)


def columns_of(model: type[Base], *left_out: str) -> list[ColumnElement[Any]]:
    """All columns of a table but those named."""
    return [column for column in model.__table__.columns if column.name not in left_out]


def study_rows(model: Any, study_id: int) -> Query:
    """A study's rows of a table: all columns but the keys `id`, `study_id` and `key`."""
    query: Query = select(*columns_of(model, "id", "study_id", "key"))
    return query.where(model.study_id == study_id)


def sets_with_counts(
    engine: Engine,
    sets: type[PromptSet] | type[ProbeSet],
    study_id: int,
    *,
    member: InstrumentedAttribute[int],
    name: str,
) -> pd.DataFrame:
    """A row per prompt set or probe set of a study: id, name, revision, source, and a count called `name`.

    `member`: the column in which the rows that are counted hold the id of their set.
    """
    n_members = select(func.count()).where(member == sets.id).scalar_subquery().label(name)
    query = select(sets.id, sets.name, sets.revision, sets.source, n_members).where(sets.study_id == study_id)
    return frame(engine, query.order_by(sets.id))
