"""Running work in a thread while the main thread keeps the display alive and hears Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

T = TypeVar("T")
POLL_SECONDS = 0.5


@contextmanager
def stop_on_ctrl_c(stop: Callable[[], None]) -> Iterator[None]:
    """First Ctrl-C asks for a stop at the next batch; a second one ends the process at once."""

    def ask(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop()

    try:
        old_interrupt = signal.signal(signal.SIGINT, ask)
        old_terminate = signal.signal(signal.SIGTERM, ask)
    except ValueError:  # not in the main thread: the caller handles signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old_interrupt)
        signal.signal(signal.SIGTERM, old_terminate)


class Background:
    """One piece of work at a time, and the wish that it stop."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._stop.is_set()

    def ask_to_stop(self) -> None:
        """Have the work end at its next report."""
        self._stop.set()

    def run(self, work: Callable[[], T], look: Callable[[], object]) -> T:
        """Run work to its end, calling `look` about twice a second; raises what the work raised."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            future = pool.submit(work)
            try:
                while not future.done():
                    wait([future], timeout=POLL_SECONDS)
                    look()
            except BaseException:
                # The pool waits for the work before it lets the exception through.
                self.ask_to_stop()
                raise
            return future.result()
