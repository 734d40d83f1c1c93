"""Rows of attacks and capability for the page, and their means over the seeds of an arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Engine

from hormesis.dashboard.base.records import groups, records
from hormesis.dashboard.base.wording import arm_label, condition_label
from hormesis.dashboard.rows import study_query
from hormesis.dashboard.rows.cache import cached_query
from hormesis.dashboard.rows.context import Context
from hormesis.db import read

ARM = ["kind", "share", "condition", "method", "matched_cost"]
CONDITION = 250
"""Width of a table's column of conditions, in pixels."""
BOUNDS = {
    "toxicity": (0.0, 100.0),
    **dict.fromkeys(("success", "success_before", "prefix_match", "fluency", "repetition_4"), (0.0, 1.0)),
    **dict.fromkeys(("accuracy", "accuracy_norm"), (0.0, 1.0)),
    **dict.fromkeys(("cross_entropy", "loss", "steps"), (0.0, np.inf)),
}
"""Ends of the scales of what is measured; an interval does not go beyond them. Changes have none."""


_parameters = study_query(read.attack_parameters)
tests = study_query(read.attack_tests)
trials = cached_query(read.attack_trials, most=64)


@study_query
def outcomes(engine: Engine, study_id: int) -> pd.DataFrame:
    """Every number of every attack."""
    return _labelled(read.attack_outcomes(engine, study_id))


@study_query
def points(engine: Engine, study_id: int) -> pd.DataFrame:
    """Curves of attacks."""
    return _labelled(read.attack_points(engine, study_id))


@study_query
def capability(engine: Engine, study_id: int) -> pd.DataFrame:
    """Capability scores."""
    return _labelled(read.capability_scores(engine, study_id))


def parameters(context: Context) -> dict[int, dict[str, Any]]:
    """Attack id to what makes it repeatable."""
    attacks = _parameters(context)
    return dict(zip(attacks["attack_id"], attacks["parameters"], strict=True))


def _labelled(rows: pd.DataFrame) -> pd.DataFrame:
    """Imported checkpoints are arms of their own; conditions and arms get their words."""
    imported = rows["kind"].isna()
    kind = rows["kind"].astype(object).where(~imported, "imported:" + rows["checkpoint"].astype(str))
    share = rows["share"].astype(float).fillna(0.0)
    rows = rows.assign(kind=kind, share=share)
    return rows.assign(
        arm=[arm_label(str(row.kind), float(row.share)) for row in records(rows)],
        label=[label(row) for row in records(rows)],
    )


def label(row: object) -> str:
    """A condition in words, from a row with method, strength, matched_cost."""
    return condition_label(row.method, row.strength, row.matched_cost, key=row.condition)  # type: ignore[attr-defined]


def over_seeds(outcomes: pd.DataFrame, columns: Sequence[str] = ()) -> pd.DataFrame:
    """One row per arm, condition and the further columns: the mean over seeds and an interval.

    The interval holds each seed's own interval and the spread between seeds, as if both were normal; with one
    seed it is that seed's own. Rows without a value (beyond a budget) must be left out before.
    """
    keys = [*ARM, "arm", "label", *columns]
    if outcomes.empty:
        return pd.DataFrame(columns=[*keys, "value", "low", "high", "n", "n_seeds", "unit", "interval"])
    rows = []
    for key, of_seeds in groups(outcomes, keys):
        first, count = of_seeds.iloc[0], len(of_seeds)
        value = float(of_seeds["value"].mean())
        low, high = float(first["low"]), float(first["high"])
        if count > 1:
            variances = ((of_seeds["high"].astype(float) - of_seeds["low"].astype(float)) / 2) ** 2
            spread = float(of_seeds["value"].var(ddof=1)) * 1.96**2
            half = ((spread + float(np.nan_to_num(variances.mean()))) / count) ** 0.5
            least, most = BOUNDS.get(_measured(first), (-np.inf, np.inf))
            low, high = max(value - half, least), min(value + half, most)
        rows.append(
            dict(zip(keys, key, strict=True))
            | {
                "value": value,
                "low": low,
                "high": high,
                "n": int(of_seeds["n"].max()),
                "n_seeds": count,
                "unit": str(first.get("unit", "")),
                "interval": str(first.get("interval", "")) + ("; and between seeds" if count > 1 else ""),
            }
        )
    return pd.DataFrame(rows)


def _measured(row: pd.Series) -> str:
    """What a row of outcomes, points or capability is a value of."""
    return next((str(row[name]) for name in ("name", "series", "measure") if name in row.index), "")


def size(pooled: pd.DataFrame, unit: str = "prompts") -> str:
    """`n = 64 prompts, 3 seeds` of a table over seeds, or the ranges where these differ."""
    if pooled.empty:
        return ""
    n, seeds = (_range(pooled[name]) for name in ("n", "n_seeds"))
    return f"n = {n} {unit}, {seeds} seed{'' if seeds == '1' else 's'}."


def _range(values: pd.Series) -> str:
    low, high = int(values.min()), int(values.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def arms_of(rows: pd.DataFrame) -> list[str]:
    """Arms in the order of the shares, then the others."""
    arms = rows.drop_duplicates(["kind", "share"]).copy()
    arms["_other"] = (arms["kind"] != "toxic").astype(int)
    return [str(arm) for arm in arms.sort_values(["_other", "kind", "share"])["arm"]]


def conditions_of(rows: pd.DataFrame) -> list[str]:
    """Conditions in words, unsteered first, in the order in which they were made."""
    labels = list(dict.fromkeys(str(label) for label in rows["label"]))
    return sorted(labels, key=lambda label: label != "Unsteered")
