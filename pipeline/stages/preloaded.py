"""What every worker process needs, imported once by the server that they are forked from."""

import contextlib
import gc

gc.disable()
with contextlib.suppress(MemoryError):  # a worker that is short of memory too says so in a line
    from hormesis.pipeline import stages  # noqa: F401
    from hormesis.pipeline.training import train  # noqa: F401

gc.freeze()  # what is imported stays, and is never walked again: its pages stay shared after the fork
gc.enable()
