"""Which process runs a study: read from the home's lock files and the process table, without touching a lock.

Taking a lock only to look at it could turn away a run that starts in that moment. So a holder is believed
when the process named in the lock file has that very file open, which also rules out a process id that was
given to another program since.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Holder:
    """The process that holds a study's lock on this machine."""

    pid: int
    started: float
    """Seconds since 1970 at which the process began; tells it from a later one of the same id."""


def lock_path(home: Path, study_hash: str) -> Path:
    """Where the lock of a study lies."""
    return home / "locks" / f"{study_hash}.lock"


def lock_note() -> str:
    """The line that a runner writes into its lock: its process id and its machine."""
    return f"{os.getpid()} {platform.node()}\n"


def noted(home: Path, study_hash: str) -> list[tuple[int, str]]:
    """Process ids and machines that the lock file names, whether or not they still run."""
    try:
        lines = lock_path(home, study_hash).read_text(encoding="utf-8").splitlines()
        parts = [line.strip().partition(" ") for line in lines]
        return [(int(pid), host.strip() or platform.node()) for pid, _, host in parts]
    except (OSError, ValueError):
        return []


def holder_of(home: Path, study_hash: str) -> Holder | None:
    """The process on this machine that runs a study, or the first of several arms; None where none does."""
    pids = [pid for pid, host in noted(home, study_hash) if host == platform.node()]
    holders = (_having_open(pid, lock_path(home, study_hash)) for pid in pids)
    return next(filter(None, holders), None)


def _having_open(pid: int, path: Path) -> Holder | None:
    """The process `pid` where it has the file `path` open; None where it has not, or cannot be asked."""
    try:
        process = psutil.Process(pid)
        lock_status = path.stat()
        for open_file in process.open_files():
            file_status = Path(open_file.path).stat()
            if (file_status.st_dev, file_status.st_ino) == (lock_status.st_dev, lock_status.st_ino):
                return Holder(pid, process.create_time())
    except (psutil.Error, OSError):
        return None
    return None
