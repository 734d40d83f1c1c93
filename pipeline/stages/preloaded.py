"""What every worker process needs, imported once by the server that they are forked from."""

import contextlib
import gc
import sys
from types import TracebackType
from typing import Any

from hormesis.pipeline.execution.shortage import is_memory


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Of a worker that ends before its task begins; that memory ran out is told by whoever waits for it."""
    if not is_memory(error):
        sys.__excepthook__(kind, error, trace)


def _report_ignored(ignored: Any) -> None:
    """Of functions that run as a worker ends."""
    if not is_memory(ignored.exc_value):
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
