"""Tokenisation and batching: token ids with the tokenizer's own special tokens, padding, batch order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from hormesis.backend.encoding import encode_texts

if TYPE_CHECKING:
    from hormesis.backend.model.loaded import LoadedModel

Progress = Callable[[int, int], None]
"""Called with how many are done and how many there are; may raise to stop the work."""


def encode(loaded: LoadedModel, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, with the special tokens that the tokenizer adds by default.

    A text without any token becomes one token (`bos`, else `eos`, else the padding token), since a model
    cannot read nothing.
    """
    return [row or [loaded.blank_id] for row in encode_texts(loaded.tokenizer, texts)]


def text_of(tokenizer: Any, ids: Sequence[int]) -> str:
    """The text of tokens as it was written: without special tokens, spaces left as they are."""
    text: str = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text


def keep_tail(ids: list[int], limit: int, bos: int | None) -> list[int]:
    """Shorten from the left to `limit` tokens; a leading `bos` is kept before the tail."""
    if len(ids) <= limit:
        return ids
    if limit > 1 and bos is not None and ids[0] == bos:
        return [bos, *ids[len(ids) - limit + 1 :]]
    return ids[len(ids) - limit :]


def pad(
    rows: Sequence[Sequence[int]], side: Literal["left", "right"], fill: int, *, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad to the longest row. Returns int64 `(rows, tokens)` ids and the 0/1 mask of real tokens."""
    width = max(len(row) for row in rows)
    ids = np.full((len(rows), width), fill, np.int64)
    mask = np.zeros((len(rows), width), np.int64)
    for index, row in enumerate(rows):
        place = slice(width - len(row), width) if side == "left" else slice(0, len(row))
        ids[index, place] = row
        mask[index, place] = 1
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)


def by_length(
    lengths: Sequence[int], batch_size: int, progress: Progress | None = None
) -> Iterator[list[int]]:
    """Batches of positions of like length, so little is padded; `progress` hears of each once it was used.

    The longest batch comes first so that a batch that does not fit memory fails at the start.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    for start in range(0, len(order), batch_size):
        yield (batch := order[start : start + batch_size])
        if progress is not None:
            progress(start + len(batch), len(order))
