"""What the session remembers of its runs: what was asked for, and which is on show. Draws nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import streamlit as st

from dashboard.live.run import LiveRun
from dashboard.live.settings import Settings
from db.contract.messages import GenerateRequest

LONGEST_HISTORY: Final = 20
_RUNS, _SHOWN, _COUNT = "_live_runs", "_live_shown", "_live_count"


@dataclass(frozen=True)
class Record:
    """A run with the names of its panes and the controls it was started by."""

    run: LiveRun
    names: tuple[str, ...]
    settings: Settings
    study: str


def records() -> list[Record]:
    """Runs of this session, the latest first."""
    kept: list[Record] = st.session_state.setdefault(_RUNS, [])
    return kept


def shown() -> Record | None:
    """The run on show, or None before the first."""
    number = st.session_state.get(_SHOWN)
    return next((one for one in records() if one.run.number == number), None)


def show(number: int) -> None:
    """Put a run on show; for callbacks."""
    st.session_state[_SHOWN] = number


def start(
    address: str, request: GenerateRequest, names: tuple[str, ...], settings: Settings, study: str
) -> Record:
    """Begin a run and put it on show; those that still stream are ended first."""
    kept = records()
    for one in kept:
        if one.run.snapshot().active:
            one.run.stop()
    number = st.session_state[_COUNT] = int(st.session_state.get(_COUNT, 0)) + 1
    made = Record(LiveRun(address, request, number).start(), names, settings, study)
    kept.insert(0, made)
    del kept[LONGEST_HISTORY:]
    show(number)
    return made
