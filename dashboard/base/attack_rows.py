"""Rows of attacks and capability with their words."""

from __future__ import annotations

import pandas as pd

from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.wording import arm_label, condition_label


def labelled(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with arm and condition in words (`arm`, `label`); a null kind becomes `imported:NAME`."""
    if "checkpoint" in rows.columns:
        of_checkpoint = "imported:" + rows["checkpoint"].astype(str)
        kind = rows["kind"].astype(object).where(rows["kind"].notna(), of_checkpoint)
        rows = rows.assign(kind=kind, share=rows["share"].astype(float).fillna(0.0))
    return rows.assign(
        arm=[arm_label(str(row.kind), float(row.share)) for row in records(rows)],
        label=[label(row) for row in records(rows)],
    )


def label(row: object) -> str:
    """A condition in words, from a row with method, strength, matched_cost."""
    return condition_label(row.method, row.strength, row.matched_cost, key=row.condition)  # type: ignore[attr-defined]


def arms_of(rows: pd.DataFrame) -> list[str]:
    """Arms in the order of the shares, then the others."""
    arms = rows.drop_duplicates(["kind", "share"]).copy()
    arms["_other"] = (arms["kind"] != "toxic").astype(int)
    return [str(arm) for arm in arms.sort_values(["_other", "kind", "share"])["arm"]]


def most_toxic(rows: pd.DataFrame) -> str:
    """The arm of the largest share of toxic text; without any the last arm."""
    toxic = rows[rows["kind"] == "toxic"]
    return arms_of(toxic if len(toxic) else rows)[-1]


def conditions_of(rows: pd.DataFrame) -> list[str]:
    """Conditions in words, unsteered first, the others in the order of the rows."""
    labels = list(dict.fromkeys(str(label) for label in rows["label"]))
    return sorted(labels, key=lambda label: label != "Unsteered")
