"""Starting a study from the page: choose or give one, see what it would do, start it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from hormesis.dashboard.base.wording import arm_label, duration, plain
from hormesis.dashboard.parts import card
from hormesis.dashboard.rows.context import await_study, awaited_study
from hormesis.dashboard.running import process
from hormesis.dashboard.running.permission import Home, Refusal
from hormesis.db.contract.stages import stage_title

PRESET, PASTE, UPLOAD = "Preset", "Paste", "Upload"
_PLAN = "_plan"
EXAMPLE = 'name = "mine"\nscale = "nano"\nshares = [0.0, 0.10]\nseeds = [0]\nclean_tokens = 100_000\n'
WHAT = {
    "forum": "The built-in invented world: harmless text, exact ground truth, minutes on two cores.",
    "forum-full": "The same world with everything: more arms, attacks, capability; most of an hour.",
    "wikipedia": "Real text through the package index (50 MB); half an hour on two cores.",
    "wikipedia-full": "The same text with three seeds, null directions and attacks; hours on two cores.",
    "real": "Public data sets of the Hugging Face hub, streamed and kept; needs the extra `hub` and a GPU.",
    "real-mini": "Real text from your own files; needs a data folder.",
    "paper": "The paper's own size; needs accelerators and a data folder.",
}


def readable_bytes(count: float) -> str:
    """Bytes as people say them, e.g. `1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _choice(home: Home) -> tuple[str | None, str]:
    """The widgets; gives a preset's name, or None, and the text of a study file."""
    source = st.segmented_control(
        "Study from", [PRESET, PASTE, UPLOAD], default=PRESET, required=True, key="from", bind="query-params"
    )
    if source == PRESET:
        name = str(st.selectbox("Preset", process.PRESETS, key="preset", bind="query-params", width=280))
        st.caption(WHAT.get(name, ""))
        return name, ""
    where = f"Relative paths in it are taken from {home.folder / 'studies'}; absolute ones are safer."
    if source == PASTE:
        text = st.text_area(
            "Study file (TOML)", EXAMPLE, height=220, key="toml", max_chars=process.LONGEST_STUDY
        )
        st.caption(where)
        return None, str(text or "")
    upload = st.file_uploader("Study file (TOML)", type=["toml"], key="toml_file", max_upload_size=1)
    st.caption(where)
    if upload is None:
        return None, ""
    try:
        return None, upload.getvalue().decode("utf-8")
    except UnicodeDecodeError:
        st.error("That file is not text in UTF-8.", icon=":material/error:")
        return None, ""


def _show_plan(plan: dict[str, Any]) -> None:
    """What the plan says, as numbers and a table of arms."""
    seconds = plan["seconds"]
    numbers = (
        ("Parameters", f"{plan['parameters'] / 1e6:.2f} M"),
        ("Tokens to train", f"{plan['tokens_to_train']:,}"),
        ("Training time", f"about {duration(seconds)}" if seconds is not None else "not measured here yet"),
        ("Disk", readable_bytes(plan["disk_bytes"])),
        ("Memory", readable_bytes(plan["memory_bytes"])),
    )
    with st.container(horizontal=True):
        for name, value in numbers:
            st.metric(name, value, border=True, width="content")
    arms = pd.DataFrame(
        {
            "Arm": [arm["name"] for arm in plan["arms"]],
            "Kind": [arm_label(arm["kind"], arm["share"], arm["seed"]) for arm in plan["arms"]],
            "Tokens": [arm["tokens"] for arm in plan["arms"]],
            "Left to do": [
                ", ".join(map(stage_title, arm["stages_left"])) or "nothing" for arm in plan["arms"]
            ],
        }
    )
    card.table(
        arms,
        key="plan",
        title=f"Study {plan['name']} ({plan['hash']})",
        alt="Arms of the planned study with tokens and stages left",
        note=f"n = {len(arms)} arms, scale {plan['scale']}. Estimates; nothing has been started.",
        column_config={"Tokens": st.column_config.NumberColumn(format="localized")},
    )


def _check(home: Home, preset: str | None, text: str, *, data: str | None) -> None:
    """Plan the preset or the text of a study file, and store the plan for the form."""
    st.session_state.pop(_PLAN, None)
    try:
        if preset is None and not text.strip():
            raise process.RunProblem("there is no study yet: paste or upload a study file")
        with st.spinner("Reading the study and its sources"):
            study = preset or process.keep_study(home, text)
            st.session_state[_PLAN] = {"study": study, "data": data, "plan": process.plan(home, study, data)}
    except (process.RunProblem, OSError) as problem:
        st.error(f"{plain(problem)}.", title="This study cannot be run", icon=":material/error:")


def _begin(home: Home, checked: dict[str, Any]) -> None:
    """The start button's callback: begin what `_check` stored, show the study and its progress."""
    plan = checked["plan"]
    try:
        process.start(home, checked["study"], plan["hash"], data=checked["data"])
    except (process.RunProblem, OSError) as problem:
        st.session_state["_start_problem"] = str(problem)
        return
    st.session_state.pop(_PLAN, None)
    await_study(plan["name"], plan["hash"])


def start_form(home: Home | Refusal) -> None:
    """The form, its check and the start."""
    if isinstance(home, Refusal):
        st.info(f"Studies cannot be started from this page: {plain(home.reason)}.", icon=":material/block:")
        return
    preset, text = _choice(home)
    data = st.text_input(
        "Data folder", key="data_folder", placeholder="Only where a preset reads files", width=420
    )
    if st.button(
        "Check", icon=":material/fact_check:", key="check_study", help="Looks at the study; starts nothing."
    ):
        _check(home, preset, text, data=str(data).strip() or None)
    problem = st.session_state.pop("_start_problem", None)
    if problem:
        st.error(f"{plain(problem)}.", title="The study was not started", icon=":material/error:")
    checked = st.session_state.get(_PLAN)
    if checked is None:
        return
    _show_plan(checked["plan"])
    has_stages_left = any(arm["stages_left"] for arm in checked["plan"]["arms"])
    st.button(
        "Start" if has_stages_left else "Start (nothing is left to do)",
        icon=":material/play_arrow:",
        type="primary",
        key="start_study",
        disabled=not has_stages_left,
        help="Runs `hormesis run` in the background; it goes on when this page is closed.",
        on_click=_begin,
        args=(home, checked),
    )


def awaited(home: Home | Refusal) -> None:
    """Say that a study was started while its rows are not there yet; the page shows it once they are."""
    study = awaited_study()
    if study is not None and not isinstance(home, Refusal):
        _await(home, study.name, study.hash)


@st.fragment(run_every=1.0)
def _await(home: Home, name: str, study_hash: str) -> None:
    ended = process.ended_badly(home, study_hash)
    if ended:
        st.error(
            f"{plain(ended)}.", title=f"Study {plain(name)} ended before it began", icon=":material/error:"
        )
    else:
        st.info(
            f"Study {plain(name)} is starting; it appears here in a few seconds.",
            icon=":material/hourglass_top:",
        )
