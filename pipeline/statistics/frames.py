"""DataFrames: groups with typed keys, and the row that conditions of one arm make in a summary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import pandas as pd

from hormesis.pipeline.statistics import Estimate


def groups(
    frame: pd.DataFrame, columns: str | list[str], *, sort: bool = True
) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Each key (a tuple for several columns) and its rows; keys ascending, or as they come first."""
    return iter(cast(Any, frame.groupby(columns, sort=sort)))


def estimates(
    rows: pd.DataFrame, value: str = "value", low: str = "low", high: str = "high"
) -> list[Estimate]:
    """The estimates in these columns, one a row, with `n` and `interval`; an end that is missing is None."""
    columns = (rows[name].tolist() for name in (value, low, high, "n", "interval"))
    return [
        Estimate(
            float(mean), None if pd.isna(below) else below, None if pd.isna(above) else above, int(n), text
        )
        for mean, below, above, n, text in zip(*columns, strict=True)
    ]


def condition_row(
    study_id: int, pool: pd.DataFrame, key_parts: Iterable[str], *, estimate: Estimate, unit: str
) -> dict[str, Any]:
    """Columns that all summaries of a condition over seeds share.

    `pool`: a row per checkpoint (and random direction) of one arm (kind, share) and one condition key (column
    `pool`); their `strength` may differ. `key_parts`: what tells the number from others of the condition.
    """
    first = pool.iloc[0]
    return {
        "study_id": study_id,
        "key": "|".join([first["kind"], f"{first['share']:g}", first["pool"], *key_parts]),
        "kind": first["kind"],
        "share": float(first["share"]),
        "method": first["method"],
        "condition_key": first["pool"],
        "strength": float(pool["strength"].mean()),
        "matched_cost": None if pd.isna(first["matched_cost"]) else float(first["matched_cost"]),
        "n_seeds": int(pool["checkpoint"].nunique()),
        "unit": unit,
        **estimate.columns,
    }
