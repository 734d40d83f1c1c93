"""One run per study, one training per folder: locks that the system lets go of however a process ends."""

from __future__ import annotations

import fcntl
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hormesis.db.run_lock import lock_note, lock_path

POLL_SECONDS = 0.5


class AlreadyRunning(ValueError):
    """Another process runs this study."""


@contextmanager
def study_lock(home: Path, study_hash: str, *, side_by_side: bool = False) -> Iterator[None]:
    """Hold the study's lock, beside others that hold it `side_by_side` if this one does.

    Raises AlreadyRunning where another process holds it otherwise.
    """
    path = lock_path(home, study_hash)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as handle:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if side_by_side else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            process, _, host = handle.read().strip().rpartition("\n")[2].partition(" ")
            where = f" on {host}" if host and host != platform.node() else ""
            raise AlreadyRunning(
                f"this study is being run by process {process or 'unknown'}{where}; "
                "wait for it or stop it first"
            ) from None
        if not side_by_side:
            handle.truncate(0)
        handle.write(lock_note())
        handle.flush()
        yield


@contextmanager
def taking_turns(home: Path, key: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of files that two studies share; wait where another process holds it.

    `waiting` is called while waiting and may raise to give up.
    """
    folder = home / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{key}.lock").open("a+") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waiting()
                time.sleep(POLL_SECONDS)
        yield
