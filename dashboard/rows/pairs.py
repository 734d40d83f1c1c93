"""Rows that compare a condition with the unsteered one: ids, counts of change, pages of texts."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from hormesis.dashboard import rows
from hormesis.dashboard.rows.cache import Refresh, cached_query
from hormesis.dashboard.rows.context import Context
from hormesis.db import read

SAME = 0.05
"""A score that moves by at most this counts as about the same."""
ORDERS: dict[str, read.Order] = {
    "Largest fall": "fall", "Largest rise": "rise", "Highest score": "highest", "As asked": "asked",
}  # fmt: skip

CHANGES: dict[str, read.Change | None] = {
    "All": None, "Less toxic": "better", "About the same": "same", "More toxic": "worse",
    "Still toxic": "toxic",
}  # fmt: skip
"""How a score moved, in words; those that are still toxic are among the others too."""

condition_pairs = rows.study_query(read.condition_pairs, most=64)
_change_counts = cached_query(read.change_counts, refresh=Refresh.PROGRESS, most=64)
_paired_texts = cached_query(read.paired_texts, refresh=Refresh.PROGRESS, most=64)


@dataclass(frozen=True)
class Pair:
    """Two conditions, of one checkpoint or of two, compared on one prompt set under one scorer."""

    base_id: int
    condition_id: int
    prompt_set: str
    scorer: str


def _id_of(named_rows: pd.DataFrame, name: str) -> int:
    """The id of the newest row of that name; -1 where there is none."""
    ids = named_rows.loc[named_rows["name"] == name, "id"]
    return int(ids.iloc[-1]) if len(ids) else -1


def change_counts(context: Context, pair: Pair) -> dict[str, int]:
    """Texts that became less toxic (`better`), more toxic (`worse`) or neither (`same`), of all `pairs`; and
    those that are `toxic` on both sides."""
    prompt_set_id = _id_of(rows.prompt_sets(context), pair.prompt_set)
    scorer_id = _id_of(rows.scorers(context), pair.scorer)
    changes = _change_counts(
        context,
        pair.base_id,
        pair.condition_id,
        prompt_set_id=prompt_set_id,
        scorer_id=scorer_id,
        margin=SAME,
    )
    counts = {str(name): int(changes[name].sum()) for name in changes.columns}
    return counts | {"same": counts["pairs"] - counts["better"] - counts["worse"]}


def paired_texts(
    context: Context, pair: Pair, *, order: str, page: int, size: int, change: str = "All"
) -> pd.DataFrame:
    """One page (from 0) of `size` pairs, by ORDERS and CHANGES: prompt, base_text, text, both scores."""
    return _paired_texts(
        context,
        pair.base_id,
        pair.condition_id,
        prompt_set_id=_id_of(rows.prompt_sets(context), pair.prompt_set),
        scorer_id=_id_of(rows.scorers(context), pair.scorer),
        page=page,
        size=size,
        order=ORDERS.get(order, "asked"),
        only=CHANGES.get(change),
        margin=SAME,
    )
