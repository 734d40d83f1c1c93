"""One-ahead cross-entropy of held-out text, summed per document, also under an intervention.

The cost of a condition is the difference of two of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from hormesis.backend.generation.batching import Progress, by_length, encode, pad
from hormesis.backend.model.steering import RowSteering, per_row, steered

if TYPE_CHECKING:
    from hormesis.backend.model.loaded import LoadedModel

LOGITS_AT_ONCE = 2**25
"""Logits held at a time (128 MiB in float32); a large vocabulary makes batches smaller."""


class LossError(ValueError):
    """A cross-entropy was asked for that cannot be computed; one line for the person."""


@dataclass(frozen=True, eq=False)
class DocumentLosses:
    """Summed loss of each document and the number of tokens it was summed over."""

    nats: NDArray[np.float64]
    """`(documents,)`"""
    tokens: NDArray[np.int64]
    """`(documents,)`, predicted tokens; 0 for a document of one token."""

    @property
    def cross_entropy(self) -> float:
        """Nats per predicted token over all documents."""
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

    @property
    def tokens(self) -> NDArray[np.int64]:
        """Predicted tokens of each document, int64 `(documents,)`."""
        counts = np.array([len(ids) - 1 for ids in self.ids], np.int64)
        return np.bincount(self.documents, counts, self.n_documents).astype(np.int64)


def prepare_windows(loaded: LoadedModel, documents: Sequence[str], window: int) -> Windows:
    """Tokenise documents and cut each into windows of at most `window` tokens that do not overlap.

    The context starts anew in each window, and the first token of a window is not predicted. The tokenizer's
    own special tokens are added once per document: where it puts a `bos` in front, the document's first word
    is predicted from it; where it adds none, that word is context only. Raises LossError for a window that is
    too short or longer than the model's context.
    """
    if window < 2:
        raise LossError(f"a window needs at least 2 tokens, not {window}")
    if loaded.context is not None and window > loaded.context:
        raise LossError(f"a window of {window} tokens does not fit the model's context of {loaded.context}")
    window_ids: list[tuple[int, ...]] = []
    window_documents: list[int] = []
    for document, document_ids in enumerate(encode(loaded, documents)):
        for start in range(0, len(document_ids), window):
            piece = document_ids[start : start + window]
            if len(piece) > 1:
                window_ids.append(tuple(piece))
                window_documents.append(document)
    return Windows(tuple(window_ids), np.array(window_documents, np.int64), len(documents), window)


def window_losses(
    loaded: LoadedModel,
    windows: Windows,
    *,
    rows: RowSteering | Sequence[RowSteering] = (None, 0.0),
    batch_size: int = 32,
    progress: Progress | None = None,
    prefix: Sequence[int] = (),
) -> DocumentLosses:
    """Loss of each document under one steering, or under one steering per document.

    Every position is steered whatever the intervention's scope: a teacher-forced position stands for a token
    about to be generated, and steering only the last one would hide the cost. progress counts windows and may
    raise. prefix: tokens put in front of every window as context (after the tokenizer's own leading token);
    their losses are not counted, so the sums are over the same tokens as without them. Raises LossError where
    windows and prefix together do not fit the model's context.
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
    for batch in by_length([len(ids) for ids in windows.ids], n_rows, progress):
        owners = windows.documents[batch]
        with torch.inference_mode(), steered(loaded, [steering[i] for i in owners], every_position=True):
            sums = _window_sums(loaded, [windows.ids[index] for index in batch], tuple(prefix))
        np.add.at(nats, owners, sums)
    return DocumentLosses(nats, windows.tokens)


def rows_at_once(loaded: LoadedModel, longest: int, batch_size: int) -> int:
    """Rows of `longest` tokens whose logits fit memory together, at most `batch_size` and at least one."""
    return max(1, min(batch_size, LOGITS_AT_ONCE // (max(1, longest) * loaded.vocabulary_size)))


def _window_sums(
    loaded: LoadedModel, ids: list[tuple[int, ...]], prefix: tuple[int, ...] = ()
) -> NDArray[np.float64]:
    """Summed loss in nats of each window of `ids`, float64 `(windows,)`: of all its tokens but the first.

    `prefix`: ids read before every window as context, not counted.
    """
    bos = loaded.tokenizer.bos_token_id
    # A leading token of the tokenizer's own stays in front: the prefix has it already.
    has_bos = bool(prefix) and prefix[0] == bos
    rows = [(*prefix, *(row[1:] if has_bos and row[0] == bos else row)) for row in ids]
    tokens, mask = pad(rows, "right", loaded.pad_id, device=loaded.device)
    logits = loaded.model(input_ids=tokens, attention_mask=mask, use_cache=False).logits[:, :-1]
    targets = tokens[:, 1:].masked_fill(mask[:, 1:] == 0, -100)
    if prefix:
        prefix_lengths = torch.tensor([len(row) - len(window) for row, window in zip(rows, ids, strict=True)])
        places = torch.arange(targets.shape[1], device=loaded.device)
        targets = targets.masked_fill(places < prefix_lengths.to(loaded.device).unsqueeze(1), -100)
    losses = F.cross_entropy(
        logits.reshape(-1, logits.shape[-1]).float(), targets.reshape(-1), reduction="none", ignore_index=-100
    )
    sums: NDArray[np.float64] = losses.view(targets.shape).double().sum(-1).cpu().numpy()
    return sums
