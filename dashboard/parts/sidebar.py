"""The sidebar below the navigation: study, prompts, scorer, comparison and texts, shared by all pages."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd
import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.base import selection
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.selection import Choice
from hormesis.dashboard.base.wording import plain
from hormesis.dashboard.parts import reference_note
from hormesis.dashboard.rows.cache import Database
from hormesis.dashboard.rows.context import (
    Context,
    arrived,
    choose,
    forget,
    set_choice,
    study_names,
)

NARROW: Final = 999
"""Widest window in pixels in which the sidebar is folded until it is asked for."""
VIEW_HELP = (
    "Matched cost compares arms where steering has cost the same in cross-entropy. Fixed strength turns "
    "every model by the same number of sigmas, which hits models with a larger sigma harder."
)
_FOLD = """<script>
if (!window.foldsSidebar) {
  window.foldsSidebar = true;
  const narrow = matchMedia("(max-width: %dpx)");
  const fold = () => {
    const button = narrow.matches ? "stSidebarCollapseButton" : "stExpandSidebarButton";
    const target = document.querySelector(`[data-testid=${button}]`);
    (target?.querySelector("button") ?? target)?.click();
  };
  if (narrow.matches) fold();
  narrow.addEventListener("change", fold);
}
</script>"""


def style() -> None:
    """The style sheet of all pages, and the sidebar folded while the window is narrow."""
    st.html(Path(__file__).parent / "frame.css")
    with st.sidebar:
        st.html(_FOLD % NARROW, unsafe_allow_javascript=True)


def study_controls(database: Database, *, follow_new: bool, in_use: bool) -> bool:
    """Draw the study's controls and store what they choose. Returns whether there is a study to show.

    `follow_new`: go to a study that was started from here once it is there; `in_use`: whether the page
    shows what prompts, scorer and comparison choose.
    """
    studies = rows.studies(database)
    with st.sidebar:
        if not len(studies):
            forget()
            return False
        labels = study_names(studies)
        if follow_new and (place := arrived(studies)) is not None:
            st.session_state["study"] = labels[place]
            st.session_state["tab"] = "Progress"
        label = st.selectbox("Study", labels, key="study", bind="query-params")
        context = choose(database, studies, labels.index(label) if label in labels else 0)
        status_badge(context)
        set_choice(_choice(context, rows.summary_choices(context), in_use=in_use))
        st.toggle(
            "Show all texts",
            key="reveal_all",
            persist_state="session",
            help="Texts are blurred until you click them. This shows all of them for this session.",
        )
    return True


def _choice(context: Context, choices: pd.DataFrame, *, in_use: bool) -> Choice:
    """Prompts, scorer and comparison; `choices`: of `summary_choices`. Prompts with most texts come first."""
    toxicity = choices[choices["name"] == "toxicity"]
    if toxicity.empty:
        return Choice(None, None)
    prompt_set = st.selectbox("Prompts", selection.by_size(toxicity), key="prompts", bind="query-params")
    scorers = selection.options(toxicity[toxicity["prompt_set"] == prompt_set]["scorer"])
    scorer = st.selectbox(
        "Scorer",
        scorers,
        key="scorer",
        bind="query-params",
        help=_scorer_help(rows.scorers(context), scorers),
    )
    view = st.selectbox(
        "Compare at",
        [selection.MATCHED, selection.FIXED, selection.EVERY],
        key="view",
        bind="query-params",
        help=VIEW_HELP,
    )
    if not in_use:
        st.caption("These three are not used on this page.")
    return Choice(prompt_set, scorer, str(view))


def _scorer_help(table: pd.DataFrame, names: list[str]) -> str:
    """What the scorers to choose from were trained on, and where that overlaps with the study's text."""
    lines = []
    for row in records(table[table["name"].isin(names)].drop_duplicates("name", keep="last")):
        words = (f"**{plain(row.name)}** was trained on: {plain(row.trained_on)}", row.overlap, row.note)
        lines.append(" ".join(part for part in words if part))
    return "\n\n".join(lines)


def status_badge(context: Context) -> None:
    """The study's state in a word or two."""
    progress = rows.study_progress(context)
    with st.container(key="study_status"):
        if progress.active:
            st.badge(f"Running, {progress.fraction:.0%}", icon=":material/play_circle:", color="blue")
        elif progress.is_gone:
            st.badge("Stopped: its process is gone", icon=":material/power_off:", color="orange")
        elif progress.running:
            st.badge("No sign of life", icon=":material/pause_circle:", color="orange")
        elif progress.failed:
            st.badge(f"{progress.failed} failed", icon=":material/error:", color="red")
        elif progress.finished:
            st.badge("Finished", icon=":material/check_circle:", color="green")
        else:
            st.badge("Not finished", icon=":material/pending:", color="gray")
        reference_note.badge(context)
