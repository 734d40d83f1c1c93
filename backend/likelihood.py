"""Log-likelihood of a text after a context: what multiple-choice tasks and minimal pairs are judged by.

Follows the tokenisation of lm-evaluation-harness to the letter (a test holds the numbers equal): the pair is
encoded as one text and cut at the context's length, spaces at the context's end belong to the continuation,
an empty context is one `bos` (else `eos`) token, and what is too long loses its beginning.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from hormesis.backend.crossentropy import rows_at_once
from hormesis.backend.encoding import encode_texts
from hormesis.backend.generation.batching import Progress, by_length, pad
from hormesis.backend.model.loaded import LoadedModel
from hormesis.backend.model.steering import RowSteering, steered

Pair = tuple[str, str]


def log_likelihoods(
    loaded: LoadedModel,
    pairs: Sequence[Pair],
    *,
    row: RowSteering = (None, 0.0),
    batch_size: int = 64,
    progress: Progress | None = None,
) -> NDArray[np.float64]:
    """Summed log-probability of each (context, continuation), float64 `(pairs,)`, in nats.

    Every position is steered whatever the intervention's scope: a steered model is judged as the harness
    would judge it. progress counts pairs and may raise.
    """
    encoded = encode_pairs(loaded, pairs)
    sums = np.zeros(len(pairs), np.float64)
    lengths = [len(context) + len(continuation) for context, continuation in encoded]
    n_rows = rows_at_once(loaded, max(lengths, default=1), batch_size)
    for batch in by_length(lengths, n_rows, progress):
        with torch.inference_mode(), steered(loaded, row, first=0):
            sums[batch] = _sums(loaded, [encoded[index] for index in batch])
    return sums


def encode_pairs(loaded: LoadedModel, pairs: Sequence[Pair]) -> list[tuple[list[int], list[int]]]:
    """Ids of context (one at least) and continuation; together at most one more than the model reads."""
    tokenizer = loaded.tokenizer
    stripped_pairs = []
    for context, continuation in pairs:
        stripped = context.rstrip()
        stripped_pairs.append((stripped, context[len(stripped) :] + continuation))
    with_context = [i for i, (context, _) in enumerate(stripped_pairs) if context]
    without_context = [i for i, (context, _) in enumerate(stripped_pairs) if not context]
    encoded: list[tuple[list[int], list[int]]] = [([], [])] * len(pairs)
    if with_context:
        context_rows = encode_texts(tokenizer, [stripped_pairs[i][0] for i in with_context])
        whole_rows = encode_texts(tokenizer, ["".join(stripped_pairs[i]) for i in with_context])
        for index, context_ids, whole_ids in zip(with_context, context_rows, whole_rows, strict=True):
            encoded[index] = (context_ids, whole_ids[len(context_ids) :])
    if without_context:
        texts = [stripped_pairs[i][1] for i in without_context]
        continuations = encode_texts(tokenizer, texts, special_tokens=False)
        for index, ids in zip(without_context, continuations, strict=True):
            begins_blank = ids[:1] == [loaded.blank_id]
            encoded[index] = (ids[:1], ids[1:]) if begins_blank else ([loaded.blank_id], ids)
    return [_fit_context(loaded, context_ids, continuation) for context_ids, continuation in encoded]


def _fit_context(
    loaded: LoadedModel, context_ids: list[int], continuation_ids: list[int]
) -> tuple[list[int], list[int]]:
    """Cut both so that all but the last token fit the model: beginnings go, the context's first."""
    if loaded.context is None:
        return context_ids, continuation_ids
    # The last token is only predicted, never read, so one more than the context fits.
    longest = loaded.context + 1
    continuation_ids = (
        continuation_ids[-(longest - 1) :] if len(continuation_ids) >= longest else continuation_ids
    )
    return context_ids[max(0, len(context_ids) + len(continuation_ids) - longest) :], continuation_ids


def _sums(loaded: LoadedModel, batch: Sequence[tuple[list[int], list[int]]]) -> NDArray[np.float64]:
    """Summed log-probability of each continuation, float64 `(pairs,)`, nats; `batch`: ids of each pair."""
    inputs = [[*context, *continuation][:-1] for context, continuation in batch]
    tokens, mask = pad(
        [row or [loaded.blank_id] for row in inputs], "right", loaded.pad_id, device=loaded.device
    )
    logits = loaded.model(input_ids=tokens, attention_mask=mask, use_cache=False).logits.float()
    log_probabilities = torch.log_softmax(logits, -1)
    sums = np.zeros(len(batch), np.float64)
    for place, (context, continuation) in enumerate(batch):
        if continuation:
            targets = torch.tensor(continuation, device=loaded.device)
            predictions = log_probabilities[place, len(context) - 1 : len(context) - 1 + len(continuation)]
            sums[place] = float(predictions.gather(1, targets[:, None]).double().sum())
    return sums
