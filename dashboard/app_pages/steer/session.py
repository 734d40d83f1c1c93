"""What the session remembers of its runs: what was asked for, and which is on show. Draws nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import streamlit as st

from hormesis.dashboard.app_pages.steer.catalogue import Offer
from hormesis.dashboard.app_pages.steer.run import LiveRun
from hormesis.dashboard.app_pages.steer.settings import LoadProblem, SessionSettings, request_of
from hormesis.db.contract.messages import GenerateRequest

LONGEST_HISTORY: Final = 20
_RUNS, _SHOWN, _COUNT = "_live_runs", "_live_shown", "_live_count"


@dataclass(frozen=True)
class Record:
    """A run with the names of its panes and the controls it was started by."""

    run: LiveRun
    names: tuple[str, ...]
    settings: SessionSettings
    study: str

    def is_of(self, settings: SessionSettings, offers: Sequence[Offer]) -> bool:
        """Whether these settings ask for this very run."""
        try:
            return request_of(settings, offers) == self.run.request
        except LoadProblem:
            return False


def records() -> list[Record]:
    """Runs of this session, the latest first."""
    runs: list[Record] = st.session_state.setdefault(_RUNS, [])
    return runs


def on_show() -> Record | None:
    """The run on show, or None before the first."""
    number = st.session_state.get(_SHOWN)
    return next((entry for entry in records() if entry.run.number == number), None)


def show(number: int) -> None:
    """Put a run on show; for callbacks."""
    st.session_state[_SHOWN] = number


def start(
    address: str,
    request: GenerateRequest,
    pane_names: tuple[str, ...],
    *,
    settings: SessionSettings,
    study: str,
) -> Record:
    """Begin a run and put it on show; those that still stream are ended first."""
    runs = records()
    for entry in runs:
        if entry.run.snapshot().active:
            entry.run.stop()
    number = st.session_state[_COUNT] = int(st.session_state.get(_COUNT, 0)) + 1
    started = Record(LiveRun(address, request, number).start(), pane_names, settings, study)
    runs.insert(0, started)
    del runs[LONGEST_HISTORY:]
    show(number)
    return started
