"""How often pages look for changes and redraw by themselves, so that many viewers cost a study little.

All that pages do unasked, for every viewer together, is kept to a small share of the machine: the more
viewers and the dearer their pages, the longer the pauses. What a person does is answered at once, whatever
the pace. Knows seconds of processor time and who is here, no page.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from threading import Lock
from typing import ParamSpec

import streamlit as st

P = ParamSpec("P")
SHARE = 0.02
"""Of all processors, for everything that happens unasked."""
LOOK, REDRAW = 2.0, 4.0
"""Seconds between two looks at the database and between two redraws, at least."""
LONGEST = 120.0
ANSWER_FIRST = 1.0
"""Seconds the first chart of a session has for itself before the rest of its page is sent."""
AROUND = 0.003
"""Processor seconds that Streamlit spends around one run of a page or a part of it (measured)."""
GUESS = {"page": 0.05}
"""Processor seconds of a run before any was measured; of a part that ticks, `AROUND`."""
GONE_AFTER = 30.0
"""Seconds, beside three pauses, after which a viewer who was not heard of is no longer counted."""
_PAGE = "page"
_KEY = "_viewer"
_ANSWERED = "_answered"


@dataclass
class _Viewer:
    last_heard: float
    parts: set[str] = field(default_factory=set)


class Pace:
    """Who is here, what their pages cost, and the pauses that follow. Safe in threads."""

    def __init__(self, processors: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._half = SHARE * processors / 2
        self._clock = clock
        self._lock = Lock()
        self._viewers: dict[str, _Viewer] = {}
        self._costs: dict[str, float] = {}

    def begin(self, viewer: str) -> None:
        """A page is drawn anew for a viewer: which of its parts tick is told again by `part`."""
        with self._lock:
            self._viewers[viewer] = _Viewer(self._clock())

    def part(self, viewer: str, name: str) -> None:
        """A part of the viewer's page ticks by itself."""
        with self._lock:
            self._viewers.setdefault(viewer, _Viewer(self._clock())).parts.add(name)

    def took(self, viewer: str, name: str, seconds: float) -> None:
        """A run of a part, or of the whole page, took so many seconds of processor time."""
        with self._lock:
            old = self._cost(name)
            # A single run that also loaded libraries or read rows anew says little about the next ones.
            self._costs[name] = 0.8 * old + 0.2 * min(seconds + AROUND, 3 * old)
            if viewer in self._viewers:
                self._viewers[viewer].last_heard = self._clock()

    def look_every(self) -> float:
        """Seconds between two ticks of a part of a page."""
        with self._lock:
            self._forget_gone()
            return self._look()

    def redraw_every(self) -> float:
        """Seconds from one drawing of a page to the next that nobody asked for."""
        with self._lock:
            self._forget_gone()
            cost = len(self._viewers) * self._cost(_PAGE)
            return min(max(REDRAW, cost / self._half), LONGEST)

    def _look(self) -> float:
        cost = sum(self._cost(name) for viewer in self._viewers.values() for name in viewer.parts)
        return min(max(LOOK, cost / self._half), LONGEST)

    def _cost(self, name: str) -> float:
        return self._costs.get(name, GUESS.get(name, AROUND))

    def _forget_gone(self) -> None:
        oldest = self._clock() - GONE_AFTER - 3 * self._look()
        for name in [name for name, viewer in self._viewers.items() if viewer.last_heard < oldest]:
            del self._viewers[name]


PACE = Pace(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def session_name() -> str:
    """The session of whoever looks, by a name that says nothing else."""
    return str(st.session_state.setdefault(_KEY, uuid.uuid4().hex))


def answer_first() -> None:
    """Called behind the first chart of a page: where the session has just begun, lets it be drawn first.

    A browser that gets everything at once lays out all of it before it draws the chart, which takes half a
    second longer (measured on two cores); what comes behind would not be there sooner.
    """
    if not st.session_state.get(_ANSWERED):
        st.session_state[_ANSWERED] = True
        time.sleep(ANSWER_FIRST)


@contextmanager
def whole_page() -> Iterator[None]:
    """Round the drawing of a whole page: who looks at it, and what it costs."""
    viewer, begun = session_name(), time.thread_time()
    PACE.begin(viewer)
    try:
        yield
    finally:
        PACE.took(viewer, _PAGE, time.thread_time() - begun)


def ticking(function: Callable[P, None]) -> Callable[P, None]:
    """A part of a page that redraws itself at this pace; like `st.fragment(run_every=...)`."""
    name = f"{function.__module__}.{function.__qualname__}"

    @wraps(function)
    def measured(*args: P.args, **options: P.kwargs) -> None:
        begun = time.thread_time()
        try:
            function(*args, **options)
        finally:
            PACE.took(session_name(), name, time.thread_time() - begun)

    @wraps(function)
    def drawn(*args: P.args, **options: P.kwargs) -> None:
        PACE.part(session_name(), name)
        st.fragment(measured, run_every=PACE.look_every())(*args, **options)

    return drawn
