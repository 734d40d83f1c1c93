"""Chooses float32 or bfloat16 autocast by what is faster here, and says so once per run.

Weights, gradients and optimiser state are float32 either way; only matrix products change.
"""

from __future__ import annotations

import time
from typing import Literal

import torch
from torch import nn

Precision = Literal["float32", "bfloat16"]
SMALL = 5_000_000
"""Below this many weights float32 always wins on a CPU (measured: nano loses a third in bfloat16)."""
GAIN = 1.1
"""bfloat16 must be this much faster, or the noise of the clock decides."""
TOKENS = 1024
"""Tokens per timed step."""


def step_seconds(model: nn.Module, ids: torch.Tensor, precision: Precision, repeats: int = 2) -> float:
    """Seconds of the fastest of `repeats` training passes on `ids` [n, T], once warm; clears gradients."""
    device = ids.device.type
    fastest = float("inf")
    for repeat in range(repeats + 1):
        started = time.perf_counter()
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
            loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        if repeat:
            fastest = min(fastest, time.perf_counter() - started)
        model.zero_grad(set_to_none=True)
    return fastest


def choose_precision(
    model: nn.Module, wish: Literal["auto", "float32", "bfloat16"], sequence_length: int, vocabulary: int
) -> Precision:
    """The precision to train in: the wish, or by measurement on a CPU, or bfloat16 on a GPU that has it.

    The measurement depends on the machine and its load, so the answer belongs to the run's stored state, and
    arms that are to be compared should be given one answer (`wish`).
    """
    if wish != "auto":
        return wish
    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    if sum(weight.numel() for weight in model.parameters()) < SMALL:
        return "float32"
    n_sequences = max(1, TOKENS // sequence_length)
    generator = torch.Generator().manual_seed(0)  # leaves the global random state alone
    ids = torch.randint(vocabulary, (n_sequences, sequence_length), generator=generator)
    model.train()
    slow, fast = (step_seconds(model, ids, precision) for precision in ("float32", "bfloat16"))
    return "bfloat16" if slow > GAIN * fast else "float32"
