"""Sampling the next token (temperature, nucleus), seeded per row so that batches do not change a row's text.

Nothing here keeps state: the number used at step
t of a row is the t-th of that row's own counter-based generator (Philox, Salmon et al. 2011).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from hormesis.backend.model.sites import ModelError

SMALLEST = 1e-6
"""Temperature; below it quotients are beyond float32, and sampling is greedy anyway."""
LOOKS = (256, 4096)
"""Candidates looked at before the whole vocabulary is sorted; the nucleus is mostly among the first."""


def uniforms(seeds: Sequence[int], steps: int) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), `(rows, steps)`: row i depends on `seeds[i]` alone, and so does any prefix.

    seeds: non-negative integers below 2**64.
    """
    noise = np.empty((len(seeds), steps), np.float64)
    for row, seed in enumerate(seeds):
        noise[row] = np.random.Generator(np.random.Philox(key=int(seed))).random(steps)
    return noise


def draw(
    logits: torch.Tensor, noise: NDArray[np.float64], *, temperature: float, top_p: float
) -> torch.Tensor:
    """Next token of each row, int64 `(rows,)`, from logits `(rows, vocabulary)` and one number per row.

    temperature 0, or one too small to divide by, takes the likeliest token. Otherwise the nucleus (Holtzman
    et al. 2020: the fewest likeliest tokens that hold `top_p` of the probability; tokens tied with the last
    of them are in) is laid out in vocabulary order and `noise` picks a place in it. Vocabulary order, rather
    than order of probability, keeps the choice steady when rounding swaps two nearly equal tokens. Raises
    ModelError for logits that are not finite.
    """
    if not bool(torch.isfinite(logits.amax(-1)).all()):
        raise ModelError("the model gives numbers that are not finite for this text: its weights are no good")
    if temperature < SMALLEST:
        return logits.argmax(-1)
    chances = torch.softmax(logits.float() if temperature == 1.0 else logits.float() / temperature, -1)
    numbers = torch.from_numpy(noise).to(chances.device)
    return _in_nucleus(chances, numbers, top_p, looks=LOOKS) if top_p < 1.0 else _place(chances, numbers)


def _in_nucleus(
    chances: torch.Tensor, noise: torch.Tensor, top_p: float, *, looks: Sequence[int]
) -> torch.Tensor:
    """The choice among each row's nucleus, looked for among as many candidates as `looks` names, then all.

    A row goes on to the next look where its nucleus, or a token tied with its last, may lie further down.
    Sums over the other tokens, which are zeros, change nothing, so the choice is the very same.
    """
    n_best = next((count for count in looks if chances.shape[-1] > 4 * count), None)
    if n_best is None:
        limits = _limit(chances.sort(-1, descending=True).values, top_p)
        return _place(chances.masked_fill(chances < limits, 0.0), noise)
    best, tokens = chances.topk(n_best, -1)
    limits = _limit(best, top_p)
    is_deeper = (best.sum(-1, dtype=torch.float64) < top_p) | (best[:, -1] >= limits[:, 0])
    tokens, order = tokens.sort(-1)
    nucleus = best.masked_fill(best < limits, 0.0).gather(-1, order)
    choice = tokens.gather(-1, _place(nucleus, noise).unsqueeze(1)).squeeze(1)
    if bool(is_deeper.any()):
        choice[is_deeper] = _in_nucleus(
            chances[is_deeper], noise[is_deeper], top_p, looks=[count for count in looks if count > n_best]
        )
    return choice


def _place(chances: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Column that each row's number falls on when the chances are laid end to end, int64 `(rows,)`."""
    heights = chances.to(torch.float64).cumsum(-1)
    targets = noise.unsqueeze(1) * heights[:, -1:]
    places = torch.searchsorted(heights, targets, right=True).squeeze(1)
    # Rounding can lead past the end; the last token that has any probability is meant then.
    ends = (heights < heights[:, -1:]).sum(-1)
    return torch.minimum(places, ends)


def _limit(ordered: torch.Tensor, top_p: float) -> torch.Tensor:
    """Least chance in each row's nucleus, `(rows, 1)`; `ordered`: chances, largest first."""
    heights = ordered.cumsum(-1, dtype=torch.float64)
    last = (heights < top_p).sum(-1, keepdim=True).clamp(max=ordered.shape[-1] - 1)
    return ordered.gather(-1, last)
