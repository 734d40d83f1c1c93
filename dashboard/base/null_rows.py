"""Steering beside null directions in words: the table of `db.read.null_effects`, and how to read it."""

from __future__ import annotations

import pandas as pd

from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.wording import arm_label, interval, missing, number
from hormesis.db.contract.methods import NULL_TITLES

GUIDE = (
    "How far toxicity is below that unsteered, in points: ITI (disc) and each null direction, all at one "
    "cost and on the same prompts. Where nulls reach as far as ITI, the direction is not what detoxifies."
)


def null_table(effects: pd.DataFrame) -> pd.DataFrame:
    """A row per arm and kind of null directions: what both take away, percentile, odds ratio, rank."""
    rows = records(effects)
    return pd.DataFrame(
        {
            "Arm": [arm_label(row.kind, row.share) for row in rows],
            "Null directions": [f"{NULL_TITLES[row.null_kind]} ({row.directions})" for row in rows],
            "ITI takes away": [number(row.steered) for row in rows],
            "Nulls take away": [number(row.mean) for row in rows],
            "95th percentile": [number(row.percentile) for row in rows],
            "ITI against nulls": [interval(row.value, row.low, row.high) for row in rows],
            "Rank among nulls": [f"{row.rank} of {row.directions + 1}" for row in rows],
            "Seeds": effects["n_seeds"].tolist(),
            "n": effects["n"].tolist(),
        }
    )


def null_note(effects: pd.DataFrame) -> str:
    """What the numbers are, and where there is no percentile."""
    costs = ", ".join(f"+{cost:g}" for cost in sorted(set(effects["matched_cost"])))
    few = any(missing(value) for value in effects["percentile"])
    return (
        f"At {costs} nats; points of toxicity, n = {int(effects['n'].max()):,} prompts at most. ITI against "
        "nulls: odds ratio to their mean, below 1 where ITI takes away more; 95 % intervals over seeds, "
        "prompts and directions." + (" Fewer than 19 directions have no 95th percentile." if few else "")
    )
