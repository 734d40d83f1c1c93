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
    ids = _token_ids(loaded, texts, position, batch_size=batch_size, max_tokens=max_tokens)
    chunk = batch_size * SORTED_TOGETHER
    done = 0
    for start in range(0, len(ids), chunk):
        part = ids[start : start + chunk]
        activations = np.empty((len(part), loaded.n_layers, loaded.n_heads, loaded.head_dim), np.float32)
        for batch in by_length([len(row) for row in part], batch_size):
            rows = _head_outputs(loaded, [part[index] for index in batch], position)
            activations[batch] = rows.swapaxes(0, 1)
            done += len(batch)
            if progress is not None:
                progress(done, len(ids))
        for first in range(0, len(part), batch_size):
            yield activations[first : first + batch_size]


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
    ids = _token_ids(loaded, texts, position, batch_size=batch_size, max_tokens=max_tokens)
    if not ids:
        raise CaptureError("there is no text to read activations of")
    shape = (loaded.n_layers, len(ids), loaded.n_heads, loaded.head_dim)
    with atomic_file(path) as temporary:  # two studies may write the same file at once
        out = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=shape)
        for batch in by_length([len(row) for row in ids], batch_size, progress):
            out[:, batch] = _head_outputs(loaded, [ids[index] for index in batch], position)
        out.flush()
        del out
    activations: NDArray[np.float32] = np.load(path, mmap_mode="r")
    return activations


def _token_ids(
    loaded: LoadedModel, texts: Sequence[str], position: str, *, batch_size: int, max_tokens: int | None
) -> list[list[int]]:
    if position not in ("last", "mean"):
        raise CaptureError(f"position must be 'last' or 'mean', not '{position}'")
    limits = [limit for limit in (max_tokens, loaded.context) if limit is not None]
    if batch_size < 1 or any(limit < 1 for limit in limits):
        raise CaptureError("batch_size and max_tokens must be at least 1")
    ids = encode(loaded, texts)
    bos = loaded.tokenizer.bos_token_id
    return [keep_tail(row, min(limits), bos) for row in ids] if limits else ids


def _head_outputs(loaded: LoadedModel, ids: list[list[int]], position: Position) -> NDArray[np.float32]:
    """Pooled head outputs of one batch, float32 `(layers, texts, heads, head_dim)`."""
    tokens, mask = pad(ids, "right", loaded.pad_id, device=loaded.device)
    last = mask.sum(-1) - 1
    rows = torch.arange(len(ids), device=loaded.device)

    def pool(x: torch.Tensor) -> torch.Tensor:
        if position == "last":
            return x[rows, last].float()
        weight = mask.unsqueeze(-1).to(torch.float32)
        return (x.float() * weight).sum(1) / weight.sum(1)

    with torch.inference_mode(), _pooled_inputs(loaded, pool) as pooled:
        loaded.model.base_model(input_ids=tokens, attention_mask=mask, use_cache=False)
        outputs = torch.stack([pooled[site.layer] for site in loaded.sites])
    shape = (loaded.n_layers, len(ids), loaded.n_heads, loaded.head_dim)
    values: NDArray[np.float32] = outputs.cpu().numpy().reshape(shape)
    return values


@contextmanager
def _pooled_inputs(
    loaded: LoadedModel, pool: Callable[[torch.Tensor], torch.Tensor]
) -> Iterator[dict[int, torch.Tensor]]:
    """Collect `pool(input of the projection)` of each layer during the passes inside the block."""
    pooled: dict[int, torch.Tensor] = {}

    def pooling(layer: int) -> ProjectionHook:
        def hook(_: nn.Module, args: tuple[Any, ...]) -> None:
            pooled[layer] = pool(args[0])

        return hook

    with loaded.hooked({site.layer: pooling(site.layer) for site in loaded.sites}):
        yield pooled
