"""Weight attacks: quantisation (rounded to few bits) and fine-tuning under the steering (relearning).

The weights are given back as they were, also after an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from hormesis.backend.model.loaded import LoadedModel
from hormesis.backend.model.soundness import require_converging
from hormesis.backend.model.steering import RowSteering, steered

GROUP = 32
"""Weights that share one scale at 4 bits, along the input."""
SCHEMES = {8: "one scale per output channel", 4: f"one scale per group of {GROUP} inputs"}


@contextmanager
def restored_weights(loaded: LoadedModel) -> Iterator[None]:
    """Put every weight back, bit for bit, when the block ends. Holds a second copy meanwhile."""
    copies = {name: weight.detach().clone() for name, weight in loaded.model.named_parameters()}
    weights_hash = loaded._hash
    try:
        yield
    finally:
        with torch.no_grad():
            for name, weight in loaded.model.named_parameters():
                weight.copy_(copies[name])
                weight.grad = None
        loaded._hash = weights_hash


def rounded(weight: torch.Tensor, bits: int) -> torch.Tensor:
    """A matrix `(out, in)` rounded to the nearest of `2**bits - 1` symmetric levels, back in its own dtype.

    8 bits: one scale per output channel; 4 bits: one per group of 32 inputs (the last group may be shorter).
    Raises ValueError for other numbers of bits.
    """
    if bits not in SCHEMES:
        raise ValueError(f"weights can be rounded to 8 or 4 bits, not {bits}")
    top = 2 ** (bits - 1) - 1
    width = weight.shape[1] if bits == 8 else GROUP
    parts = []
    for part in torch.split(weight.float(), width, dim=1):
        scale = (part.abs().amax(1, keepdim=True) / top).clamp(min=torch.finfo(torch.float32).tiny)
        parts.append((part / scale).round().clamp(-top, top) * scale)
    return torch.cat(parts, 1).to(weight.dtype)


@contextmanager
def quantised(loaded: LoadedModel, bits: int) -> Iterator[int]:
    """Round the weights of every linear map but the output layer, in place; yields how many weights.

    Weight-only, round to nearest, no calibration: the plainest scheme there is. Activations, embeddings,
    norms and the steering stay as they are.
    """
    head = loaded.model.get_output_embeddings()
    n_weights = 0
    with restored_weights(loaded):
        with torch.no_grad():
            for module in loaded.model.modules():
                if module is head or not isinstance(module, nn.Linear | Conv1D):
                    continue
                weight = module.weight.T if isinstance(module, Conv1D) else module.weight
                weight.copy_(rounded(weight, bits))
                n_weights += weight.numel()
        yield n_weights


def relearn(
    loaded: LoadedModel,
    batches: Iterator[torch.Tensor],
    row: RowSteering,
    *,
    stops: Sequence[int],
    learning_rate: float,
    measure: Callable[[int, float | None], bool],
    check: Callable[[], None] = lambda: None,
) -> None:
    """Fine-tune all weights on `batches` of ids `(rows, tokens)` while the steering stays on.

    measure: called with the number of steps done and the mean loss since the last call (None at 0), at 0 and
    at each of `stops` (ascending); returns True to end early. AdamW, constant rate, no weight decay,
    gradients clipped at norm 1. Every position is steered, as in every teacher-forced pass. The weights are
    given back as they were. Raises ValueError where the batches run out, Diverged where
    a loss is not finite.
    """
    with restored_weights(loaded):
        if measure(0, None):
            return
        with torch.enable_grad():
            optimiser = torch.optim.AdamW(
                loaded.model.parameters(), lr=learning_rate, weight_decay=0.0, betas=(0.9, 0.95)
            )
        step, loss_sum = 0, 0.0
        for stop in stops:
            n_steps = stop - step
            while step < stop:
                check()
                ids = next(batches, None)
                if ids is None:
                    raise ValueError(f"the text for relearning ended after {step} steps")
                loss = _step(loaded, optimiser, ids.to(loaded.device), row=row)
                step += 1
                require_converging(
                    [loss], "relearning", step, stops[-1],
                    setting="hardness.relearn.learning_rate", rate=learning_rate,
                )  # fmt: skip
                loss_sum += loss
            if measure(step, loss_sum / max(1, n_steps)):
                return
            loss_sum = 0.0


def _step(
    loaded: LoadedModel, optimiser: torch.optim.Optimizer, ids: torch.Tensor, *, row: RowSteering
) -> float:
    """One optimiser step on ids `(rows, tokens)` steered by `row`; returns the mean loss before it, nats."""
    with torch.enable_grad(), steered(loaded, row, first=0):
        loss = loaded.model(input_ids=ids, labels=ids, use_cache=False).loss
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
    torch.nn.utils.clip_grad_norm_(loaded.model.parameters(), 1.0)
    optimiser.step()
    return float(loss.detach())
