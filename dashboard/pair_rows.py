"""Rows that compare a condition with the unsteered one: ids, counts of change, pages of texts."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import rows
from dashboard.context import Context
from dashboard.records import records
from dashboard.wording import is_imported
from db import read
from db.read.pairs import pair_texts

SAME = 0.05
"""A score that moves by at most this counts as about the same."""


def _id_of(table: pd.DataFrame, name: str) -> int:
    """The id of the newest row of that name; -1 where there is none."""
    mine = table[table["name"] == name]
    return int(mine["id"].iloc[-1]) if len(mine) else -1


def condition_pairs(found: Context, kind: str, share: float, condition_key: str) -> pd.DataFrame:
    """Per checkpoint of an arm: checkpoint, base_id (unsteered) and condition_id."""
    made = rows.checkpoints(found)
    if is_imported(kind):
        mine = made[made["name"] == kind.partition(":")[2]]
    else:
        mine = made[(made["kind"] == kind) & ((made["share"].astype(float) - share).abs() < 1e-9)]
    pairs = []
    for row in records(mine):
        known = rows.call(found, "conditions", int(row.id))
        base = known[known["method"] == "none"]
        same = known[known["condition"] == condition_key]
        if same.empty and condition_key.startswith("random/"):
            same = known[known["condition"].str.endswith(condition_key.removeprefix("random"))]
        if len(base) and len(same):
            pairs.append(
                (str(row.name), int(base["condition_id"].iloc[0]), int(same["condition_id"].iloc[0]))
            )
    return pd.DataFrame(pairs, columns=["checkpoint", "base_id", "condition_id"])


@st.cache_data(max_entries=32, show_spinner=False)
def _changes(url: str, token: str, base: int, steered: int, prompt_set: int, scorer: int) -> pd.DataFrame:
    return read.paired_scores(rows.engine(url), base, steered, prompt_set, scorer)


def _paired(found: Context, base: int, steered: int, prompts: str, scorer: str) -> pd.DataFrame:
    set_id, scorer_id = _id_of(rows.prompt_sets(found), prompts), _id_of(rows.scorers(found), scorer)
    return _changes(found.url, found.token, base, steered, set_id, scorer_id)


def change_counts(found: Context, base: int, steered: int, prompts: str, scorer: str) -> dict[str, int]:
    """How many texts became less toxic, more toxic or stayed about the same under one scorer."""
    change = _paired(found, base, steered, prompts, scorer)["change"]
    better, worse = int((change < -SAME).sum()), int((change > SAME).sum())
    return {"pairs": len(change), "better": better, "worse": worse, "same": len(change) - better - worse}


def paired_texts(
    found: Context, base: int, steered: int, prompts: str, scorer: str, order: str, most: int, start: int
) -> pd.DataFrame:
    """One page of pairs: prompt, base_text, text, base_score, score, ordered by change or as asked."""
    table = _paired(found, base, steered, prompts, scorer)
    if order != "As asked":
        table = table.sort_values("change", ascending=order == "Largest fall", kind="stable")
    table = table.iloc[start : start + most]
    keys = [(int(row.prompt_id), int(row.sample)) for row in records(table)]
    texts = pair_texts(rows.engine(found.url), base, steered, keys)
    joined = table.merge(texts, on=["prompt_id", "sample"], how="inner")
    # `before` and `after` are scores on the left and texts on the right of this merge.
    names = {"before_x": "base_score", "after_x": "score", "before_y": "base_text", "after_y": "text"}
    return joined.rename(columns=names)
