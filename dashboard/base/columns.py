"""Rows behind a chart as people read them: titled columns, arms and conditions in words.

Files of the same rows keep the names of the database.
"""

from __future__ import annotations

from typing import Final

import pandas as pd

from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.wording import arm_label, condition_label, metric_name

TITLES: Final = {
    "auroc": "AUROC",
    "cost": "Cost (nats)",
    "cost_high": "Cost, high",
    "cost_low": "Cost, low",
    "matched_cost": "Matched cost (nats)",
    "n": "n",
    "n_seeds": "Seeds",
    "name": "Measure",
    "prompt_set": "Prompts",
    "strength": "Strength (sigmas)",
    "x": "x",
    "y": "y",
    "z": "z",
}
"""Titles of columns whose name does not say it by itself."""
CONDITION_KEYS: Final = ("condition_key", "condition")
LONGEST_TEXT: Final = 40
"""Characters up to which a column is as wide as its longest text."""
UNLIKE: Final = 1.5
"""The grid overlooks cells twice as wide as a column's mean: from here on it is told."""
CHARACTER, PADDING = 7, 20
"""Pixels of a character and around a cell's text."""


def in_words(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows under titles: arm and condition first, what is alike in all rows last, and long texts.

    `kind` and `share` become the arm, `method` and `matched_cost` the condition; empty columns are left out.
    """
    table = rows.loc[:, [not rows[name].isin(["", None]).all() for name in rows.columns]]
    words: dict[str, list[str]] = {}
    if {"kind", "share"} <= set(rows.columns):
        words["Arm"] = [arm_label(row.kind, row.share) for row in records(rows)]
        table = table.drop(columns=["kind", "share", "arm"], errors="ignore")
    key = next((name for name in CONDITION_KEYS if name in rows.columns), None)
    if key is not None and {"method", "strength", "matched_cost"} <= set(rows.columns):
        words["Condition"] = [
            condition_label(row.method, row.strength, row.matched_cost, key=getattr(row, key))
            for row in records(rows)
        ]
        table = table.drop(columns=["method", "matched_cost"], errors="ignore")
        table = table.rename(columns={key: "condition_key"})
        if len(set(words["Condition"])) == rows[key].nunique():
            table = table.drop(columns="condition_key", errors="ignore")
    if "name" in table.columns:
        table = table.assign(name=table["name"].map(metric_name))
    longest = {name: lengths.max() for name, lengths in _text_lengths(table).items() if len(lengths)}
    places = [
        (longest.get(name, 0) > LONGEST_TEXT, table[name].nunique(dropna=False) < 2) for name in table.columns
    ]
    table = table.iloc[:, sorted(range(len(places)), key=places.__getitem__)]
    titled = table.rename(columns={name: TITLES.get(name, metric_name(name)) for name in table.columns})
    return pd.concat([pd.DataFrame(words, index=rows.index), titled], axis=1)


def _text_lengths(table: pd.DataFrame) -> dict[str, pd.Series]:
    """Characters of the texts in each column that holds texts."""
    texts = table.select_dtypes(["object", "string"])
    return {str(name): texts[name].dropna().astype(str).str.len() for name in texts.columns}


def text_widths(table: pd.DataFrame) -> dict[str, int]:
    """Pixels that the longest text takes, of columns in which the grid would cut it."""
    return {
        name: round(CHARACTER * lengths.max() + PADDING)
        for name, lengths in _text_lengths(table).items()
        if len(lengths) and UNLIKE * lengths.mean() <= lengths.max() <= LONGEST_TEXT
    }
