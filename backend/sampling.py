"""Drawing the next token: seeded per row, so that a row's text does not depend on the batch it is in.

Knows logits, a temperature, a nucleus and uniform numbers. Nothing here keeps state: the number used at step
t of a row is the t-th of that row's own counter-based generator (Philox, Salmon et al. 2011).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

FIRST_LOOK = 256
"""Candidates looked at before the whole vocabulary is sorted; the nucleus is nearly always among them."""


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

    temperature 0 takes the likeliest token. Otherwise the nucleus (Holtzman et al. 2020: the fewest likeliest
    tokens that hold `top_p` of the probability; tokens tied with the last of them are in) is laid out in
    vocabulary order and `noise` picks a place in it. Vocabulary order, rather than order of probability,
    keeps the choice steady when rounding swaps two nearly equal tokens.
    """
    if temperature == 0.0:
        return logits.argmax(-1)
    chances = torch.softmax(logits.float() / temperature, -1)
    if top_p < 1.0:
        chances = chances.masked_fill(chances < _threshold(chances, top_p), 0.0)
    heights = chances.to(torch.float64).cumsum(-1)
    targets = torch.from_numpy(noise).to(logits.device).unsqueeze(1) * heights[:, -1:]
    places = torch.searchsorted(heights, targets, right=True).squeeze(1)
    # Rounding can lead past the end; the last token that has any probability is meant then.
    ends = (heights < heights[:, -1:]).sum(-1)
    return torch.minimum(places, ends)


def _threshold(chances: torch.Tensor, top_p: float) -> torch.Tensor:
    """Probability of the last token inside the nucleus of each row, `(rows, 1)`."""
    size = chances.shape[-1]
    if size <= 4 * FIRST_LOOK:
        return _limit(chances.sort(-1, descending=True).values, top_p)
    best = chances.topk(FIRST_LOOK, -1).values
    limits = _limit(best, top_p)
    short = best.sum(-1, dtype=torch.float64) < top_p
    if bool(short.any()):
        limits[short] = _limit(chances[short].sort(-1, descending=True).values, top_p)
    return limits


def _limit(ordered: torch.Tensor, top_p: float) -> torch.Tensor:
    heights = ordered.cumsum(-1, dtype=torch.float64)
    last = (heights < top_p).sum(-1, keepdim=True).clamp(max=ordered.shape[-1] - 1)
    return ordered.gather(-1, last)
