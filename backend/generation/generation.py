"""Batched text generation: batches of like length, seeded and steered row by row, results in input order.

The decode loop is `backend.generation.decoding`, the choice of a token `backend.generation.sampling`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hormesis.backend.generation.batching import Progress, by_length, encode, keep_tail, text_of
from hormesis.backend.generation.decoding import decode
from hormesis.backend.model.steering import RowSteering, per_row

if TYPE_CHECKING:
    from hormesis.backend.model.loaded import LoadedModel

log = logging.getLogger(__name__)


class GenerationError(ValueError):
    """A generation was asked for that cannot be done; one line for the person."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """What a model said after a prompt."""

    text: str
    """Without the prompt and without special tokens."""
    tokens: int
    """Tokens generated, the end token not counted."""
    finished: bool
    """True where the model ended the text itself."""
    truncated: bool = False
    """True where the prompt was too long and its beginning was cut off."""
    ids: tuple[int, ...] = ()
    """The tokens themselves, the end token not included."""
    prompt_tokens: int = 0
    """Tokens read before the first new one, with those of a prefix."""


def generate(
    loaded: LoadedModel,
    prompts: Sequence[str],
    *,
    seeds: Sequence[int],
    rows: Sequence[RowSteering] | None = None,
    new_tokens: int,
    temperature: float = 1.0,
    top_p: float = 0.9,
    batch_size: int = 64,
    progress: Progress | None = None,
    prefix: str = "",
) -> list[Continuation]:
    """Continue each prompt by at most `new_tokens` tokens; results come in the order of the prompts.

    seeds: one non-negative integer per prompt; a row's text depends on its prompt, seed and steering, not on
    its batch (up to rounding of the logits: about 1e-6 of them in float32, so a draw differs about once in
    1e5 tokens; in bfloat16 far more often). temperature 0 is greedy and ignores the seeds. Prompts that leave
    no room in the model's context lose their beginning, which is logged and marked. progress is called after
    every step with prompts done (in proportion) and in all; it may raise to stop the work. prefix: text in
    front of every prompt, which stays when a prompt's beginning is cut off.

    Raises GenerationError for settings out of range, SteeringError where a steering does not fit.
    """
    check_settings(len(prompts), seeds, new_tokens=new_tokens, temperature=temperature, top_p=top_p)
    steering = per_row(rows if rows is not None else (None, 0.0), len(prompts))
    token_ids, truncated = encode_behind(loaded, prompts, prefix, new_tokens=new_tokens)
    results: list[Continuation | None] = [None] * len(prompts)
    done = 0
    for batch in by_length([len(ids) for ids in token_ids], batch_size):
        tokens = _Tokens(len(batch), loaded.eos_ids)

        def on_step(new: NDArray[np.int64], tokens: _Tokens = tokens, done: int = done) -> bool:
            stop = tokens.add(new)
            if progress is not None:
                progress(done + len(tokens.rows) * tokens.steps // (new_tokens + 1), len(prompts))
            return stop

        decode(
            loaded,
            [token_ids[index] for index in batch],
            [steering[index] for index in batch],
            seeds=[seeds[index] for index in batch],
            new_tokens=new_tokens,
            temperature=temperature,
            top_p=top_p,
            on_step=on_step,
        )
        for place, index in enumerate(batch):
            results[index] = finish(
                loaded,
                tokens.rows[place],
                ended=tokens.ended[place],
                truncated=truncated[index],
                prompt_tokens=len(token_ids[index]),
            )
        done += len(batch)
        if progress is not None:
            progress(done, len(prompts))
    return [result for result in results if result is not None]


def encode_behind(
    loaded: LoadedModel, prompts: Sequence[str], prefix: str, *, new_tokens: int
) -> tuple[list[list[int]], list[bool]]:
    """Token ids of each prompt behind `prefix`, cut so that `new_tokens` more fit; and which were cut."""
    prefix_length = len(encode(loaded, [prefix])[0]) if prefix else 0
    token_ids = encode(loaded, [prefix + prompt for prompt in prompts])
    return fit(loaded, token_ids, new_tokens, prefix_length=prefix_length)


def fit(
    loaded: LoadedModel, token_ids: list[list[int]], new_tokens: int, *, prefix_length: int = 0
) -> tuple[list[list[int]], list[bool]]:
    """Cut prompts from the left, behind their first `prefix_length` tokens, so that `new_tokens` more fit the
    context; says which were cut."""
    if loaded.context is None:
        return token_ids, [False] * len(token_ids)
    room = loaded.context - new_tokens
    if room < 1 + prefix_length:
        addition = f" and a prefix of {prefix_length}" if prefix_length else ""
        raise GenerationError(
            f"{new_tokens} new tokens{addition} do not fit the model's context of {loaded.context}"
        )
    truncated = [len(ids) > room for ids in token_ids]
    if any(truncated):
        log.info("%d prompts are longer than %d tokens; their beginning was cut off", sum(truncated), room)
    if prefix_length:
        room -= prefix_length
        return [ids[:prefix_length] + ids[prefix_length:][-room:] for ids in token_ids], truncated
    return [keep_tail(ids, room, loaded.tokenizer.bos_token_id) for ids in token_ids], truncated


def finish(
    loaded: LoadedModel, ids: list[int], *, ended: bool, truncated: bool, prompt_tokens: int
) -> Continuation:
    """Turn generated ids into a continuation."""
    text = text_of(loaded.tokenizer, ids)
    return Continuation(text, len(ids), ended, truncated, tuple(ids), prompt_tokens)


class _Tokens:
    """Tokens of each row until its end token."""

    def __init__(self, count: int, eos: frozenset[int]) -> None:
        self.rows: list[list[int]] = [[] for _ in range(count)]
        self.ended = [False] * count
        self.steps = 0
        self.eos = eos

    def add(self, new: NDArray[np.int64]) -> bool:
        """Take one step's tokens; True once every row has ended."""
        self.steps += 1
        for row, token in enumerate(new.tolist()):
            if self.ended[row]:
                continue
            if token in self.eos:
                self.ended[row] = True
            else:
                self.rows[row].append(token)
        return all(self.ended)


def check_settings(
    count: int, seeds: Sequence[int], *, new_tokens: int, temperature: float, top_p: float
) -> None:
    """Raises GenerationError for settings out of range, or a number of seeds that is not `count`."""
    if len(seeds) != count:
        raise GenerationError(f"{len(seeds)} seeds for {count} prompts")
    if new_tokens < 1:
        raise GenerationError(f"new_tokens must be at least 1, not {new_tokens}")
    if not (np.isfinite(temperature) and temperature >= 0):
        raise GenerationError(f"temperature must be 0 or more, not {temperature}")
    if not 0 < top_p <= 1:
        raise GenerationError(f"top_p must be above 0 and at most 1, not {top_p}")
    if any(not 0 <= seed < 2**64 for seed in seeds):
        raise GenerationError("seeds must be integers from 0 to 2**64 - 1")
