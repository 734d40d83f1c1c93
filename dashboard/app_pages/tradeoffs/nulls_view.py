"""Section: ITI beside null directions at one cost, as points by arm and kind, and as a table."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from hormesis.dashboard.base.theme import is_dark
from hormesis.dashboard.charts.figure_cache import drawn
from hormesis.dashboard.charts.nulls import GUIDE, PARTS_NOTE, null_note, null_points, null_table, parts_table
from hormesis.dashboard.parts import card


def show(effects: pd.DataFrame) -> None:
    """Chart and table; `effects`: rows of `null_effect` on one prompt set and scorer."""
    points = effects.assign(value=[falls["points"] for falls in effects["falls"]], unit="points")
    columns = ["kind", "share", "null_kind", "value", "unit", "matched_cost", "n", "n_seeds"]
    points = points[columns].explode("value", ignore_index=True).astype({"value": float})
    with st.container(border=True):
        card.chart(
            drawn(null_points, effects, dark=is_dark()),
            key="nulls",
            title="ITI beside null directions",
            alt="Points of toxicity that ITI and each null direction take away, by arm and kind of direction",
            guide=GUIDE,
            rows=points,
        )
        card.table(
            null_table(effects),
            key="null_effects",
            alt="What ITI and null directions take away, by arm and kind, with intervals and ranks",
            out=effects.drop(columns="falls"),
            note=null_note(effects),
        )
    parts = parts_table(effects)
    if len(parts):
        with st.container(border=True):
            card.table(
                parts,
                key="interval_parts",
                title="What the interval is made of",
                alt="Parts of seeds, prompts and direction in the interval of what ITI takes away, by arm",
                out=effects[effects["direction_variance"].notna()].drop(columns="falls"),
                note=PARTS_NOTE,
            )
