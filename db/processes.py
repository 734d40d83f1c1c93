"""Whether a process of this machine runs, told apart from a later one that was given the same id."""

from __future__ import annotations

import math

import psutil


def is_running(pid: int, since: float = math.inf) -> bool:
    """Whether the process with this id runs and is one that existed at `since` (seconds since 1970).

    A zombie does not run; a process that may not be looked at does.
    """
    try:
        process = psutil.Process(pid)
        began: float = process.create_time()
        return process.status() != psutil.STATUS_ZOMBIE and began <= since + 1.0
    except psutil.AccessDenied:
        return True
    except psutil.Error:
        return False
