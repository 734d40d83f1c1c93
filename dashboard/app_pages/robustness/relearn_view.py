"""Section: relearning. Steps until the detox is undone, and the curves that lead there."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from hormesis.dashboard.base.theme import is_dark
from hormesis.dashboard.base.wording import interval, metric_name, plain
from hormesis.dashboard.charts.frame import Level
from hormesis.dashboard.charts.hardness import curves, steps_needed
from hormesis.dashboard.parts import card
from hormesis.dashboard.rows import robustness as hardness
from hormesis.dashboard.rows.context import Context

UNITS = {"toxicity": "Toxicity (points)", "loss": "Training loss (nats)", "fluency": "Fluency (fraction)"}


def show(context: Context, attacks: pd.DataFrame, outcomes: pd.DataFrame) -> None:
    """The section; `attacks`: numbers over seeds, `outcomes`: of single checkpoints, of every attack."""
    steps = outcomes[(outcomes["attack"] == "relearn") & (outcomes["name"] == "steps")]
    relearning = attacks[attacks["attack"] == "relearn"]
    conditions = hardness.conditions_of(steps)
    budget = float(steps["budget"].max())
    _answer(relearning[relearning["name"] == "steps"], steps, budget)
    first = steps.iloc[0]
    grid = st.grid(2, min_column_width=420)
    with grid.cell(), st.container(border=True):
        card.chart(
            steps_needed(steps, conditions, budget, dark=is_dark()),
            key="relearn_steps",
            title="Steps until as toxic as before",
            alt="Steps of fine-tuning on toxic text until the unsteered toxicity is reached, by condition",
            guide="Higher is harder to undo. Open triangles: not reached within the budget (dotted line), so "
            "the true number is larger; a bar that ends there may go on. A detox that took little away is "
            "undone soon: read it with the trade-offs.",
            note=f"n = {len(steps)} markers, each a checkpoint ({steps['seed'].nunique()} seeds an arm) and "
            f"a condition, on {int(steps['n'].max())} prompts; bars: 95 % intervals over orders of text and "
            f"prompts. {first['rule'].capitalize()}.",
            rows=steps,
        )
    with grid.cell(), st.container(border=True):
        _curves(relearning)


def _answer(means: pd.DataFrame, steps: pd.DataFrame, budget: float) -> None:
    """Steps per condition of the most toxic arm, in words; `means`: over seeds, none where one is beyond.

    `steps`: a row per checkpoint and condition (null: not reached).
    """
    arm = hardness.most_toxic(steps)
    sentences = []
    for condition in hardness.conditions_of(steps):
        of_condition = means[(means["arm"] == arm) & (means["label"] == condition)]
        seeds = steps[(steps["arm"] == arm) & (steps["label"] == condition)]
        if len(of_condition):
            row = of_condition.iloc[0]
            sentences.append(f"{condition} {interval(row['value'], row['low'], row['high'])} steps")
        elif len(seeds):
            beyond = int(seeds["value"].isna().sum())
            sentences.append(f"{condition} not within {budget:g} steps in {beyond} of {len(seeds)} models")
    st.markdown(
        f"#### Undoing the detox by fine-tuning takes, in the arm {plain(arm)}: {'; '.join(sentences)}."
    )


def _curves(relearning: pd.DataFrame) -> None:
    """Curves of one arm and measure over the steps; `relearning`: its numbers over seeds."""
    points = relearning[relearning["x"].notna()]
    arms = hardness.arms_of(points)
    with st.container(horizontal=True):
        arm = st.selectbox(
            "Arm", arms, index=len(arms) - 1, key="relearn_arm", bind="query-params", width=220
        )
        measures = [
            name for name in ("toxicity", "fluency", "repetition_4", "loss") if name in set(points["name"])
        ]
        series = st.selectbox(
            "Measure", measures, format_func=metric_name, key="relearn_series", bind="query-params", width=180
        )
    of_series = points[(points["arm"] == arm) & (points["name"] == series)]
    before = _unsteered(relearning[relearning["arm"] == arm])
    level = Level(before, "before the detox", "dash") if before is not None and series == "toxicity" else None
    card.chart(
        curves(
            of_series,
            hardness.conditions_of(of_series),
            "Steps",
            y_title=UNITS.get(str(series), metric_name(str(series))),
            dark=is_dark(),
            logarithmic=True,
            level=level,
        ),
        key="relearn_curves",
        title=f"{metric_name(str(series))} while it is fine-tuned back",
        alt=f"{metric_name(str(series))} over steps of fine-tuning on toxic text, one line per condition",
        guide="The dashed line is the toxicity of the unsteered checkpoint, which a curve must reach."
        if level
        else "Step 0 is the detoxified model.",
        note=f"Means over seeds; bars: 95 % intervals. {hardness.size(of_series)}",
        rows=of_series,
    )


def _unsteered(relearning: pd.DataFrame) -> float | None:
    """Toxicity (points) of an arm's unsteered checkpoints: that at the last step less the gap there."""
    for _, of_condition in relearning.groupby("label", sort=False):
        curve = of_condition[of_condition["name"] == "toxicity"].sort_values("x")
        gap = of_condition[of_condition["name"] == "gap_at_end"]
        if len(curve) and len(gap):
            return float(curve["value"].iloc[-1] - gap["value"].iloc[0])
    return None
