"""Rows of a DataFrame as named tuples, for loops over a few rows. Knows nothing of their columns."""

from __future__ import annotations

from typing import Any

import pandas as pd


def records(table: pd.DataFrame) -> list[Any]:
    """The rows in order; a column that is no identifier is renamed by pandas to its place."""
    return list(table.itertuples(index=False))


def groups(table: pd.DataFrame, keys: list[str]) -> list[tuple[Any, pd.DataFrame]]:
    """Sub-tables by the values of `keys`, sorted; missing values are a group of their own."""
    return list(table.groupby(keys, sort=True, dropna=False))


def arm_groups(table: pd.DataFrame) -> list[tuple[str, float | None, pd.DataFrame]]:
    """Kind, share (None where there is none) and rows of every arm: toxic by share, then the others."""
    found = [
        (str(kind), None if pd.isna(share) else float(share), rows)
        for (kind, share), rows in groups(table, ["kind", "share"])
    ]
    return sorted(found, key=lambda arm: (arm[0] != "toxic", arm[0], arm[1] or 0.0))
