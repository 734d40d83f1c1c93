"""DataFrames: groups with typed keys, and the row of `summary` that a group of one arm's conditions makes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import pandas as pd

from hormesis.pipeline.statistics import Estimate


class MetricScope(NamedTuple):
    """Where a metric was measured: the condition's key, what it was measured on, and the scorer."""

    condition: str
    source: str
    scorer: str


def groups(frame: pd.DataFrame, columns: str | list[str]) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Each key (a tuple for several columns) and its rows, keys ascending."""
    return iter(cast(Any, frame.groupby(columns)))


def summary_row(
    study_id: int,
    seed_rows: pd.DataFrame,
    metric_scope: MetricScope,
    *,
    metric: str,
    estimate: Estimate,
    unit: str,
) -> dict[str, Any]:
    """A row of `summary` without prompt set, scorer and seeds. Arm, place and name are its key.

    `seed_rows`: all of one arm (kind, share) and condition; their `strength` may differ by seed.
    """
    first = seed_rows.iloc[0]
    return {
        "study_id": study_id,
        "key": "|".join([first["kind"], f"{first['share']:g}", *map(str, metric_scope), metric]),
        "kind": first["kind"],
        "share": float(first["share"]),
        "method": first["method"],
        "condition_key": metric_scope.condition,
        "strength": float(seed_rows["strength"].mean()),
        "matched_cost": None if pd.isna(first["matched_cost"]) else float(first["matched_cost"]),
        "name": metric,
        "unit": unit,
        **estimate.columns,
    }
