"""What every worker process needs, imported once by the server that they are forked from."""

import contextlib
import errno
import gc
import sys
from types import TracebackType
from typing import Any


def _is_shortage(error: BaseException | None) -> bool:
    """Whether memory ran out, which whoever waits for the worker tells in a line."""
    is_refused = isinstance(error, OSError) and error.errno == errno.ENOMEM
    return is_refused or isinstance(error, MemoryError) or "failed to map segment" in str(error)


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Of a worker that ends before its task begins."""
    if not _is_shortage(error):
        sys.__excepthook__(kind, error, trace)


def _report_ignored(ignored: Any) -> None:
    """Of functions that run as a worker ends."""
    if not _is_shortage(ignored.exc_value):
        sys.__unraisablehook__(ignored)


sys.excepthook, sys.unraisablehook = _report, _report_ignored
gc.disable()
with contextlib.suppress(MemoryError):  # a worker that is short of memory too says so in a line
    from hormesis.pipeline.execution.deferred import Deferred
    from hormesis.pipeline.stages import GRAPH
    from hormesis.pipeline.training import train  # noqa: F401

    WORK = [stage.run.function for stage in GRAPH.stages if isinstance(stage.run, Deferred)]

gc.freeze()  # what is imported stays, and is never walked again: its pages stay shared after the fork
gc.enable()
