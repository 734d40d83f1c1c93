"""Designed states: nothing there yet, a problem, half-finished, silent."""

from __future__ import annotations

from typing import NoReturn

import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.base.wording import as_sentence, defect_words, degraded_words, gate_words, plain
from hormesis.dashboard.rows.context import Context
from hormesis.db.problems import DatabaseProblem

_COOKIE = "hormesis_note_read"
_REMEMBER = f"document.cookie = '{_COOKIE}=1; max-age=31536000; path=/; SameSite=Lax'"
_TITLES = {
    "missing": "No study yet",
    "empty": "No study yet",
    "locked": "The database is busy",
    "newer": "This database is from a newer version",
    "older": "This database is from an older version",
    "foreign": "This is not a study database",
    "corrupt": "The database cannot be read",
}


class PageEnd(Exception):
    """The rest of a page has nothing to show."""


def end_page() -> NoReturn:
    """End the page here, and only the page.

    After `st.stop()` nothing else of the script can run, so the part that watches the database would be gone
    and the page would never fill by itself.

    Raises:
        PageEnd: always; the entry point takes it.
    """
    raise PageEnd


def database_problem(problem: DatabaseProblem) -> None:
    """Say in one sentence what is wrong; the page looks again by itself."""
    title = _TITLES.get(problem.kind, "The database cannot be used")
    if problem.kind in ("missing", "empty"):
        st.info(
            f"{plain(as_sentence(str(problem)))} This page looks again every two seconds and "
            "fills by itself.",
            title=title,
            icon=":material/database:",
        )
        st.caption("A small study of its own, finished in minutes:")
        st.code("hormesis demo", language="bash")
        return
    st.warning(
        f"{plain(as_sentence(str(problem)))} This page looks again every two seconds.",
        title=title,
        icon=":material/database_off:",
    )


def not_yet(subject: str, *, after: str, running: bool) -> None:
    """There are no rows for a view yet: say which stage brings them."""
    when = "They appear here after" if running else "Run the study again; they are made by"
    st.info(f"No {subject} yet. {when} {after}.", icon=":material/hourglass_empty:")


def trained_elsewhere(lack: str) -> None:
    """Others trained all models of the study: say what it therefore lacks, such as `no loss curves`."""
    st.info(f"The models of this study were trained elsewhere, so there are {lack}.", icon=":material/info:")


def degraded_note(context: Context) -> None:
    """Say which checkpoints have attention in under half of their layers; nothing where none is so."""
    if words := degraded_words(rows.checkpoints(context)):
        st.caption(f":material/warning: {words}")


def empty_note(context: Context, prompt_set: str | None) -> None:
    """Say where too many texts are empty for scores to be trusted, and which conditions break models."""
    gate = gate_words(rows.summaries(context, name="empty", prompt_set=prompt_set))
    for words in filter(None, (gate, defect_words(rows.study_conditions(context)))):
        st.caption(f":material/warning: {words}")


TOUR = {
    "app_pages/overview/page.py": (
        "Says whether toxic training text helped: a line that dips below its own left end means that a dose "
        "of it left less toxicity after detoxification."
    ),
    "app_pages/tradeoffs/page.py": (
        "Sets toxicity against what detoxification costs, and against directions that mean nothing: where "
        "those take away as much, the toxicity direction is not the reason."
    ),
    "app_pages/geometry/page.py": (
        "Shows which attention heads tell toxic text from other text, and how much of that a reader of plain "
        "words tells too."
    ),
    "app_pages/steer/page.py": (
        "Lets you steer a model yourself, and read unsteered and steered text side by side."
    ),
}
"""The tour of a first visit, a sentence a page."""


def content_note() -> None:
    """The note of a first visit in one line, until it is read; the browser remembers that for a year."""
    if st.session_state.pop("_remember_note", False):
        st.html(f"<script>{_REMEMBER}</script>", unsafe_allow_javascript=True)
    if st.session_state.get("note_read") or _COOKIE in st.context.cookies:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="content_note"):
        st.caption(
            ":material/visibility_off: Some texts of models and data sets here are toxic; they are "
            "blurred until you click them.",
            width="content",
        )
        with st.popover("Where to look", icon=":material/tour:", type="tertiary", key="tour"):
            for page, sentence in TOUR.items():
                st.page_link(page)
                st.caption(sentence)
        st.button("Understood", key="note_button", on_click=_read_note, type="tertiary")


def _read_note() -> None:
    st.session_state["note_read"] = st.session_state["_remember_note"] = True
