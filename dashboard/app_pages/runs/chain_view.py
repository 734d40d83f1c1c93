"""Where a number comes from: choose one, see the chain from it to the study, its data and software."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.wording import condition_label, interval, metric_name, plain
from hormesis.dashboard.parts import card
from hormesis.dashboard.rows.context import Context


def _choose_number() -> None:
    """A row of the table was clicked: it becomes the number on show."""
    chosen = st.session_state["numbers_grid"].selection.rows
    labels = st.session_state.get("_number_labels", [])
    if chosen and chosen[0] < len(labels):
        st.session_state["number"] = labels[chosen[0]]


def _how(row: Any) -> str:
    """The condition of a number in words; numbers of no condition are the checkpoint's."""
    if not isinstance(row.method, str):
        return "checkpoint"
    return condition_label(row.method, row.strength, row.matched_cost, key=row.condition)


def _label(row: Any) -> str:
    parts = (metric_name(row.name_), _how(row), row.prompt_set, row.scorer)
    return ", ".join(str(part) for part in parts if isinstance(part, str) and part)


def _labels(metrics: pd.DataFrame) -> list[str]:
    """One name per number (row); alike ones (random directions) are told apart by the condition's key."""
    labels = [_label(row) for row in records(metrics)]
    again = pd.Series(labels).duplicated(keep=False)
    return [
        f"{label} ({row.condition})" if twice else label
        for label, twice, row in zip(labels, again, records(metrics), strict=True)
    ]


def number_chain(context: Context) -> None:
    """Pickers, the table of a checkpoint's numbers (rows), and the chain of the one chosen (a row a step)."""
    checkpoints = rows.checkpoints(context)
    if checkpoints.empty:
        st.info("Numbers appear when the first checkpoint was evaluated.", icon=":material/hourglass_empty:")
        return
    names = [str(name) for name in checkpoints["name"]]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox("Checkpoint", names, key="chain_of", bind="query-params", width=240)
        metrics = rows.checkpoint_metrics(context, int(checkpoints["id"].iloc[names.index(str(name))]))
        if metrics.empty:
            st.info(f"{plain(name)} has no numbers yet.", icon=":material/hourglass_empty:")
            return
        measures = ["all", *sorted(set(metrics["name"]), key=lambda name: (name != "toxicity", name))]
        measure = st.selectbox(
            "Measure",
            measures,
            index=1,
            format_func=lambda name: "All" if name == "all" else metric_name(name),
            key="chain_measure",
            bind="query-params",
            width=220,
        )
    numbers = metrics if measure == "all" else metrics[metrics["name"] == measure]
    labels = _labels(numbers.rename(columns={"name": "name_"}))
    st.session_state["_number_labels"] = labels
    table = pd.DataFrame(
        {
            "Measure": [metric_name(name) for name in numbers["name"]],
            "Condition": [_how(row) for row in records(numbers)],
            "Prompts": numbers["prompt_set"],
            "Scorer": numbers["scorer"],
            "Value": [interval(r.value, r.low, r.high, unit=r.unit) for r in records(numbers)],
            "n": numbers["n"],
            "Interval": numbers["interval"],
        }
    )
    with st.container(border=True):
        card.table(
            table,
            key="numbers",
            title=f"Numbers of {name}",
            alt="Numbers of a checkpoint; choosing a row shows where it comes from",
            note=f"n = {len(numbers)} numbers, 95 % intervals. Choose a row to see where it comes from.",
            out=numbers.drop(columns="metric_id"),
            height=min(360, 38 + 35 * len(table)),
            on_select=_choose_number,
            selection_mode="single-row",
        )
    if st.session_state.get("number") not in labels:
        st.session_state.pop("number", None)
    label = str(st.selectbox("Number", labels, key="number", bind="query-params", width=560))
    row = numbers.iloc[labels.index(label)]
    chain = rows.number_chain(context, int(row["metric_id"]))
    with st.container(border=True):
        card.table(
            chain.rename(columns={"step": "Step", "what": "What", "value": "Value"}),
            key="chain",
            title=f"{label}: {interval(row['value'], row['low'], row['high'], unit=row['unit'])}",
            alt="Chain from the number to the study, its data and the software",
            note=(
                "Read downwards: the number, what scored it, on which texts, under which condition, of which "
                "weights, trained on which data, by which stages and software."
            ),
            height=min(700, 38 + 35 * len(chain)),
        )
