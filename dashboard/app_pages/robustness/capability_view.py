"""Section: capability. What each condition can still do, against chance and against the unsteered model."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.theme import is_dark
from hormesis.dashboard.base.wording import fixed, interval, metric_name
from hormesis.dashboard.charts.frame import Level
from hormesis.dashboard.charts.hardness import by_condition
from hormesis.dashboard.parts import card
from hormesis.dashboard.rows import robustness as hardness
from hormesis.dashboard.rows.context import Context

TITLES = {
    "minimal_pairs": "Forum minimal pairs",
    "blimp": "BLiMP",
    "cross_entropy": "Held-out cross-entropy",
}


def task_title(task: str) -> str:
    """A task in words."""
    return TITLES.get(task, task.removeprefix("mcq_").replace("_", " "))


def show(context: Context) -> None:
    """The section. `scores`: over seeds, a row per arm, condition, task, part and measure.

    `changes`: those that have a paired change against unsteered.
    """
    capability = hardness.capability(context)
    with st.container(horizontal=True):
        tasks = list(dict.fromkeys(capability["task"]))
        task = str(
            st.selectbox(
                "Task", tasks, format_func=task_title, key="capability_task", bind="query-params", width=240
            )
        )
        scores = capability[capability["task"] == task]
        measures = list(dict.fromkeys(scores["measure"]))
        measure = st.selectbox(
            "Measure",
            measures,
            format_func=_measure,
            key="capability_measure",
            bind="query-params",
            width=240,
        )
        scores = scores[scores["measure"] == measure]
        parts = list(dict.fromkeys(scores["part"]))
        part = st.selectbox(
            "Part", parts, format_func=lambda name: name or "all", key="capability_part", bind="query-params",
            width=240,
        )  # fmt: skip
    scores = scores[scores["part"] == part]
    changes = scores[scores["change"].notna()]
    unit = str(scores["unit"].iloc[0])
    fraction = unit == "fraction"
    _answer(changes, task, unit)
    chance = scores["chance"].dropna()
    level = Level(float(chance.iloc[0]), f"chance {float(chance.iloc[0]):.0%}") if len(chance) else None
    with st.container(border=True):
        title = f"{task_title(task)}{f', {part}' if part else ''}"
        card.chart(
            by_condition(
                scores,
                hardness.conditions_of(scores),
                f"{_measure(str(measure))} ({'%' if fraction else unit})",
                dark=is_dark(),
                level=level,
                factor=100 if fraction else 1,
            ),
            key="capability",
            title=title,
            alt=f"{title} by condition, one marker per arm",
            guide="Higher is better." if unit != "nats per token" else "Lower is better.",
            note="In tasks every position is steered; held-out text is scored as if generated. "
            f"Bars: 95 % intervals. "
            f"{hardness.size(scores, 'documents' if task == 'cross_entropy' else 'items')}",
            rows=scores,
        )
    if len(changes):
        _changes(changes)


def _measure(measure: str) -> str:
    titles = {"accuracy": "Accuracy", "accuracy_norm": "Accuracy, by characters"}
    return titles.get(measure, metric_name(measure))


def _answer(changes: pd.DataFrame, task: str, unit: str) -> None:
    """How many of `changes` (a row per arm and condition) are better or worse than unsteered."""
    if changes.empty:
        st.markdown(f"#### {task_title(task)}: no condition to compare with the unsteered models yet.")
        return
    sign = -1 if unit == "nats per token" else 1
    worse = (sign * changes["change"] < 0) & ((changes["change_high"] < 0) | (changes["change_low"] > 0))
    better = (sign * changes["change"] > 0) & ((changes["change_high"] < 0) | (changes["change_low"] > 0))
    st.markdown(
        f"#### {task_title(task)}: worse than unsteered in {int(worse.sum())}, better in "
        f"{int(better.sum())} of {len(changes)} arms and conditions (95 % intervals)."
    )


def _changes(changes: pd.DataFrame) -> None:
    """The table of `changes`, a row per arm and condition."""
    table = pd.DataFrame(
        {
            "Arm": list(changes["arm"]),
            "Condition": list(changes["label"]),
            "Value": [interval(row.value, row.low, row.high) for row in records(changes)],
            "Change against unsteered": [
                fixed(row.change, row.change_low, row.change_high) for row in records(changes)
            ],
            "Items": list(changes["n"]),
            "Seeds": list(changes["n_seeds"]),
        }
    )
    if changes["chance"].notna().any():
        table["Chance"] = list(changes["chance"])
    with st.container(border=True):
        card.table(
            table,
            key="capability_changes",
            alt="Change of capability against the unsteered checkpoints",
            title="Against the same checkpoints unsteered",
            note="Paired over the same items (documents for cross-entropy) and seeds; 95 % intervals.",
            out=changes,
        )
