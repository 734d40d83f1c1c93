"""`torch.compile` for training: a model's passes as fused kernels of an accelerator."""

from __future__ import annotations

import importlib.util

import torch
from torch import nn

from hormesis.pipeline.training.loop import TrainingError


def require_compiler() -> None:
    """Raise TrainingError where models cannot be compiled: without a CUDA device, or its compiler, triton.

    On a CPU compiling takes longer than it saves at the scales that are trained there.
    """
    if not torch.cuda.is_available():
        raise TrainingError("training.compile needs a CUDA device, and there is none: leave it out")
    if importlib.util.find_spec("triton") is None:
        raise TrainingError("training.compile needs the package triton: pip install triton, or leave it out")


def compile_passes(model: nn.Module) -> None:
    """Compile the model in place when it is first called; names of weights and files stay as they are."""
    require_compiler()
    model.compile()
