"""One-ahead cross-entropy of held-out text, summed per document, also under an intervention.

The beginning of a text may be read as a prompt; the rest is then scored as if it had been generated. The cost
of a condition is the difference of two of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from hormesis.backend.generation.batching import Progress, by_length, encode, pad
from hormesis.backend.lower_layers import LowerLayers
from hormesis.backend.model.steering import RowSteering, lowest_layer, per_row, steered

if TYPE_CHECKING:
    from hormesis.backend.model.loaded import LoadedModel

LOGITS_AT_ONCE = 2**25
"""Logits held at a time (128 MiB in float32); a large vocabulary makes batches smaller."""
LOSSES_AT_ONCE = 2**22
"""Logits whose losses are computed at a time (16 MiB in float32): a cache holds them."""


class LossError(ValueError):
    """A cross-entropy was asked for that cannot be computed; one line for the person."""


@dataclass(frozen=True, eq=False)
class DocumentLosses:
    """Summed loss of each document and the number of tokens it was summed over."""

    nats: NDArray[np.float64]
    """`(documents,)`"""
    tokens: NDArray[np.int64]
    """`(documents,)`, scored tokens; 0 for a document that is no longer than its prompt."""

    @property
    def cross_entropy(self) -> float:
        """Nats per scored token over all documents."""
        total = int(self.tokens.sum())
        return float(self.nats.sum() / total) if total else float("nan")


@dataclass(frozen=True, eq=False)
class Windows:
    """Documents cut into windows of token ids, ready to be evaluated again and again."""

    ids: tuple[tuple[int, ...], ...]
    documents: NDArray[np.int64]
    """`(windows,)`, which document a window is of."""
    n_documents: int
    window: int
    prompt_tokens: int = 1
    """Tokens at the beginning of each window that are read as a prompt and not scored."""

    @property
    def tokens(self) -> NDArray[np.int64]:
        """Scored tokens of each document, int64 `(documents,)`."""
        counts = np.array([len(ids) - self.prompt_tokens for ids in self.ids], np.int64)
        return np.bincount(self.documents, counts, self.n_documents).astype(np.int64)


def prepare_windows(
    loaded: LoadedModel, documents: Sequence[str], window: int, *, prompt_tokens: int = 1
) -> Windows:
    """Tokenise documents and cut each into windows of at most `window` tokens that do not overlap.

    The context starts anew in each window, and its first `prompt_tokens` are a prompt, not scored; windows of
    no more tokens are left out. The tokenizer's own special tokens are added once per document and count
    among them. Raises LossError for a window that is too short or longer than the model's context.
    """
    if window <= prompt_tokens:
        raise LossError(f"a window needs at least {prompt_tokens + 1} tokens, not {window}")
    if loaded.context is not None and window > loaded.context:
        raise LossError(f"a window of {window} tokens does not fit the model's context of {loaded.context}")
    window_ids: list[tuple[int, ...]] = []
    window_documents: list[int] = []
    for document, document_ids in enumerate(encode(loaded, documents)):
        for start in range(0, len(document_ids), window):
            piece = document_ids[start : start + window]
            if len(piece) > prompt_tokens:
                window_ids.append(tuple(piece))
                window_documents.append(document)
    owners = np.array(window_documents, np.int64)
    return Windows(tuple(window_ids), owners, len(documents), window, prompt_tokens)


def window_losses(
    loaded: LoadedModel,
    windows: Windows,
    *,
    rows: RowSteering | Sequence[RowSteering] = (None, 0.0),
    batch_size: int = 32,
    progress: Progress | None = None,
    prefix: Sequence[int] = (),
    lower: LowerLayers | None = None,
) -> DocumentLosses:
    """Loss of each document under one steering, or under one steering per document.

    In one pass, steered as in generation: the prompt by the scope's rule, then every position that a scored
    token is drawn from. A prompt of one token thus has every position steered. progress counts windows and
    may raise. prefix: tokens put in front of every prompt (after the tokenizer's own leading token); the same
    tokens are scored as without them. lower: what the layers below the steered ones gave is kept there, and
    taken from there (the same to the bit). Raises LossError where windows and prefix together do not fit the
    model's context.
    """
    longest = max((len(ids) for ids in windows.ids), default=0) + len(prefix)
    if prefix and loaded.context is not None and longest > loaded.context:
        raise LossError(
            f"windows of {windows.window} tokens and a prefix of {len(prefix)} do not fit the model's "
            f"context of {loaded.context}"
        )
    steering = per_row(rows, windows.n_documents)
    nats = np.zeros(windows.n_documents, np.float64)
    n_rows = rows_at_once(loaded, longest, batch_size)
    if lower is not None:
        lower.prepare(loaded, prefix, windows.ids, steered_from=lowest_layer(loaded, steering))
    for batch in by_length([len(ids) for ids in windows.ids], n_rows, progress):
        owners = windows.documents[batch]
        rows_ids = [_behind(loaded, prefix, windows.ids[index]) for index in batch]
        scored = [len(windows.ids[index]) - windows.prompt_tokens for index in batch]
        first = [len(ids) - count - 1 for ids, count in zip(rows_ids, scored, strict=True)]
        with torch.inference_mode(), steered(loaded, [steering[i] for i in owners], first=first):
            compute = partial(position_losses, loaded, rows_ids, first)
            losses = compute() if lower is None else lower.run(batch, compute)
        np.add.at(nats, owners, losses.double().sum(-1).cpu().numpy())
    return DocumentLosses(nats, windows.tokens)


def rows_at_once(loaded: LoadedModel, longest: int, batch_size: int) -> int:
    """Rows of `longest` tokens whose logits fit memory together, at most `batch_size` and at least one."""
    return max(1, min(batch_size, LOGITS_AT_ONCE // (max(1, longest) * loaded.vocabulary_size)))


def _behind(loaded: LoadedModel, prefix: Sequence[int], ids: Sequence[int]) -> tuple[int, ...]:
    """A window's ids behind the prefix, whose leading token of the tokenizer's own serves both."""
    bos = loaded.tokenizer.bos_token_id
    has_bos = bool(prefix) and prefix[0] == bos == ids[0]
    return (*prefix, *(ids[1:] if has_bos else ids))


def position_losses(loaded: LoadedModel, rows: Sequence[Sequence[int]], first: Sequence[int]) -> torch.Tensor:
    """Loss in nats of the token behind each position of each row, float32 `(rows, longest - 1)`.

    0 before the row's `first` position, and where no token follows.
    """
    tokens, mask = pad(rows, "right", loaded.pad_id, device=loaded.device)
    logits = loaded.model(input_ids=tokens, attention_mask=mask, use_cache=False).logits
    losses = torch.zeros(tokens.shape[0], tokens.shape[1] - 1, device=loaded.device)
    at_once = max(1, LOSSES_AT_ONCE // logits.shape[-1])
    for row, (ids, start) in enumerate(zip(rows, first, strict=True)):
        for begin in range(start, len(ids) - 1, at_once):
            scored = slice(begin, min(begin + at_once, len(ids) - 1))
            targets = tokens[row, 1:][scored]
            losses[row, scored] = F.cross_entropy(logits[row, scored].float(), targets, reduction="none")
    return losses
