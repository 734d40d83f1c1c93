"""Tables of what has been run: stages, arms, checkpoints, studies; failures in plain words."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import card, context, rows
from dashboard.progress import with_rates
from dashboard.records import records
from dashboard.wording import arm_label, duration, rate
from db.contract.stages import stage_order, stage_title

FIRST = {"failed": 0, "running": 1}
"""States that stand above the others."""
EVERY, SHORT = "all", 12
RATE = 130
"""Width of columns that would be cut, in pixels."""


def arms_table(found: context.Context) -> None:
    """One row per arm: what it was trained on."""
    arms = rows.arms(found)
    if arms.empty:
        return
    shown = pd.DataFrame(
        {
            "Arm": arms["name"],
            "Kind": [arm_label(row.kind, row.share) for row in records(arms)],
            "Seed": arms["seed"],
            "Clean tokens": arms["clean_tokens"],
            "Added tokens": arms["added_tokens"],
            "Repeats": arms["repeats"],
        }
    )
    with st.container(border=True):
        card.table(
            shown,
            key="arms_table",
            title="Arms",
            alt="Arms of the study with their token counts",
            note=(
                f"n = {len(shown)} arms. Clean tokens are the same in every arm; added tokens are toxic, or "
                "plain forum text in the control."
            ),
            column_config={
                "Clean tokens": st.column_config.NumberColumn(format="localized"),
                "Added tokens": st.column_config.NumberColumn(format="localized"),
                "Repeats": st.column_config.NumberColumn(
                    format="%.2f", help="Above 1: added text was gone through more than once."
                ),
            },
        )


def checkpoints_table(found: context.Context) -> None:
    """One row per checkpoint."""
    made = rows.checkpoints(found)
    if made.empty:
        return
    shown = pd.DataFrame(
        {
            "Checkpoint": made["name"],
            "Architecture": made["architecture"],
            "Parameters": made["parameters"],
            "Layers": made["n_layers"],
            "Heads": made["n_heads"],
            "Tokens seen": made["tokens_seen"],
            "Weights hash": made["weights_hash"],
        }
    )
    numbers = ("Parameters", "Tokens seen")
    with st.container(border=True):
        card.table(
            shown,
            key="checkpoints_table",
            title="Checkpoints",
            alt="Checkpoints with their size and hash",
            note=f"n = {len(shown)} checkpoints.",
            column_config={name: st.column_config.NumberColumn(format="localized") for name in numbers},
        )


def failures(table: pd.DataFrame) -> None:
    """Every stage that failed, in its own words."""
    for row in records(table[table["status"] == "failed"]):
        st.error(
            f"{row.error or 'No reason was recorded.'}",
            title=f"{stage_title(str(row.stage))} of {row.subject} failed",
            icon=":material/error:",
        )


def in_order(stages: pd.DataFrame) -> pd.DataFrame:
    """What needs a look first: failed, then running, then the others; within each as they run."""
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


def _of_state(table: pd.DataFrame) -> pd.DataFrame:
    """The stages of the state chosen; the choice is there where a list is long."""
    states = [state for state in (*FIRST, "done", "waiting", "stopped") if state in set(table["status"])]
    if len(table) <= SHORT or len(states) < 2:
        return table
    picked = st.segmented_control(
        "Show stages", [EVERY, *states], default=EVERY, required=True, key="stages", bind="query-params"
    )
    return table if picked in (None, EVERY) else table[table["status"] == picked]


def stages_table(stages: pd.DataFrame, *, alive: bool = False) -> None:
    """Every stage with its time, rate and state; errors in plain words above. `alive`: the study runs."""
    every = in_order(with_rates(stages))
    failures(every)
    with st.container(border=True):
        _stages(every, _of_state(every), alive)


def _stages(every: pd.DataFrame, table: pd.DataFrame, alive: bool) -> None:
    # What a waiting stage said last was said by an earlier run.
    said = table["message"].where((table["status"] != "waiting") | (not alive), "")
    cut = (table["status"] == "running") & (not alive)
    shown = pd.DataFrame(
        {
            "Stage": table["stage"].map(stage_title),
            "On": table["subject"],
            "State": table["status"].where(~cut, "cut off"),
            "Done": table["fraction"] * 100,
            "Working time": [duration(value) for value in table["seconds"]],
            "Rate": [rate(value, unit) for value, unit in zip(table["rate"], table["unit"], strict=True)],
            "Time left": [duration(value) for value in table["left"].where(~cut)],
            "Last sign of life": pd.to_datetime(table["heartbeat"], utc=True),
            "Said": said,
            "Host": table["host"],
        }
    )
    numbers = (
        f"n = {len(table)} stages" if len(table) == len(every) else f"n = {len(table)} of {len(every)} stages"
    )
    card.table(
        shown,
        key="stages_table",
        title="Stages",
        alt="Stages with state, progress, rate and time left",
        note=(
            f"{numbers}, {duration(float(table['seconds'].sum()))} of work in all. "
            "Working time is summed over resumptions."
        ),
        out=table.drop(columns=["id", "study_id", "packages"]),
        column_config={
            "Done": st.column_config.ProgressColumn(format="%.0f %%", min_value=0, max_value=100),
            "Rate": st.column_config.Column(width=RATE),
            "Last sign of life": st.column_config.DatetimeColumn(format="distance", width=RATE),
        },
    )


def studies(found: context.Context) -> None:
    """All studies of the database."""
    if len(found.studies) < 2:
        return
    words = {
        "name": "Study",
        "hash": "Study hash",
        "scale": "Scale",
        "arms": "Arms",
        "checkpoints": "Checkpoints",
        "created": "Begun",
    }
    shown = found.studies[list(words)].rename(columns=words)
    with st.container(border=True):
        card.table(
            shown,
            key="studies_table",
            title="Studies in this database",
            alt="All studies of the database",
            note="Choose the one on show at the top of the page.",
        )
