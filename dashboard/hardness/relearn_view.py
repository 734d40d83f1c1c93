"""Section: relearning. Steps until the detox is undone, and the curves that lead there."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import card, context
from dashboard.charts.hardness import curves, steps_needed
from dashboard.colours import is_dark
from dashboard.hardness import rows as hardness
from dashboard.wording import interval


def show(found: context.Context, table: pd.DataFrame) -> None:
    """The section; `table` holds all outcomes."""
    mine = table[(table["attack"] == "relearn") & (table["name"] == "steps")]
    order = hardness.conditions_of(mine)
    budget = float(mine["budget"].max())
    _answer(mine, order, budget)
    first = mine.iloc[0]
    grid = st.grid(2, min_column_width=420)
    with grid.cell(), st.container(border=True):
        card.chart(
            steps_needed(mine, order, budget, dark=is_dark()),
            key="relearn_steps",
            title="Steps until as toxic as before",
            alt="Steps of fine-tuning on toxic text until the unsteered toxicity is reached, by condition",
            how="Higher is harder to undo. Open triangles: not reached within the budget, so the true number "
            "is larger; a bar that ends on the dotted line may go on beyond it. A detox that took little "
            "away is undone soon: read it with the trade-offs.",
            note=f"One marker per training seed; bars: 95 % intervals over orders of text and prompts. "
            f"{first['rule'].capitalize()}.",
            rows=mine,
        )
    with grid.cell(), st.container(border=True):
        _curves(found, mine)


def _answer(mine: pd.DataFrame, order: list[str], budget: float) -> None:
    said = []
    for name in order:
        part = mine[mine["label"] == name]
        reached = part["value"].dropna()
        if len(reached) == len(part):
            said.append(f"{name} {interval(reached.mean(), None, None).split(' ')[0]} steps")
        else:
            said.append(
                f"{name} not within {budget:g} steps in {len(part) - len(reached)} of {len(part)} models"
            )
    st.markdown(f"#### Undoing the detox by fine-tuning takes, on average: {'; '.join(said)}.")


def _curves(found: context.Context, mine: pd.DataFrame) -> None:
    table = hardness.points(found)
    table = table[(table["attack"] == "relearn")]
    arms = hardness.arms_of(table)
    with st.container(horizontal=True):
        arm = st.selectbox(
            "Arm", arms, index=len(arms) - 1, key="relearn_arm", bind="query-params", width=220
        )
        names = [
            one for one in ("toxicity", "fluency", "repetition_4", "loss") if one in set(table["series"])
        ]
        series = st.selectbox("Measure", names, key="relearn_series", bind="query-params", width=180)
    part = table[(table["arm"] == arm) & (table["series"] == series)]
    pooled = hardness.over_seeds(part, ["x"])
    known = hardness.parameters(found)
    bases = [
        float(known[i]["base_toxicity"]) for i in part["attack_id"].unique() if "base_toxicity" in known[i]
    ]
    level = (sum(bases) / len(bases), "before the detox") if bases and series == "toxicity" else None
    card.chart(
        curves(
            pooled,
            hardness.conditions_of(pooled),
            "Steps",
            {"toxicity": "Toxicity (points)", "loss": "Training loss (nats)"}.get(str(series), str(series)),
            dark=is_dark(),
            logarithmic=True,
            level=level,
        ),
        key="relearn_curves",
        title="Toxicity while it is fine-tuned back",
        alt="Toxicity over steps of fine-tuning on toxic text, one line per condition",
        how="The dashed line is the toxicity of the unsteered checkpoint, which a curve must reach.",
        note="Means over seeds; bars: 95 % intervals.",
        rows=pooled,
    )
