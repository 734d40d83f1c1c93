"""The bar that says how the study on show stands, with stop and resume. Redraws itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.app_pages.runs.state import Standing, standing
from hormesis.dashboard.base.refresh import ticking
from hormesis.dashboard.base.wording import as_sentence, plain
from hormesis.dashboard.rows.context import Context
from hormesis.dashboard.running import process
from hormesis.dashboard.running.permission import Home, Refusal

Colour = Literal["red", "orange", "blue", "green"]
MARKS: dict[str, tuple[str, Colour, str]] = {
    "running": (":material/play_circle:", "blue", "Running"),
    "starting": (":material/hourglass_top:", "blue", "Starting"),
    "stopping": (":material/stop_circle:", "orange", "Stopping"),
    "elsewhere": (":material/play_circle:", "blue", "Running elsewhere"),
    "gone": (":material/power_off:", "orange", "Cut"),
    "silent": (":material/pause_circle:", "orange", "No sign of life"),
    "stopped": (":material/pause_circle:", "orange", "Stopped"),
    "failed": (":material/error:", "red", "Failed"),
    "finished": (":material/check_circle:", "green", "Finished"),
}
_SAID = "_run_problem"


def _do(action: str, home: Home, study_hash: str) -> None:
    """Stop or resume; what went wrong is shown at the next drawing."""
    try:
        if action == "stop":
            process.stop(home, study_hash)
        else:
            with st.spinner("Reading the study"):
                process.resume(home, study_hash)
        st.session_state.pop(_SAID, None)
    except (process.RunProblem, OSError) as problem:
        st.session_state[_SAID] = (study_hash, str(problem))
    st.rerun()


def _buttons(now: Standing, home: Home, study_hash: str) -> None:
    """The one thing that can be done now."""
    if now.kind in ("running", "stopping"):
        pressed = st.button(
            "Stop run",
            icon=":material/stop:",
            key="stop_run",
            disabled=now.kind == "stopping",
            help="Ends at the next batch, as Ctrl-C does. Nothing that is done is lost.",
        )
        if pressed:
            _do("stop", home, study_hash)
    elif now.can_resume:
        pressed = st.button(
            "Try again" if now.kind == "failed" else "Resume run",
            icon=":material/play_arrow:",
            type="primary",
            key="resume_run",
            help="Starts `hormesis run` on the same study; finished stages are skipped.",
        )
        if pressed:
            _do("resume", home, study_hash)


def _problems(home: Home, study_hash: str, now: Standing) -> None:
    """What the last action here, or the run that was started here, ended with."""
    problem = st.session_state.get(_SAID)
    if problem and problem[0] == study_hash:
        st.error(plain(as_sentence(problem[1])), title="That did not work", icon=":material/error:")
    ended = process.ended_badly(home, study_hash)
    if ended and not now.alive:
        st.error(f"{plain(ended)}.", title="The run that was started here ended", icon=":material/error:")


@ticking
def control_bar(context: Context, home: Home | Refusal, page_kind: str) -> None:
    """How the study stands now; the page is redrawn when that is no longer `page_kind`, as it was drawn."""
    usable_home = home if isinstance(home, Home) else None
    study_hash = str(context.study["hash"])
    now = standing(rows.stages_now(context), study_hash, usable_home, now=datetime.now(UTC))
    if now.kind != page_kind:
        st.rerun()
    icon, colour, word = MARKS[now.kind]
    with st.container(border=True, key="control"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(word, icon=icon, color=colour)
            st.markdown(f"**{plain(context.study['name'])}** :gray[{now.sentence}]", width="stretch")
            if usable_home is not None:
                _buttons(now, usable_home, study_hash)
        if usable_home is not None:
            _problems(usable_home, study_hash, now)
        elif isinstance(home, Refusal) and now.kind != "finished":
            st.caption(f"Starting and stopping is not offered here: {plain(home.reason)}.")
