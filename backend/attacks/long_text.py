"""Long-text generation beyond a model's context: block by block, each from the tail of what stands so far.

Where the model ends its text it goes on with the next one, as in its training stream:
an end is a token like others here, and only left out of the text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hormesis.backend.generation.batching import Progress, encode, keep_tail, text_of
from hormesis.backend.generation.decoding import decode
from hormesis.backend.generation.generation import GenerationError
from hormesis.backend.model.loaded import LoadedModel
from hormesis.backend.model.steering import RowSteering


def write_long(
    loaded: LoadedModel,
    prompts: Sequence[str],
    steering: RowSteering,
    *,
    prefix: Sequence[int] = (),
    seeds: Sequence[int],
    blocks: int,
    block_tokens: int,
    temperature: float = 1.0,
    top_p: float = 0.9,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> list[list[str]]:
    """Continue each prompt by `blocks` blocks of exactly `block_tokens` tokens; texts [prompts][blocks].

    seeds: one per prompt. Each block sees `prefix` (ids), and as much of prompt and earlier blocks as fits
    the context beside it. progress counts blocks. Raises GenerationError where a block does not fit.
    """
    room = None if loaded.context is None else loaded.context - block_tokens - len(prefix)
    if room is not None and room < 1:
        raise GenerationError(f"blocks of {block_tokens} tokens do not fit a context of {loaded.context}")
    texts: list[list[str]] = [[] for _ in prompts]
    encoded = encode(loaded, prompts)
    for start in range(0, len(prompts), batch_size):
        places = range(start, min(start + batch_size, len(prompts)))
        all_ids = [list(encoded[i]) for i in places]
        for block in range(blocks):
            bos = loaded.tokenizer.bos_token_id
            contexts = [[*prefix, *(ids if room is None else keep_tail(ids, room, bos))] for ids in all_ids]
            step_tokens: list[NDArray[np.int64]] = []
            decode(
                loaded,
                contexts,
                [steering] * len(contexts),
                seeds=[block_seed(seeds[i], block) for i in places],
                new_tokens=block_tokens,
                temperature=temperature,
                top_p=top_p,
                on_step=step_tokens.append,
            )
            for place, i in enumerate(places):
                block_ids = [int(tokens[place]) for tokens in step_tokens]
                all_ids[place] += block_ids
                texts[i].append(text_of(loaded.tokenizer, block_ids))
            if progress is not None:
                progress(start * blocks + (block + 1) * len(contexts), len(prompts) * blocks)
    return texts


def block_seed(seed: int, block: int) -> int:
    """Seed of one block of one text."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{block}".encode()).digest()[:8], "big") >> 1
