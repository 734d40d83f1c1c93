"""Telling how far a stage is and hearing that it should stop.

A stage gets a `Reporter`; each report may write a throttled heartbeat to its `stage_run` row, and raises
`Stopped` when the person has asked for a stop, so long work ends at the next batch and nowhere in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

Progress = Callable[[int, int], None]
HEARTBEAT_SECONDS = 0.5


class Stopped(Exception):
    """The person asked for a stop; what is finished is kept and the next run goes on from there."""


class Pace:
    """Lets work that recurs, such as a look at all rows, take a second, and then a twentieth of the time."""

    FREE = 1.0
    SHARE = 1 / 20

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._spent = 0.0

    def run(self, work: Callable[[], object]) -> None:
        """Do the work, unless it has taken more than its share up to now."""
        started = time.monotonic()
        if self._spent <= max(self.FREE, self.SHARE * (started - self._begun)):
            work()
            self._spent += time.monotonic() - started


class Sink(Protocol):
    """Receives a report: what is done, of how much, in which unit, and a line for the person."""

    def __call__(self, done: float, total: float, *, unit: str, message: str) -> None:
        """Take one report."""


class Reporter:
    """Progress of one stage, as callbacks of the shape `(done, total)` that the numerics know."""

    def __init__(
        self, sink: Sink, should_stop: Callable[[], bool], note: Callable[[str], None] = lambda line: None
    ) -> None:
        """`note` takes a line that the person is to read when the work has ended."""
        self.note = note
        self._sink = sink
        self._should_stop = should_stop
        self._last = 0.0
        self._message = ""

    @property
    def stopping(self) -> bool:
        """Whether a stop has been asked for."""
        return self._should_stop()

    def check(self) -> None:
        """Raise Stopped where a stop has been asked for."""
        if self._should_stop():
            raise Stopped("stopped by request")

    def say(self, message: str) -> None:
        """Change the line that says what is being done; shown with the next report."""
        self._message = message
        self._last = 0.0

    def report(self, done: float, total: float, unit: str = "") -> None:
        """Tell how far the work is. Raises Stopped where a stop has been asked for."""
        now = time.monotonic()
        if now - self._last >= HEARTBEAT_SECONDS or done >= total:
            self._last = now
            self._sink(float(done), float(total), unit=unit, message=self._message)
        self.check()

    def counting(self, unit: str) -> Progress:
        """A `(done, total)` callback that reports in this unit."""
        return lambda done, total: self.report(done, total, unit)


def silent() -> Reporter:
    """A reporter that shows nothing and never stops; for scripts and tests."""
    return Reporter(lambda done, total, unit, message: None, lambda: False)
