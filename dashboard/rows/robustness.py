"""Rows of attacks and capability for the page."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sqlalchemy import Engine

from hormesis.dashboard.base.attack_rows import arms_of as arms_of
from hormesis.dashboard.base.attack_rows import conditions_of as conditions_of
from hormesis.dashboard.base.attack_rows import label as label
from hormesis.dashboard.base.attack_rows import labelled
from hormesis.dashboard.base.attack_rows import most_toxic as most_toxic
from hormesis.dashboard.base.attack_rows import strongest as strongest
from hormesis.dashboard.base.attack_rows import undone_by_attack as undone_by_attack
from hormesis.dashboard.rows import study_query
from hormesis.dashboard.rows.cache import cached_query
from hormesis.dashboard.rows.context import Context
from hormesis.db import read
from hormesis.db.contract.attacks import ATTACK_TITLES

TITLES = tuple(ATTACK_TITLES.values())
_parameters = study_query(read.attack_parameters)
tests = study_query(read.attack_tests)
trials = cached_query(read.attack_trials, most=64)


@study_query
def outcomes(engine: Engine, study_id: int) -> pd.DataFrame:
    """Every number of every attack on single checkpoints."""
    return labelled(read.attack_outcomes(engine, study_id))


@study_query
def attacks(engine: Engine, study_id: int) -> pd.DataFrame:
    """Every number of every attack over the seeds of an arm, curves among them."""
    return labelled(read.attack_summaries(engine, study_id))


@study_query
def capability(engine: Engine, study_id: int) -> pd.DataFrame:
    """Capability over the seeds of an arm."""
    return labelled(read.capability_summaries(engine, study_id))


def parameters(context: Context, attack: str) -> dict[str, dict[str, Any]]:
    """Setting of an attack to what makes it repeatable."""
    attack_rows = _parameters(context)
    of_attack = attack_rows[attack_rows["attack"] == attack]
    return dict(zip(of_attack["setting"], of_attack["parameters"], strict=True))


def size(summaries: pd.DataFrame, unit: str = "prompts") -> str:
    """`n = 64 prompts, 3 seeds` of rows over seeds, or the ranges where these differ."""
    if summaries.empty:
        return ""
    n, seeds = _range(summaries["n"]), _range(summaries["n_seeds"])
    return f"n = {n} {unit}, {seeds} seed{'' if seeds == '1' else 's'}."


def _range(values: pd.Series) -> str:
    low, high = int(values.min()), int(values.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
