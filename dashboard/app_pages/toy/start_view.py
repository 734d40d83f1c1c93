"""Starting a toy run from the page, and how the ones under way stand."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from hormesis.dashboard.base.progress import SILENT_AFTER
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.wording import duration, plain
from hormesis.dashboard.rows.toy import SETTINGS, experiments_now
from hormesis.dashboard.running import toy_process
from hormesis.dashboard.running.permission import Home, Refusal
from hormesis.dashboard.running.process import RunProblem
from hormesis.db.problems import DatabaseProblem

DEFAULT_SHARES = ".001,.003,.01,.03,.1,.2,.4,.7,1"
_PROBLEM = "_toy_problem"


def _fields() -> list[str]:
    """The widgets; gives the command's arguments."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        setting = str(
            st.selectbox(
                "New run of",
                list(SETTINGS),
                format_func=lambda name: SETTINGS[name],
                key="new_setting",
                bind="query-params",
                width=240,
            )
        )
        width = st.number_input("Width", 2, 64, 4, key="new_width", bind="query-params", width=130)
        seeds = st.number_input("Seeds", 1, 100, 10, key="new_seeds", bind="query-params", width=130)
        steps = st.number_input(
            "Steps",
            1,
            200_000,
            None,
            key="new_steps",
            bind="query-params",
            placeholder="default",
            width=150,
        )
        decay = st.number_input(
            "Weight decay",
            0.0,
            10.0,
            None,
            key="new_decay",
            bind="query-params",
            placeholder="default",
            format="%g",
            step=1e-4,
            width=170,
        )
        shares = st.text_input(
            "Shares of the rare chain", DEFAULT_SHARES, key="new_shares", bind="query-params", width=330
        )
    options = {"width": int(width), "steps": None if steps is None else int(steps), "weight_decay": decay}
    return toy_process.arguments(
        setting, options, shares="".join(str(shares or "").split()) or "1", seeds=str(int(seeds))
    )


def _begin(home: Home, arguments: list[str]) -> None:
    try:
        toy_process.start(home, arguments)
    except (RunProblem, OSError) as problem:
        st.session_state[_PROBLEM] = str(problem)


def start_form(home: Home | Refusal) -> None:
    """Options, the command they make, and where it is allowed a button that runs it."""
    arguments = _fields()
    st.code("hormesis " + " ".join(arguments), language="bash")
    if isinstance(home, Refusal):
        reason = home.reason.replace("hormesis run", "hormesis toy")
        st.caption(f"Run the command yourself; from this page it cannot be started: {plain(reason)}.")
        return
    st.button(
        "Run",
        icon=":material/play_arrow:",
        type="primary",
        key="start_toy",
        help="Runs the command in the background at low priority; runs that are stored are not run again.",
        on_click=_begin,
        args=(home, arguments),
    )
    problem = st.session_state.pop(_PROBLEM, None)
    if problem:
        st.error(f"{plain(problem)}.", title="The run was not started", icon=":material/error:")


@st.fragment(run_every=2.0)
def under_way(url: str, home: Home | Refusal) -> None:
    """Configurations (rows) that are being run, with bar and rate; and why the last run from here failed."""
    run = toy_process.running(home) if isinstance(home, Home) else None
    if isinstance(home, Home) and (ended := toy_process.ended_badly(home)):
        st.error(f"{plain(ended)}.", title="The last run from this page failed", icon=":material/error:")
    try:
        experiments = experiments_now(url)
    except DatabaseProblem:
        experiments = pd.DataFrame()
    live = experiments[experiments["status"] == "running"] if len(experiments) else experiments
    for row in records(live):
        beat = pd.Timestamp(row.heartbeat)
        if pd.isna(beat) or datetime.now(UTC) - beat.to_pydatetime() > SILENT_AFTER:
            st.warning(
                f"{SETTINGS.get(row.setting, row.setting)} ({row.hash}) has given no sign of life for over a "
                "minute; it may have been cut. The same command goes on with it.",
                icon=":material/pause_circle:",
            )
            continue
        part = min(row.done / row.total, 1.0) if row.total else 0.0
        st.progress(part, text=f"Running {SETTINGS.get(row.setting, row.setting)}: {_left(row)}")
    if run is not None:
        if live.empty:
            st.info(
                "The run begins; its first steps appear in a few seconds.", icon=":material/hourglass_top:"
            )
        st.button("Stop", icon=":material/stop:", key="stop_toy", on_click=toy_process.stop, args=(home,))


def _left(row: object) -> str:
    done, total, seconds = (float(getattr(row, name)) for name in ("done", "total", "seconds"))
    if done <= 0 or seconds <= 0 or total <= 0:
        return "starting"
    rate = done / seconds
    return f"{done / total:.0%}, {rate:,.0f} model steps/s, about {duration((total - done) / rate)} left"
