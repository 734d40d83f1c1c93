"""Texts of chosen prompts under two conditions, for a page that orders pairs by how much they changed."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from sqlalchemy import Engine, select
from sqlalchemy.orm import aliased

from db.read.frame import frame
from db.schema import Generation, Prompt


def pair_texts(
    engine: Engine, before_id: int, after_id: int, chosen: Sequence[tuple[int, int]]
) -> pd.DataFrame:
    """Texts of (prompt_id, sample) pairs under two conditions, in the order asked for.

    Columns: prompt_id, sample, prompt, kind, before, after. Pairs that only one condition has are left out.
    """
    before, after = aliased(Generation), aliased(Generation)
    prompts = sorted({prompt for prompt, _ in chosen})
    query = (
        select(
            Prompt.id.label("prompt_id"),
            before.sample,
            Prompt.text.label("prompt"),
            Prompt.kind,
            before.text.label("before"),
            after.text.label("after"),
        )
        .select_from(Prompt)
        .join(before, (before.prompt_id == Prompt.id) & (before.condition_id == before_id))
        .join(
            after,
            (after.prompt_id == Prompt.id)
            & (after.condition_id == after_id)
            & (after.sample == before.sample),
        )
        .where(Prompt.id.in_(prompts))
    )
    found = frame(engine, query)
    place = {key: index for index, key in enumerate(chosen)}
    order = [place.get(key, len(place)) for key in zip(found["prompt_id"], found["sample"], strict=True)]
    found = found.assign(_place=order)
    found = found[found["_place"] < len(place)].sort_values("_place")
    return found.drop(columns="_place").reset_index(drop=True)
