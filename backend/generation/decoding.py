"""The decode loop with a key-value cache: ids of prompts in, one token per row and step out.

It does the same arithmetic as `model.generate` (a test holds them equal), at about the same cost, and hands
every step to a callback: that is what streaming several rows at once and stopping in the middle need. Rows
with one prompt read it once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from hormesis.backend.generation.batching import pad
from hormesis.backend.generation.decode_steering import steps_steered
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
    distinct_prompts, origins = _distinct(prompts)
    is_shared = _is_shared(distinct_prompts, rows, len(prompts))
    ids, mask = pad(distinct_prompts if is_shared else prompts, "left", loaded.pad_id, device=loaded.device)
    with torch.inference_mode(), small_batch_matmul(loaded):
        feed = Feed(loaded, mask, new_tokens)
        if is_shared:
            feed(ids[:, :-1])
            feed.branch(torch.tensor(origins, device=loaded.device))
            ids = ids[origins, -1:]
        with steered(loaded, rows):
            logits = feed(ids)
        with steps_steered(loaded, rows):
            for step in range(new_tokens):
                logits = feed(ids) if step else logits
                tokens = draw(logits, noise[:, step], temperature=temperature, top_p=top_p)
                if on_step(tokens.cpu().numpy()):
                    return
                ids = tokens.unsqueeze(1)


def _distinct(prompts: Sequence[Sequence[int]]) -> tuple[list[tuple[int, ...]], list[int]]:
    """The prompts that differ, and for each row the number of its own among them."""
    numbers: dict[tuple[int, ...], int] = {}
    origins = [numbers.setdefault(tuple(prompt), len(numbers)) for prompt in prompts]
    return list(numbers), origins


def _is_shared(distinct_prompts: Sequence[Sequence[int]], rows: Rows, count: int) -> bool:
    """Whether reading each of the prompts once serves all `count` rows: where it halves what is read, and no
    steering touches a prompt's beginning.
    """
    if 2 * len(distinct_prompts) > count or max(len(prompt) for prompt in distinct_prompts) < 2:
        return False
    return not any(
        intervention is not None and strength != 0.0 and intervention.scope == "all"
        for intervention, strength in per_row(rows, count)
    )
