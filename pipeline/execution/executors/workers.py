"""Worker processes that run arms side by side, each with its own engine and its own share of the cores.

Workers are forked from a server process that has imported torch and the stages once. A worker ends with the
process that asked for it, however that ends: an orphan would go on writing under a new run's feet.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, forkserver
from multiprocessing.context import BaseContext
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from hormesis.pipeline.execution.shortage import require_memory

_stop: Event | None = None

PARENT_CHECK_SECONDS, START_SECONDS = 0.5, 60
PRELOADED = "hormesis.pipeline.stages.preloaded"
"""The module that imports what every worker needs; the server does so once for all of them."""
TWO_THREADS = 5_000_000
"""Parameters from which a second thread serves: with 0.5M, two threads take 1.5 times as long on two free
cores and six times as long on busy ones, since each waits for the other at every product."""


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_of(processes: int = 1, *, parameters: int = TWO_THREADS) -> int:
    """Threads for each of so many processes: OMP_NUM_THREADS where it is set, else the cores among them.

    One for models of fewer `parameters` than TWO_THREADS.
    """
    stated = os.environ.get("OMP_NUM_THREADS", "")
    if stated.isdigit() and int(stated):
        return int(stated)
    return 1 if parameters < TWO_THREADS else max(1, cores() // processes)


def is_distributed() -> bool:
    """Whether `torchrun` started this process."""
    return {"LOCAL_RANK", "WORLD_SIZE"} <= os.environ.keys()


def stop_requested() -> bool:
    """Inside a worker: whether the parent asked for a stop."""
    return _stop is not None and _stop.is_set()


def process_context() -> BaseContext:
    """How workers start: forked from a server on Linux, spawned elsewhere.

    CUDA does not survive a fork, and whether importing a library opens it cannot be known beforehand.
    """
    if sys.platform != "linux" or Path("/dev/nvidiactl").exists():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOADED])
    return context


def start_server() -> None:
    """Have the server import what workers need, beside this process's own imports. Raises MemoryLimited."""
    require_memory()
    if process_context().get_start_method() == "forkserver":
        old_value = os.environ.get("PYTHONSAFEPATH")
        os.environ["PYTHONSAFEPATH"] = "1"  # a `random.py` in the user's folder is not the library's
        forkserver.ensure_running()
        if old_value is None:
            del os.environ["PYTHONSAFEPATH"]


def _end_with_the_run() -> None:
    """End this process when the process that asked for it ends, or the server that it was forked from.

    The server's end is no sign of the run's: it waits for the last worker, which holds its pipe too.
    """
    run, parent = multiprocessing.parent_process(), os.getppid()
    assert run is not None, "not in a worker"
    sentinel = run.sentinel

    def watch() -> None:
        while os.getppid() == parent and not connection.wait([sentinel], PARENT_CHECK_SECONDS):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="run-watch").start()


def _start(stop: Event, environment: Mapping[str, str], threads: int) -> None:
    """Prepare a worker; `stop` is set to ask it to stop, `threads` are those of torch and the BLAS."""
    global _stop  # noqa: PLW0603  (one worker process, one event; an initializer has no other way to hand it on)
    _stop = stop
    # Where memory is short a thread may never start, and is waited for without end.
    signal.alarm(START_SECONDS)
    os.environ.clear()
    os.environ.update(environment)  # the server's may be older than the request
    # The parent decides what Ctrl-C means; a worker that died of it could not mark its stage as stopped.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_the_run()
    limit_threads(threads)
    signal.alarm(0)


def limit_threads(threads: int) -> None:
    """Give torch and the BLAS this many threads in this process, and no more."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(threads)
    threadpool_limits(threads)  # the BLAS was loaded before the environment said so


class Workers:
    """A pool of workers that stop at the next batch when asked and never outlive the parent."""

    def __init__(self, count: int, threads: int) -> None:
        start_server()
        self._context = process_context()
        self._stop = self._context.Event()
        self._threads = threads
        self.count = count
        self._pool = self._make(count)

    def _make(self, count: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            max_workers=count,
            mp_context=self._context,
            initializer=_start,
            initargs=(self._stop, dict(os.environ), self._threads),
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
