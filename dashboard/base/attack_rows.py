"""Rows of attacks and capability with their words, and their means over the seeds of an arm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from hormesis.dashboard.base.records import groups, records
from hormesis.dashboard.base.wording import arm_label, condition_label

ARM = ["kind", "share", "condition", "method", "matched_cost"]
BOUNDS = {
    "toxicity": (0.0, 100.0),
    **dict.fromkeys(("success", "success_before", "prefix_match", "fluency", "repetition_4"), (0.0, 1.0)),
    **dict.fromkeys(("accuracy", "accuracy_norm"), (0.0, 1.0)),
    **dict.fromkeys(("cross_entropy", "loss", "steps"), (0.0, np.inf)),
}
"""Ends of the scales of what is measured; an interval does not go beyond them. Changes have none."""


def labelled(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with arm and condition in words (`arm`, `label`); a null kind becomes `imported:NAME`."""
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
    """One row per arm, condition and the further `columns`: mean of `value` over seeds with an interval.

    `outcomes`: a row per seed; leave out rows without a value (beyond a budget) before. The interval holds
    each seed's own and the spread between seeds, as if both were normal; with one seed it is that seed's own.
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
            squared_halves = ((of_seeds["high"].astype(float) - of_seeds["low"].astype(float)) / 2) ** 2
            squared_spread = float(of_seeds["value"].var(ddof=1)) * 1.96**2
            half = ((squared_spread + float(np.nan_to_num(squared_halves.mean()))) / count) ** 0.5
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


def arms_of(rows: pd.DataFrame) -> list[str]:
    """Arms in the order of the shares, then the others."""
    arms = rows.drop_duplicates(["kind", "share"]).copy()
    arms["_other"] = (arms["kind"] != "toxic").astype(int)
    return [str(arm) for arm in arms.sort_values(["_other", "kind", "share"])["arm"]]


def conditions_of(rows: pd.DataFrame) -> list[str]:
    """Conditions in words, unsteered first, in the order in which they were made."""
    labels = list(dict.fromkeys(str(label) for label in rows["label"]))
    return sorted(labels, key=lambda label: label != "Unsteered")


def suffix_rows(summaries: pd.DataFrame, rule: str) -> pd.DataFrame:
    """Pooled summaries of both suffix searches (`setting`) under a rule of success, with words for people."""
    parts = []
    for setting in ("gcg", "random"):
        part = summaries[summaries["name"] == f"suffix_{setting}_{rule}"]
        parts.append(part.assign(setting=setting))
    pooled = pd.concat(parts, ignore_index=True)
    return pooled.assign(
        arm=[arm_label(str(row.kind), float(row.share)) for row in records(pooled)],
        label=[
            condition_label(row.method, row.strength, row.matched_cost, key=row.condition_key)
            for row in records(pooled)
        ],
    )
