"""Queries about where text came from: each source with what became of its rows, and what roles share."""

from __future__ import annotations

import pandas as pd
from sqlalchemy import Engine, case

from hormesis.db.contract.sources import ROLE_TITLES
from hormesis.db.read.columns import study_rows
from hormesis.db.read.frame import frame
from hormesis.db.schema import SourceOverlap, SourceUse

_ORDER = {role: place for place, role in enumerate(ROLE_TITLES)}


def source_uses(engine: Engine, study_id: int) -> pd.DataFrame:
    """Every source of a study in every role, all columns of `source_use`; by role, training text first."""
    query = study_rows(SourceUse, study_id)
    return frame(engine, query.order_by(case(_ORDER, value=SourceUse.role), SourceUse.position))


def source_overlaps(engine: Engine, study_id: int) -> pd.DataFrame:
    """Pairs of roles with what their texts share, all columns of `source_overlap`; by kind and role."""
    query = study_rows(SourceOverlap, study_id)
    places = (case(_ORDER, value=column) for column in (SourceOverlap.first, SourceOverlap.second))
    return frame(engine, query.order_by(SourceOverlap.kind.desc(), *places))
