"""Runs of the session, each of which can be opened again with its controls. Knows records and widgets."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from hormesis.dashboard.app_pages.steer import session
from hormesis.dashboard.app_pages.steer.catalogue import Offer
from hormesis.dashboard.app_pages.steer.restore import put_back
from hormesis.dashboard.app_pages.steer.settings import TEXTS, LoadProblem
from hormesis.dashboard.base.wording import plain

_PROBLEM = "_reopen_problem"


def history(offers: Sequence[Offer]) -> None:
    """A row for each run, the latest first; prompts are not repeated here, since they may hurt."""
    records = session.records()
    if len(records) < 2:
        return
    fold = st.expander(
        f"Runs of this session ({len(records)})", icon=":material/history:", key="history", on_change="rerun"
    )
    if not fold.open:
        return
    with fold:
        if st.session_state.get(_PROBLEM):
            st.warning(plain(st.session_state[_PROBLEM]), icon=":material/error:")
        record_on_show = session.on_show()
        for entry in records:
            _row(entry, record_on_show is entry, offers)


def _row(entry: session.Record, on_show: bool, offers: Sequence[Offer]) -> None:
    """One run of the session: a button that opens it, and its settings in words."""
    run, state = entry.run, entry.run.snapshot()

    def reopen() -> None:
        session.show(run.number)
        st.session_state.pop(_PROBLEM, None)
        try:
            put_back(entry.settings, offers)
        except LoadProblem as problem:
            st.session_state[_PROBLEM] = f"The texts are shown, the controls were left: {problem}"

    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "On show" if on_show else "Open",
            key=f"open_run_{run.number}",
            icon=":material/visibility:" if on_show else ":material/undo:",
            disabled=on_show,
            on_click=reopen,
        )
        request = run.request
        sampling = f"{TEXTS[request.samples]}, {request.new_tokens} tokens, "
        sampling += f"temperature {request.temperature:g}, sampling seed {request.seed}"
        # As plain text: names of checkpoints are anybody's.
        st.text(f"Run {run.number}, {state.status}: {sampling}; {'; '.join(entry.names)}")
