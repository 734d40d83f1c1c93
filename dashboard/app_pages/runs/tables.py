"""Tables of what has been run: stages, arms, checkpoints, studies; failures in plain words."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.base.progress import with_rates
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.wording import arms_in_words, degraded_words, duration, plain, rate, shapes_of
from hormesis.dashboard.parts import card
from hormesis.dashboard.rows.context import Context
from hormesis.db.contract.sites import heads_in_words
from hormesis.db.contract.stages import stage_order, stage_title

FIRST = {"failed": 0, "running": 1}
"""States that stand above the others."""
EVERY, SHORT = "all", 12
RATE = 130
"""Width of columns that would be cut, in pixels."""


def arms_table(context: Context) -> None:
    """One row per arm: what it was trained on."""
    arms = rows.arms(context)
    if arms.empty:
        return
    table = arms_in_words(arms)
    with st.container(border=True):
        card.table(
            table,
            key="arms_table",
            title="Arms",
            alt="Arms of the study with their token counts",
            note=(
                f"n = {len(table)} arms. The mixes hold equally many clean tokens; added tokens are toxic, "
                "or informal text in the control. What does not fill a last batch is not trained on."
            ),
            column_config={
                "Clean tokens": st.column_config.NumberColumn(format="localized"),
                "Added tokens": st.column_config.NumberColumn(format="localized"),
                "Repeats": st.column_config.NumberColumn(
                    format="%.2f", help="Above 1: added text was gone through more than once."
                ),
            },
        )


def checkpoints_table(context: Context) -> None:
    """One row per checkpoint."""
    checkpoints = rows.checkpoints(context)
    if checkpoints.empty:
        return
    table = pd.DataFrame(
        {
            "Checkpoint": checkpoints["name"],
            "Architecture": checkpoints["architecture"],
            "Parameters": checkpoints["parameters"],
            "Heads": [heads_in_words(shapes_of(row), int(row.n_layers)) for row in records(checkpoints)],
            "Tokens seen": checkpoints["tokens_seen"],
            "Weights hash": checkpoints["weights_hash"],
        }
    )
    numbers = ("Parameters", "Tokens seen")
    with st.container(border=True):
        card.table(
            table,
            key="checkpoints_table",
            title="Checkpoints",
            alt="Checkpoints with their size and hash",
            note=f"n = {len(table)} checkpoints. {degraded_words(checkpoints)}".strip(),
            column_config={name: st.column_config.NumberColumn(format="localized") for name in numbers},
        )


def failures(stages: pd.DataFrame) -> None:
    """Every stage that failed, in its own words."""
    for row in records(stages[stages["status"] == "failed"]):
        st.error(
            plain(row.error or "No reason was recorded."),
            title=f"{stage_title(str(row.stage))} of {plain(row.subject)} failed",
            icon=":material/error:",
        )


def in_order(stages: pd.DataFrame) -> pd.DataFrame:
    """Stage rows, those first that need a look: failed, running, the others; within each as they run."""
    return stages.loc[
        sorted(
            stages.index,
            key=lambda at: (
                FIRST.get(str(stages.at[at, "status"]), len(FIRST)),
                stage_order(str(stages.at[at, "stage"])),
                str(stages.at[at, "subject"]),
            ),
        )
    ]


def _of_state(stages: pd.DataFrame) -> pd.DataFrame:
    """The stages of the state chosen; the choice is there where a list is long."""
    states = [state for state in (*FIRST, "done", "waiting", "stopped") if state in set(stages["status"])]
    if len(stages) <= SHORT or len(states) < 2:
        return stages
    status = st.segmented_control(
        "Show stages", [EVERY, *states], default=EVERY, required=True, key="stages", bind="query-params"
    )
    return stages if status in (None, EVERY) else stages[stages["status"] == status]


def stages_table(stages: pd.DataFrame, *, is_running: bool = False) -> None:
    """Every stage with its time, rate and state; errors in plain words above. `is_running`: the study."""
    ordered = in_order(with_rates(stages))
    failures(ordered)
    with st.container(border=True):
        _stages(ordered, _of_state(ordered), is_running)


def _stages(all_stages: pd.DataFrame, stages: pd.DataFrame, is_running: bool) -> None:
    # What a waiting stage said last was said by an earlier run.
    """The table of `stages`, some rows of `all_stages` with rates; `is_running`: whether the study runs."""
    messages = stages["message"].where((stages["status"] != "waiting") | (not is_running), "")
    is_cut = (stages["status"] == "running") & (not is_running)
    table = pd.DataFrame(
        {
            "Stage": stages["stage"].map(stage_title),
            "On": stages["subject"],
            "State": stages["status"].where(~is_cut, "cut off"),
            "Done": stages["fraction"] * 100,
            "Working time": [duration(value) for value in stages["seconds"]],
            "Rate": [rate(value, unit) for value, unit in zip(stages["rate"], stages["unit"], strict=True)],
            "Time left": [duration(value) for value in stages["left"].where(~is_cut)],
            "Last sign of life": pd.to_datetime(stages["heartbeat"], utc=True),
            "Said": messages,
            "Host": stages["host"],
        }
    )
    numbers = (
        f"n = {len(stages)} stages"
        if len(stages) == len(all_stages)
        else f"n = {len(stages)} of {len(all_stages)} stages"
    )
    card.table(
        table,
        key="stages_table",
        title="Stages",
        alt="Stages with state, progress, rate and time left",
        note=(
            f"{numbers}, {duration(float(stages['seconds'].sum()))} of work in all. "
            "Working time is summed over resumptions."
        ),
        out=stages.drop(columns=["id", "study_id", "packages"]),
        column_config={
            "Done": st.column_config.ProgressColumn(format="%.0f %%", min_value=0, max_value=100),
            "Rate": st.column_config.Column(width=RATE),
            "Last sign of life": st.column_config.DatetimeColumn(format="distance", width=RATE),
        },
    )


def studies(context: Context) -> None:
    """All studies of the database."""
    if len(context.studies) < 2:
        return
    titles = {
        "name": "Study",
        "hash": "Study hash",
        "scale": "Scale",
        "arms": "Arms",
        "checkpoints": "Checkpoints",
        "created": "Begun",
    }
    table = context.studies[list(titles)].rename(columns=titles)
    with st.container(border=True):
        card.table(
            table,
            key="studies_table",
            title="Studies in this database",
            alt="All studies of the database",
            note="Choose the one on show at the top of the page.",
        )
