"""Section: relearning. Steps until the detox is undone, and the curves that lead there."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from hormesis.dashboard.base.theme import is_dark
from hormesis.dashboard.base.wording import interval, metric_name
from hormesis.dashboard.charts.frame import Level
from hormesis.dashboard.charts.hardness import curves, steps_needed
from hormesis.dashboard.parts import card
from hormesis.dashboard.rows import robustness as hardness
from hormesis.dashboard.rows.context import Context

UNITS = {"toxicity": "Toxicity (points)", "loss": "Training loss (nats)", "fluency": "Fluency (fraction)"}


def show(context: Context, outcomes: pd.DataFrame) -> None:
    """The section; `outcomes`: a row per checkpoint, condition and number of every attack."""
    steps = outcomes[(outcomes["attack"] == "relearn") & (outcomes["name"] == "steps")]
    conditions = hardness.conditions_of(steps)
    budget = float(steps["budget"].max())
    _answer(steps, conditions, budget)
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
        _curves(context)


def _answer(steps: pd.DataFrame, conditions: list[str], budget: float) -> None:
    """Mean steps per condition, in words; `steps`: a row per checkpoint and condition (null: not reached)."""
    sentences = []
    for condition in conditions:
        of_condition = steps[steps["label"] == condition]
        reached = of_condition["value"].dropna()
        if len(reached) == len(of_condition):
            sentences.append(f"{condition} {interval(reached.mean(), None, None).split(' ')[0]} steps")
        else:
            sentences.append(
                f"{condition} not within {budget:g} steps in {len(of_condition) - len(reached)} of "
                f"{len(of_condition)} models"
            )
    st.markdown(f"#### Undoing the detox by fine-tuning takes, on average: {'; '.join(sentences)}.")


def _curves(context: Context) -> None:
    """Curves of one arm and measure over the steps; `points`: a row per checkpoint, condition and step."""
    points = hardness.points(context)
    points = points[(points["attack"] == "relearn")]
    arms = hardness.arms_of(points)
    with st.container(horizontal=True):
        arm = st.selectbox(
            "Arm", arms, index=len(arms) - 1, key="relearn_arm", bind="query-params", width=220
        )
        measures = [
            name for name in ("toxicity", "fluency", "repetition_4", "loss") if name in set(points["series"])
        ]
        series = st.selectbox(
            "Measure", measures, format_func=metric_name, key="relearn_series", bind="query-params", width=180
        )
    of_series = points[(points["arm"] == arm) & (points["series"] == series)]
    pooled = hardness.over_seeds(of_series, ["x"])
    parameters = hardness.parameters(context)
    bases = [
        float(parameters[attack_id]["base_toxicity"])
        for attack_id in of_series["attack_id"].unique()
        if "base_toxicity" in parameters[attack_id]
    ]
    is_compared = bool(bases) and series == "toxicity"
    level = Level(sum(bases) / len(bases), "before the detox", "dash") if is_compared else None
    card.chart(
        curves(
            pooled,
            hardness.conditions_of(pooled),
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
        note=f"Means over seeds; bars: 95 % intervals. {hardness.size(pooled)}",
        rows=pooled,
    )
