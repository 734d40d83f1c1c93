"""What every worker process needs, imported once by the server that they are forked from."""

import gc

gc.disable()
from hormesis.pipeline.execution.deferred import Deferred  # noqa: E402
from hormesis.pipeline.stages import GRAPH  # noqa: E402
from hormesis.pipeline.training import train  # noqa: E402, F401

WORK = [stage.run.function for stage in GRAPH.stages if isinstance(stage.run, Deferred)]

gc.freeze()  # what is imported stays, and is never walked again: its pages stay shared after the fork
gc.enable()
