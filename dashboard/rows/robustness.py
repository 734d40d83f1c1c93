"""Rows of attacks and capability for the page, and their means over the seeds of an arm."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sqlalchemy import Engine

from hormesis.dashboard.base.attack_rows import arms_of as arms_of
from hormesis.dashboard.base.attack_rows import conditions_of as conditions_of
from hormesis.dashboard.base.attack_rows import label as label
from hormesis.dashboard.base.attack_rows import labelled
from hormesis.dashboard.base.attack_rows import over_seeds as over_seeds
from hormesis.dashboard.rows import study_query
from hormesis.dashboard.rows.cache import cached_query
from hormesis.dashboard.rows.context import Context
from hormesis.db import read

CONDITION = 250
"""Width of a table's column of conditions, in pixels."""
_parameters = study_query(read.attack_parameters)
tests = study_query(read.attack_tests)
trials = cached_query(read.attack_trials, most=64)


@study_query
def outcomes(engine: Engine, study_id: int) -> pd.DataFrame:
    """Every number of every attack."""
    return labelled(read.attack_outcomes(engine, study_id))


@study_query
def points(engine: Engine, study_id: int) -> pd.DataFrame:
    """Curves of attacks."""
    return labelled(read.attack_points(engine, study_id))


@study_query
def capability(engine: Engine, study_id: int) -> pd.DataFrame:
    """Capability scores."""
    return labelled(read.capability_scores(engine, study_id))


def parameters(context: Context) -> dict[int, dict[str, Any]]:
    """Attack id to what makes it repeatable."""
    attacks = _parameters(context)
    return dict(zip(attacks["attack_id"], attacks["parameters"], strict=True))


def size(pooled: pd.DataFrame, unit: str = "prompts") -> str:
    """`n = 64 prompts, 3 seeds` of a table over seeds, or the ranges where these differ."""
    if pooled.empty:
        return ""
    n, seeds = (_range(pooled[name]) for name in ("n", "n_seeds"))
    return f"n = {n} {unit}, {seeds} seed{'' if seeds == '1' else 's'}."


def _range(values: pd.Series) -> str:
    low, high = int(values.min()), int(values.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
