"""Rows that compare a condition with the unsteered one: ids, counts of change, pages of texts."""

from __future__ import annotations

import pandas as pd

from dashboard import rows
from dashboard.context import Context
from dashboard.records import records
from dashboard.wording import is_imported

SAME = 0.05
"""A score that moves by at most this counts as about the same."""
ORDERS = {"Largest fall": "fall", "Largest rise": "rise", "As asked": "asked"}


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


def _ids(found: Context, base: int, steered: int, prompts: str, scorer: str) -> tuple[int, int, int, int]:
    return base, steered, _id_of(rows.prompt_sets(found), prompts), _id_of(rows.scorers(found), scorer)


def change_counts(found: Context, base: int, steered: int, prompts: str, scorer: str) -> dict[str, int]:
    """How many texts became less toxic, more toxic or stayed about the same under one scorer."""
    ids = _ids(found, base, steered, prompts, scorer)
    table = rows.call(found, "change_counts", *ids, same=SAME)
    counts = {str(name): int(table[name].sum()) for name in table.columns}
    return counts | {"same": counts["pairs"] - counts["better"] - counts["worse"]}


def paired_texts(
    found: Context, base: int, steered: int, prompts: str, scorer: str, order: str, most: int, page: int
) -> pd.DataFrame:
    """One page (from 0) of `most` pairs: prompt, base_text, text, base_score, score, by ORDERS."""
    ids = _ids(found, base, steered, prompts, scorer)
    table = rows.call(found, "changed_pairs", *ids, page, most, order=ORDERS.get(order, "asked"))
    keys = tuple((int(row.prompt_id), int(row.sample)) for row in records(table))
    texts = rows.call(found, "pair_texts", base, steered, chosen=keys)
    joined = table.merge(texts, on=["prompt_id", "sample"], how="inner")
    # `before` and `after` are scores on the left and texts on the right of this merge.
    names = {"before_x": "base_score", "after_x": "score", "before_y": "base_text", "after_y": "text"}
    return joined.rename(columns=names)
