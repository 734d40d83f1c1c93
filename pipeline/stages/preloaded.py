"""What every worker process needs, imported once by the server that they are forked from."""

import contextlib
import gc

gc.disable()
with contextlib.suppress(MemoryError):  # a worker that is short of memory too says so in a line
    from hormesis.pipeline.execution.deferred import Deferred
    from hormesis.pipeline.stages import GRAPH
    from hormesis.pipeline.training import train  # noqa: F401

    WORK = [stage.run.function for stage in GRAPH.stages if isinstance(stage.run, Deferred)]

gc.freeze()  # what is imported stays, and is never walked again: its pages stay shared after the fork
gc.enable()
