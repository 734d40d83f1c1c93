"""What benchmarks print of a piece of work: how much of the machine it uses, its memory, a ratio, the slope.

Floating point operations are those of the linear layers alone, so that shares are a little too low. Time is
processor time of one thread: it tells more than a clock on a machine that does other work.
"""

from __future__ import annotations

import ctypes
import gc
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from hormesis.backend.model.loaded import LoadedModel
from hormesis.pipeline.study.scales import SHAPES, Scale
from tests.fixtures.tiny import tiny_loaded

SIZES: tuple[Scale, ...] = ("nano", "mini", "small")
VOCABULARY = 8192


@dataclass(frozen=True)
class Use:
    """One piece of work: processor seconds, operations, and the memory it took beyond what was there."""

    seconds: float
    operations: float
    mebibytes: float


def processor_seconds(work: Callable[[], object], rounds: int = 3) -> float:
    """The fastest of some rounds, once warm."""
    work()
    times = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def peak(dtype: torch.dtype) -> float:
    """Operations a second of a large square matrix product on one thread."""
    first, second = (torch.randn(1536, 1536).to(dtype) for _ in range(2))
    with torch.inference_mode():
        return 2 * 1536**3 / processor_seconds(lambda: first @ second, 5)


def used(work: Callable[[], object], operations: float, rounds: int = 3) -> Use:
    """Measure a piece of work of so many operations."""
    seconds = processor_seconds(work, rounds)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what earlier work has given back counts as free
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the high-water mark begins anew
    before = _status("VmRSS")
    work()
    return Use(seconds, operations, (_status("VmHWM") - before) / 1024)


def _status(field: str) -> int:
    """Kilobytes of a field of this process's memory."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def model_of(scale: Scale, dtype: torch.dtype = torch.float32) -> LoadedModel:
    """A random model of a scale's shape and a context of 256."""
    shape = SHAPES[scale]
    return tiny_loaded(
        "olmo", hidden_size=shape.width, num_attention_heads=shape.heads, num_key_value_heads=shape.heads,
        num_hidden_layers=shape.layers, intermediate_size=shape.ffn, vocab_size=VOCABULARY,
        max_position_embeddings=256, dtype=dtype,
    )  # fmt: skip


def operations_per_token(model: nn.Module, *, logits: bool = True) -> float:
    """Operations of the linear layers on one token; `logits`: with those of the output embedding."""
    layers = {name: part for name, part in model.named_modules() if isinstance(part, nn.Linear | Conv1D)}
    return sum(2 * part.weight.numel() for name, part in layers.items() if logits or "lm_head" not in name)


def table(work_name: str, rows: Mapping[Scale, tuple[Use, str]], limit: float) -> None:
    """Print a row per size, with its ratio in words, and the slope: the power of the operations that time
    grows with."""
    for size, (use, ratio) in rows.items():
        rate = use.operations / use.seconds
        print(
            f"{work_name:<11} {size:<6} {rate / 1e9:6.1f} GFLOP/s {rate / limit:5.0%} of {limit / 1e9:.0f} "
            f"{use.mebibytes:6.0f} MiB  {ratio}",
            flush=True,
        )
    uses = [use for use, _ in rows.values()]
    if len(uses) > 1:
        growth = math.log(uses[-1].seconds / uses[0].seconds)
        print(f"{work_name:<11} slope  {growth / math.log(uses[-1].operations / uses[0].operations):.2f}")
