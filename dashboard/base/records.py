"""Rows of a DataFrame as named tuples, for loops over a few rows."""

from __future__ import annotations

from collections import namedtuple
from functools import lru_cache
from typing import Any

import pandas as pd


@lru_cache(maxsize=256)
def _row_type(columns: tuple[str, ...]) -> Any:
    # Making the class anew for every table took longer than filling it.
    return namedtuple("Row", columns, rename=True)


def records(frame: pd.DataFrame) -> list[Any]:
    """The rows in order; a column that is no identifier is renamed to its place, as `_3`."""
    if not len(frame.columns):
        return [()] * len(frame)
    row_type = _row_type(tuple(map(str, frame.columns)))
    columns = [column.tolist() for _, column in frame.items()]
    return list(map(row_type._make, zip(*columns, strict=True)))


def groups(frame: pd.DataFrame, keys: list[str]) -> list[tuple[Any, pd.DataFrame]]:
    """Sub-tables by the values of `keys`, sorted; missing values are a group of their own."""
    return list(frame.groupby(keys, sort=True, dropna=False))


def arm_groups(frame: pd.DataFrame) -> list[tuple[str, float | None, pd.DataFrame]]:
    """Kind, share (None where there is none) and rows of every arm: toxic by share, then the others."""
    arms = [
        (str(kind), None if pd.isna(share) else float(share), rows)
        for (kind, share), rows in groups(frame, ["kind", "share"])
    ]
    return sorted(arms, key=lambda arm: (arm[0] != "toxic", arm[0], arm[1] or 0.0))
