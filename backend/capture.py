"""Activation capture: every attention head's output over many texts, with bounded memory.

Read at the input of each output projection, pooled over tokens (last one, or mean); logits are not computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
SORTED_TOGETHER = 16
"""Batches whose texts are sorted by length together before they are handed out in input order."""


class CaptureError(ValueError):
    """Activations were asked for that cannot be had; one line for the person."""


def iter_head_activations(
    loaded: LoadedModel,
    texts: Sequence[str],
    *,
    position: Position = "last",
    batch_size: int = 32,
    max_tokens: int | None = None,
    progress: Progress | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Yield float32 `(texts, layers, heads, head_dim)` batch after batch, in the order of the texts.

    position: the last token of each text, or the mean over its tokens (special tokens that the tokenizer adds
    included). max_tokens: longer texts keep their last tokens; never more than the model's context. Memory is
    bound by 16 batches of results. progress may raise to stop the work.
    """
    token_ids = _token_ids(loaded, texts, position, batch_size=batch_size, max_tokens=max_tokens)
    chunk_size = batch_size * SORTED_TOGETHER
    n_done = 0
    for chunk_start in range(0, len(token_ids), chunk_size):
        chunk_token_ids = token_ids[chunk_start : chunk_start + chunk_size]
        activations = np.empty(
            (len(chunk_token_ids), loaded.n_layers, loaded.n_heads, loaded.head_dim), np.float32
        )
        for batch in by_length([len(ids) for ids in chunk_token_ids], batch_size):
            outputs = _head_outputs(loaded, [chunk_token_ids[index] for index in batch], position)
            activations[batch] = outputs.swapaxes(0, 1)
            n_done += len(batch)
            if progress is not None:
                progress(n_done, len(token_ids))
        for batch_start in range(0, len(chunk_token_ids), batch_size):
            yield activations[batch_start : batch_start + batch_size]


def capture_to_file(
    loaded: LoadedModel,
    texts: Sequence[str],
    path: Path,
    *,
    position: Position = "last",
    batch_size: int = 32,
    max_tokens: int | None = None,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Write all activations to `path` as an ordinary `.npy`, float32 `(layers, texts, heads, head_dim)`.

    Layer-major, so that one layer of all texts is one contiguous stretch of the file. Written to a temporary
    name and renamed when whole. Returns the file opened read-only without loading it (`numpy.load(path,
    mmap_mode="r")` gives the same later).
    """
    token_ids = _token_ids(loaded, texts, position, batch_size=batch_size, max_tokens=max_tokens)
    if not token_ids:
        raise CaptureError("there is no text to read activations of")
    shape = (loaded.n_layers, len(token_ids), loaded.n_heads, loaded.head_dim)
    with atomic_file(path) as temporary:  # two studies may write the same file at once
        file_array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=shape)
        for batch in by_length([len(ids) for ids in token_ids], batch_size, progress):
            file_array[:, batch] = _head_outputs(loaded, [token_ids[index] for index in batch], position)
        file_array.flush()
        del file_array
    activations: NDArray[np.float32] = np.load(path, mmap_mode="r")
    return activations


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


def _head_outputs(loaded: LoadedModel, token_ids: list[list[int]], position: Position) -> NDArray[np.float32]:
    """Pooled head outputs of one batch, float32 `(layers, texts, heads, head_dim)`."""
    input_ids, mask = pad(token_ids, "right", loaded.pad_id, device=loaded.device)
    last_positions = mask.sum(-1) - 1
    text_indices = torch.arange(len(token_ids), device=loaded.device)

    def pool(x: torch.Tensor) -> torch.Tensor:
        if position == "last":
            return x[text_indices, last_positions].float()
        token_weights = mask.unsqueeze(-1).to(torch.float32)
        return (x.float() * token_weights).sum(1) / token_weights.sum(1)

    with torch.inference_mode(), _pooled_inputs(loaded, pool) as pooled:
        loaded.model.base_model(input_ids=input_ids, attention_mask=mask, use_cache=False)
        outputs = torch.stack([pooled[site.layer] for site in loaded.sites])
    shape = (loaded.n_layers, len(token_ids), loaded.n_heads, loaded.head_dim)
    values: NDArray[np.float32] = outputs.cpu().numpy().reshape(shape)
    return values


@contextmanager
def _pooled_inputs(
    loaded: LoadedModel, pool: Callable[[torch.Tensor], torch.Tensor]
) -> Iterator[dict[int, torch.Tensor]]:
    """By layer, `pool(input of the projection)` `(texts, width)` of the passes inside the block."""
    pooled: dict[int, torch.Tensor] = {}

    def pooling(layer: int) -> ProjectionHook:
        def hook(_: nn.Module, args: tuple[Any, ...]) -> None:
            pooled[layer] = pool(args[0])

        return hook

    with loaded.hooked({site.layer: pooling(site.layer) for site in loaded.sites}):
        yield pooled
