"""What every worker process needs, imported once by the server that they are forked from."""

import contextlib
import gc
import sys
from types import TracebackType


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Of a worker that ends before its task begins; that memory ran out is told by whoever waits for it."""
    if not (isinstance(error, MemoryError) or "failed to map segment" in str(error)):
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _report
gc.disable()
with contextlib.suppress(MemoryError):  # a worker that is short of memory too says so in a line
    from hormesis.pipeline.execution.deferred import Deferred
    from hormesis.pipeline.stages import GRAPH
    from hormesis.pipeline.training import train  # noqa: F401

    WORK = [stage.run.function for stage in GRAPH.stages if isinstance(stage.run, Deferred)]

gc.freeze()  # what is imported stays, and is never walked again: its pages stay shared after the fork
gc.enable()
