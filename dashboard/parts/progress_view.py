"""Progress of a study as it runs: a bar, arms by stage, rates and time left, loss curves."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.base.progress import Progress, summarise, with_rates
from hormesis.dashboard.base.refresh import ticking
from hormesis.dashboard.base.wording import duration, rate
from hormesis.dashboard.charts.figure_cache import drawn
from hormesis.dashboard.charts.training import LOSSES, loss_curves
from hormesis.dashboard.parts import card
from hormesis.dashboard.rows.context import Context
from hormesis.db.contract.stages import stage_order, stage_title


def _line(stages: pd.DataFrame, state: Progress, cut: bool) -> str:
    """The stages in one line; `left` is in seconds; `cut`: whether the run was cut off."""
    seconds_left = stages["left"].dropna()
    longest = float(seconds_left.max()) if len(seconds_left) else 0.0
    ending = f", about {duration(longest)} for what runs now" if len(seconds_left) and not cut else ""
    failed = f", {state.failed} failed" if state.failed else ""
    running_word = "interrupted" if cut and state.running else "running"
    return f"{state.done} of {state.stages} stages done, {state.running} {running_word}{failed}{ending}"


def _grid(stages: pd.DataFrame) -> pd.DataFrame:
    """Subjects by stages, each cell a percentage; empty where a subject has no such stage."""
    grid = stages.pivot_table(index="subject", columns="stage", values="fraction", aggfunc="first") * 100
    order = sorted([str(name) for name in grid.columns], key=stage_order)
    return grid[order].rename(columns=stage_title).reset_index()


def running_rows(stages: pd.DataFrame) -> pd.DataFrame:
    """What runs now, in words, from stage rows with rates."""
    running = stages[stages["status"] == "running"]
    return pd.DataFrame(
        {
            "Stage": running["stage"].map(stage_title),
            "On": running["subject"],
            "Progress": running["fraction"] * 100,
            "Rate": [rate(value, unit) for value, unit in zip(running["rate"], running["unit"], strict=True)],
            "Time left": [duration(value) for value in running["left"]],
            "Doing": running["message"],
        }
    )


@ticking
def live_progress(context: Context, *, cut: bool | None = None) -> None:
    """The progress card. Reads the stage rows anew at the page's pace, and nothing else.

    `cut`: whether the run was cut off, where the page has found that out and says so itself; else None.
    """
    stages = with_rates(rows.stages_now(context))
    state = summarise(stages, datetime.now(UTC))
    with st.container(border=True):
        st.markdown("**Progress**")
        if stages.empty:
            st.caption("The study is on the books; its first stage has not begun.")
            return
        is_cut_known = cut is not None
        cut = not state.active if cut is None else cut
        st.progress(state.fraction, text=_line(stages, state, cut))
        if is_cut_known:
            pass
        elif state.is_gone:
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
        running = running_rows(stages)
        if len(running) and not cut:
            st.dataframe(
                running,
                hide_index=True,
                column_config={"Progress": percent},
                alt="Stages running now",
                key="running_now",
            )
        grid = _grid(stages)
        columns = {name: percent for name in grid.columns if name != "subject"}
        with st.expander("All arms and stages", icon=":material/grid_on:"):
            st.dataframe(
                grid,
                hide_index=True,
                column_config={"subject": "Arm", **columns},
                alt="Progress of every arm through every stage",
            )


def loss_card(context: Context, *, key: str, title: str, guide: str, height: int = 340) -> bool:
    """Loss curves of every arm; returns whether there are any."""
    points = rows.train_points(context)
    loss_labels = [label for label, column in LOSSES.items() if len(points) and points[column].notna().any()]
    if not loss_labels:
        return False
    with st.container(border=True):
        loss_label = st.segmented_control(
            "Loss on", loss_labels, default=loss_labels[0], required=True, key="loss", bind="query-params"
        )
        is_thinned = int(points["step_count"].groupby(points["arm"]).first().sum()) > len(points)
        card.chart(
            drawn(loss_curves, points, LOSSES[str(loss_label or loss_labels[0])], height),
            key=key,
            title=title,
            alt="Loss over tokens seen, one line per arm",
            guide=guide,
            note=f"n = {points['arm'].nunique()} arms."
            + (" Curves are thinned evenly." if is_thinned else ""),
            rows=points,
        )
    return True
