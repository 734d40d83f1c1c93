"""DataFrames: groups with typed keys, and the row of `summary` that a group of one arm's conditions makes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pandas as pd

from hormesis.pipeline.statistics import Estimate


def groups(frame: pd.DataFrame, by: str | list[str]) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Each key (a tuple for several columns) and its rows, keys ascending."""
    return iter(cast(Any, frame.groupby(by)))


def summary_row(
    study_id: int,
    group: pd.DataFrame,
    place: tuple[str, str, str],
    name: str,
    estimate: Estimate,
    *,
    unit: str,
) -> dict[str, Any]:
    """A row of `summary` without prompt set, scorer and seeds.

    `place`: the condition's key, what was measured on, and the scorer; with arm and name it is the row's key.
    """
    first = group.iloc[0]
    return {
        "study_id": study_id,
        "key": "|".join([first["kind"], f"{first['share']:g}", *map(str, place), name]),
        "kind": first["kind"],
        "share": float(first["share"]),
        "method": first["method"],
        "condition_key": place[0],
        "strength": float(group["strength"].mean()),
        "matched_cost": None if pd.isna(first["matched_cost"]) else float(first["matched_cost"]),
        "name": name,
        "unit": unit,
        **estimate.columns,
    }
