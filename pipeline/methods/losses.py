"""The losses of supervised and of preference fine-tuning, small and on plain tensors.

Knows batches of token ids with a mask of the tokens that count. The same mathematics as trl's trainers,
without their machinery; a test holds the numbers equal on the same batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from hormesis.backend.generation.batching import pad


@dataclass(frozen=True, eq=False)
class Completions:
    """Texts with the tokens that count: int64 `ids`, `attention` and `counted`, all [n, T], padded on the
    right.
    """

    ids: torch.Tensor
    attention: torch.Tensor
    counted: torch.Tensor
    """1 for tokens of the completion, whose probability is meant; 0 for the prompt and the padding."""


@dataclass(frozen=True, eq=False)
class PreferenceLoss:
    """What one batch of pairs says: `loss` to descend, and how well the pairs are told apart."""

    loss: torch.Tensor
    margins: torch.Tensor
    """[n]: beta times (chosen log-ratio - rejected log-ratio); above 0 where the chosen side is preferred
    more strongly than by the reference.
    """


def completions(
    prompts: Sequence[Sequence[int]], ends: Sequence[Sequence[int]], *, fill: int, device: torch.device
) -> Completions:
    """Batch prompts with their completions (`ends`), all token ids. `fill`: padding, which is masked out."""
    rows = [[*prompt, *end] for prompt, end in zip(prompts, ends, strict=True)]
    ids, attention = pad(rows, "right", fill, device=device)
    counted = np.zeros(tuple(ids.shape), np.int64)
    for index, (prompt, row) in enumerate(zip(prompts, rows, strict=True)):
        counted[index, len(prompt) : len(row)] = 1
    return Completions(ids, attention, torch.from_numpy(counted).to(device))


def token_log_probabilities(model: nn.Module, batch: Completions) -> torch.Tensor:
    """Log-probability of each counted token given those before it, [n, T - 1]; 0 where none counts."""
    output: Any = model(input_ids=batch.ids, attention_mask=batch.attention, use_cache=False)
    targets = batch.ids[:, 1:].masked_fill(batch.counted[:, 1:] == 0, -100)
    logits = output.logits[:, :-1].float()
    flat = F.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), targets.reshape(-1), reduction="none", ignore_index=-100
    )
    return -flat.view(targets.shape)


def supervised_loss(model: nn.Module, batch: Completions) -> torch.Tensor:
    """Mean one-ahead cross-entropy in nats over the counted tokens (trl's SFT with completion_only_loss)."""
    counted = batch.counted[:, 1:].sum().clamp(min=1)
    return -token_log_probabilities(model, batch).sum() / counted


def sequence_log_probabilities(model: nn.Module, batch: Completions) -> torch.Tensor:
    """Summed log-probability of each completion, float32 [n]."""
    return token_log_probabilities(model, batch).sum(dim=1)


def preference_loss(
    chosen: torch.Tensor, rejected: torch.Tensor, *, reference: Sequence[torch.Tensor], beta: float
) -> PreferenceLoss:
    """Direct preference optimisation (Rafailov et al. 2023, equation 7): -log sigmoid of the margin,
    averaged.

    All are summed log-probabilities [n] of the model being tuned; `reference`: chosen, then rejected, under
    the checkpoint it started from.
    """
    margins = beta * ((chosen - reference[0]) - (rejected - reference[1]))
    return PreferenceLoss(-F.logsigmoid(margins).mean(), margins.detach())
