"""Progress of a study as it runs: a bar, a table of arms by stage, rates and time left. Redraws itself."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from dashboard import rows
from dashboard.pace import ticking
from dashboard.progress import Progress, summarise, with_rates
from dashboard.wording import duration, rate
from db.contract.stages import stage_order, stage_title


def _line(table: pd.DataFrame, state: Progress, cut: bool) -> str:
    left = table["left"].dropna()
    ending = f", about {duration(float(left.max()))} for what runs now" if len(left) and not cut else ""
    failed = f", {state.failed} failed" if state.failed else ""
    how = "interrupted" if cut and state.running else "running"
    return f"{state.done} of {state.stages} stages done, {state.running} {how}{failed}{ending}"


def _grid(table: pd.DataFrame) -> pd.DataFrame:
    """Subjects by stages, each cell a percentage; empty where a subject has no such stage."""
    shown = table.pivot_table(index="subject", columns="stage", values="fraction", aggfunc="first") * 100
    order = sorted([str(name) for name in shown.columns], key=stage_order)
    return shown[order].rename(columns=stage_title).reset_index()


def running_rows(table: pd.DataFrame) -> pd.DataFrame:
    """What runs now, in words."""
    mine = table[table["status"] == "running"]
    return pd.DataFrame(
        {
            "Stage": mine["stage"].map(stage_title),
            "On": mine["subject"],
            "Progress": mine["fraction"] * 100,
            "Rate": [rate(value, unit) for value, unit in zip(mine["rate"], mine["unit"], strict=True)],
            "Time left": [duration(value) for value in mine["left"]],
            "Doing": mine["message"],
        }
    )


@ticking
def live_progress(url: str, study_id: int, *, cut: bool | None = None) -> None:
    """The progress card. Reads the stage rows anew every two seconds, and nothing else.

    `cut`: whether the run was cut off, where the page has found that out and says so itself.
    """
    table = with_rates(rows.stages_now(url, study_id))
    state = summarise(table, datetime.now(UTC))
    with st.container(border=True):
        st.markdown("**Progress**")
        if table.empty:
            st.caption("The study is on the books; its first stage has not begun.")
            return
        said = cut is not None
        cut = not state.active if cut is None else cut
        st.progress(state.fraction, text=_line(table, state, cut))
        if said:
            pass
        elif state.gone:
            st.warning(
                "Stopped: the process that ran it is gone. Resume it on the runs page, or start it again "
                "with the same command; it goes on where it stopped.",
                icon=":material/power_off:",
            )
        elif state.silent:
            st.warning(
                "The run has given no sign of life for over a minute; it may have been cut. Start it "
                "again with "
                "the same command and it goes on where it stopped.",
                icon=":material/pause_circle:",
            )
        percent = st.column_config.ProgressColumn(format="%.0f %%", min_value=0, max_value=100)
        running = running_rows(table)
        if len(running) and not cut:
            st.dataframe(
                running,
                hide_index=True,
                column_config={"Progress": percent},
                alt="Stages running now",
                key="running_now",
            )
        grid = _grid(table)
        columns = {name: percent for name in grid.columns if name != "subject"}
        with st.expander("All arms and stages", icon=":material/grid_on:"):
            st.dataframe(
                grid,
                hide_index=True,
                column_config={"subject": "Arm", **columns},
                alt="Progress of every arm through every stage",
            )
