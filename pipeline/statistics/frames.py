"""DataFrames: groups with typed keys, and the row of `summary` that a group of one arm's conditions makes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import pandas as pd

from hormesis.pipeline.statistics import Estimate


class Place(NamedTuple):
    """Where a metric was measured: the condition's key, what it was measured on, and the scorer."""

    condition: str
    source: str
    scorer: str


def groups(frame: pd.DataFrame, by: str | list[str]) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Each key (a tuple for several columns) and its rows, keys ascending."""
    return iter(cast(Any, frame.groupby(by)))


def summary_row(
    study_id: int,
    group: pd.DataFrame,
    place: Place,
    *,
    name: str,
    estimate: Estimate,
    unit: str,
) -> dict[str, Any]:
    """A row of `summary` without prompt set, scorer and seeds. Arm, place and name are its key."""
    first = group.iloc[0]
    return {
        "study_id": study_id,
        "key": "|".join([first["kind"], f"{first['share']:g}", *map(str, place), name]),
        "kind": first["kind"],
        "share": float(first["share"]),
        "method": first["method"],
        "condition_key": place.condition,
        "strength": float(group["strength"].mean()),
        "matched_cost": None if pd.isna(first["matched_cost"]) else float(first["matched_cost"]),
        "name": name,
        "unit": unit,
        **estimate.columns,
    }
