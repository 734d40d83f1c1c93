"""Activation capture: every attention head's output over many texts.

Read at the input of each output projection, pooled over tokens (last one, or mean); logits are not computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hormesis.backend.generation.batching import Progress, by_length, encode, keep_tail, pad
from hormesis.db.files import atomic_file

if TYPE_CHECKING:
    from hormesis.backend.model.loaded import LoadedModel, ProjectionHook

Position = Literal["last", "mean"]
HeadActivations = dict[int, NDArray[np.float32]]
"""Layer to `(texts, heads, head_dim)`; layers may differ in heads and width, and those without attention are
absent."""


class CaptureError(ValueError):
    """Activations were asked for that cannot be had; one line for the person."""


class _LastRead(Exception):
    """The last head of a pass has been read."""


def capture(
    loaded: LoadedModel,
    texts: Sequence[str],
    *,
    path: Path | None = None,
    position: Position = "last",
    batch_size: int = 32,
    max_tokens: int | None = None,
    progress: Progress | None = None,
) -> HeadActivations:
    """Read the outputs of all heads over the texts, in their order.

    path: where they are put instead of into memory, one layer after the other as a flat float32 `.npy`,
    written to a temporary name and renamed when whole; the arrays are then read from there as they are used.
    position: the last token of each text, or the mean over its tokens (special tokens that the tokenizer adds
    included). max_tokens: longer texts keep their last tokens; never more than the model's context. progress
    may raise to stop the work. Raises CaptureError where there is no text, or a setting is out of range.
    """
    token_ids = _token_ids(loaded, texts, position, batch_size=batch_size, max_tokens=max_tokens)
    if not token_ids:
        raise CaptureError("there is no text to read activations of")
    n = len(token_ids)

    def fill(flat: NDArray[np.float32]) -> None:
        activations = _by_layer(loaded, flat, n)
        for batch in by_length([len(ids) for ids in token_ids], batch_size, progress):
            outputs = _head_outputs(loaded, [token_ids[index] for index in batch], position)
            for layer, values in outputs.items():
                activations[layer][batch] = values

    size = n * sum(site.width for site in loaded.sites)
    if path is None:
        flat = np.empty(size, np.float32)
        fill(flat)
        return _by_layer(loaded, flat, n)
    with atomic_file(path) as temporary:  # two studies may write the same file at once
        file_array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=(size,))
        fill(file_array)
        file_array.flush()
        del file_array
    return _by_layer(loaded, np.load(path, mmap_mode="r"), n)


def mean_embeddings(
    loaded: LoadedModel, texts: Sequence[str], *, max_tokens: int | None = None
) -> NDArray[np.float32]:
    """Mean of the model's input embeddings over the tokens that `capture` reads of each text, [texts, width].

    What can be read off the words of a text as this model stores them, without order or context. Raises
    CaptureError as `capture` does.
    """
    token_ids = _token_ids(loaded, texts, "mean", batch_size=1, max_tokens=max_tokens)
    weights = loaded.model.get_input_embeddings().weight.detach()
    rows = [weights[torch.tensor(ids, device=weights.device)].float().mean(0) for ids in token_ids]
    return torch.stack(rows).cpu().numpy()


def _by_layer(loaded: LoadedModel, flat: NDArray[np.float32], n: int) -> HeadActivations:
    """Views `(n, heads, head_dim)` of the layers in `flat`, which holds one after the other."""
    ends = np.cumsum([0, *(n * site.width for site in loaded.sites)]).tolist()
    return {
        site.layer: flat[start:end].reshape(n, site.n_heads, site.head_dim)
        for site, (start, end) in zip(loaded.sites, pairwise(ends), strict=True)
    }


def _token_ids(
    loaded: LoadedModel, texts: Sequence[str], position: str, *, batch_size: int, max_tokens: int | None
) -> list[list[int]]:
    """Ids of each text, cut to its last `max_tokens` and to the context; a leading `bos` stays."""
    if position not in ("last", "mean"):
        raise CaptureError(f"position must be 'last' or 'mean', not '{position}'")
    limits = [limit for limit in (max_tokens, loaded.context) if limit is not None]
    if batch_size < 1 or any(limit < 1 for limit in limits):
        raise CaptureError("batch_size and max_tokens must be at least 1")
    token_ids = encode(loaded, texts)
    bos_id = loaded.tokenizer.bos_token_id
    return [keep_tail(ids, min(limits), bos_id) for ids in token_ids] if limits else token_ids


def _head_outputs(loaded: LoadedModel, token_ids: list[list[int]], position: Position) -> HeadActivations:
    """Pooled head outputs of one batch."""
    input_ids, mask = pad(token_ids, "right", loaded.pad_id, device=loaded.device)
    last_positions = mask.sum(-1) - 1
    text_indices = torch.arange(len(token_ids), device=loaded.device)

    def pool(x: torch.Tensor) -> torch.Tensor:
        if position == "last":
            return x[text_indices, last_positions].float()
        token_weights = mask.unsqueeze(-1).to(torch.float32)
        return (x.float() * token_weights).sum(1) / token_weights.sum(1)

    with torch.inference_mode(), _pooled_inputs(loaded, pool) as pooled, suppress(_LastRead):
        loaded.model.base_model(input_ids=input_ids, attention_mask=mask, use_cache=False)
    return {
        site.layer: pooled[site.layer].cpu().numpy().reshape(-1, site.n_heads, site.head_dim)
        for site in loaded.sites
    }


@contextmanager
def _pooled_inputs(
    loaded: LoadedModel, pool: Callable[[torch.Tensor], torch.Tensor]
) -> Iterator[dict[int, torch.Tensor]]:
    """By layer, `pool(input of the projection)` `(texts, width)` of the passes inside the block.

    A pass ends with _LastRead when all are read, since nothing behind them is needed.
    """
    pooled: dict[int, torch.Tensor] = {}
    last = max(site.layer for site in loaded.sites)

    def pooling(layer: int) -> ProjectionHook:
        def hook(_: nn.Module, args: tuple[Any, ...]) -> None:
            pooled[layer] = pool(args[0])
            if layer == last:
                raise _LastRead

        return hook

    with loaded.hooked({site.layer: pooling(site.layer) for site in loaded.sites}):
        yield pooled
