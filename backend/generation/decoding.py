"""The decode loop with a key-value cache: ids of prompts in, one token per row and step out.

It does the same arithmetic as `model.generate` (a test holds them equal), at about the same cost, and hands
every step to a callback: that is what streaming several rows at once and stopping in the middle need. Rows
that begin alike read their prompt once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from hormesis.backend.generation.batching import pad
from hormesis.backend.generation.sampling import draw, uniforms
from hormesis.backend.generation.small_batch_matmul import small_batch_matmul
from hormesis.backend.model.feed import Feed
from hormesis.backend.model.steering import Rows, per_row, steered

if TYPE_CHECKING:
    from hormesis.backend.model.loaded import LoadedModel

OnStep = Callable[[NDArray[np.int64]], bool | None]
"""Called with the new tokens `(rows,)` of each step; returns True to stop."""


def decode(
    loaded: LoadedModel,
    prompts: Sequence[Sequence[int]],
    rows: Rows,
    *,
    seeds: Sequence[int],
    new_tokens: int,
    temperature: float,
    top_p: float,
    on_step: OnStep,
) -> None:
    """Continue non-empty prompts of token ids together for at most `new_tokens` steps.

    rows: how they are steered; seeds: one per prompt. Rows that have ended go on being fed, their tokens are
    the caller's to ignore. `on_step` may raise; the model is left as it was found.
    """
    noise = uniforms(seeds, new_tokens)
    ids, mask = pad(prompts, "left", loaded.pad_id, device=loaded.device)
    with torch.inference_mode(), small_batch_matmul(loaded):
        feed = Feed(loaded, mask, new_tokens)
        if _begin_alike(prompts, rows):
            feed.read_once(ids[:1, :-1], len(prompts))
            ids = ids[:, -1:]
        with steered(loaded, rows):
            for step in range(new_tokens):
                tokens = draw(feed(ids), noise[:, step], temperature=temperature, top_p=top_p)
                if on_step(tokens.cpu().numpy()):
                    return
                ids = tokens.unsqueeze(1)


def _begin_alike(prompts: Sequence[Sequence[int]], rows: Rows) -> bool:
    """True where several rows have one prompt whose beginning no steering touches, so one reading serves."""
    if (
        len(prompts) < 2
        or len(prompts[0]) < 2
        or any(list(prompt) != list(prompts[0]) for prompt in prompts[1:])
    ):
        return False
    return not any(
        intervention is not None and strength != 0.0 and intervention.scope == "all"
        for intervention, strength in per_row(rows, len(prompts))
    )
