"""Processes of this machine: whether one runs, and how this one collects garbage."""

from __future__ import annotations

import gc
import math

import psutil


def collect_garbage_rarely() -> None:
    """Let a process that imports torch start faster: its libraries make half a million objects that stay.

    With Python's own threshold the collector walks them so often that it takes a sixth of the start.
    """
    gc.set_threshold(50_000, 20, 50)


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
