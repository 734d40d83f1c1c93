"""Worker processes that run arms side by side, each with its own engine and its own share of the cores.

A worker ends with its parent, however the parent ends: an orphan would go on writing under a new run's feet.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event
from typing import Any

_stop: Event | None = None

PARENT_CHECK_SECONDS = 0.5
PR_SET_PDEATHSIG = 1


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def stop_requested() -> bool:
    """Inside a worker: whether the parent asked for a stop."""
    return _stop is not None and _stop.is_set()


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()


def _start(stop: Event, parent: int, threads: int) -> None:
    global _stop  # noqa: PLW0603  (one worker process, one event; an initializer has no other way to hand it on)
    _stop = stop
    # The parent decides what Ctrl-C means; a worker that died of it could not mark its stage as stopped.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with(parent)
    limit_threads(threads)


def limit_threads(threads: int) -> None:
    """Give torch and the BLAS this many threads in this process, and no more."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import torch

    torch.set_num_threads(threads)


class Workers:
    """A pool of spawned workers that stop at the next batch when asked and never outlive the parent."""

    def __init__(self, count: int, threads: int) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._stop = self._context.Event()
        self._threads = threads
        self.count = count
        self._pool = self._make(count)

    def _make(self, count: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            max_workers=count,
            mp_context=self._context,
            initializer=_start,
            initargs=(self._stop, os.getpid(), self._threads),
        )

    def start_again(self, count: int) -> None:
        """Put a fresh pool in the place of one that a dying worker broke."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = self._make(count)

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Queue work; gives back its future, which holds BrokenProcessPool where a worker has died."""
        try:
            return self._pool.submit(work, *arguments)
        except BrokenProcessPool as error:
            broken: Future[Any] = Future()
            broken.set_exception(error)
            return broken

    def ask_to_stop(self) -> None:
        """Have every worker stop at its next report."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._stop.is_set()

    def close(self, wait: bool = True) -> None:
        """End the workers."""
        self._pool.shutdown(wait=wait, cancel_futures=True)
