"""What every worker process needs, imported once by the server that they are forked from."""

import gc

gc.disable()
from hormesis.pipeline import stages  # noqa: E402, F401
from hormesis.pipeline.training import train  # noqa: E402, F401

gc.freeze()  # what is imported stays, and is never walked again: its pages stay shared after the fork
gc.enable()
