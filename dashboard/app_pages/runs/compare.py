"""Comparing two runs: what their configurations say differently, and how their numbers differ. No widgets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from hormesis.db.gates.intervals import interval_of_difference

KEYS = ["name", "condition", "prompt_set", "scorer"]
VALUES = ["value", "low", "high", "n"]


def flatten(value: Any, prefix: str = "") -> dict[str, str]:
    """Nested settings as `a.b: text`; lists of plain values stay one value, lists of tables are numbered."""
    if isinstance(value, Mapping):
        flat: dict[str, str] = {}
        for key, inner in value.items():
            flat |= flatten(inner, f"{prefix}.{key}" if prefix else str(key))
        return flat
    if isinstance(value, (list, tuple)) and any(isinstance(item, Mapping) for item in value):
        flat = {}
        for place, item in enumerate(value):
            flat |= flatten(item, f"{prefix}.{place}")
        return flat
    if isinstance(value, (list, tuple)):
        return {prefix: ", ".join(str(item) for item in value)}
    return {prefix: "" if value is None else str(value)}


def settings_difference(left_settings: Any, right_settings: Any, *, with_same: bool = False) -> pd.DataFrame:
    """Settings of two runs as rows: setting, left, right, same; without `with_same` those that differ.

    A setting that one side lacks is shown as `not set`.
    """
    first, second = flatten(left_settings), flatten(right_settings)
    rows = [
        (key, first.get(key, "not set"), second.get(key, "not set"), first.get(key) == second.get(key))
        for key in dict.fromkeys([*first, *second])
    ]
    settings = pd.DataFrame(rows, columns=["setting", "left", "right", "same"])
    return settings if with_same else settings[~settings["same"].astype(bool)].reset_index(drop=True)


def number_difference(left: pd.DataFrame, right: pd.DataFrame, keys: list[str] | None = None) -> pd.DataFrame:
    """Numbers that both runs have, by measure, condition, prompts and scorer, with `right - left`.

    A row per number: the keys, unit, value/low/high/n of either side with `_left` and `_right`, `difference`,
    `low`, `high`, and `apart` (True where the interval leaves zero out; null without an interval).
    """
    columns = keys or KEYS
    first = left[[*columns, "unit", *VALUES]].drop_duplicates(columns)
    second = right[[*columns, *VALUES]].drop_duplicates(columns)
    joined = first.merge(second, on=columns, suffixes=("_left", "_right"))
    sides = [
        joined[[f"{name}_{side}" for name in ("value", "low", "high")]]
        .astype(float)
        .itertuples(index=False, name=None)
        for side in ("left", "right")
    ]
    intervals = [
        interval_of_difference(left_interval, right_interval)
        for left_interval, right_interval in zip(*sides, strict=True)
    ]
    differences = pd.DataFrame(intervals, columns=["difference", "low", "high"], index=joined.index)
    has_interval = differences["low"].notna()
    apart = ((differences["low"] > 0) | (differences["high"] < 0)).astype("boolean")
    return joined.join(differences).assign(apart=apart.where(has_interval, pd.NA))


def expected_by_chance(differences: pd.DataFrame) -> tuple[int, int, float]:
    """Intervals that leave zero out, intervals in all, and how many of those would do so by chance alone."""
    is_apart = differences["apart"].dropna()
    return int(is_apart.sum()), len(is_apart), 0.05 * len(is_apart)
