"""Log-likelihood of a text after a context: what multiple choices and minimal pairs are judged by.

Follows the tokenisation of lm-evaluation-harness to the letter (a test holds the numbers equal): the pair is
encoded as one text and cut at the context's length, spaces at the context's end belong to the continuation,
an empty context is one `bos` (else `eos`) token, and what is too long loses its beginning. Knows no task.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from backend.batching import by_length, pad
from backend.crossentropy import LOGITS_AT_ONCE
from backend.loaded import LoadedModel
from backend.sites import text_config
from backend.steering import RowSteering, steered

Progress = Callable[[int, int], None]
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

    Every position is steered whatever the intervention's scope, like the held-out losses: a steered model is
    judged as the harness would judge it. progress counts pairs and may raise.
    """
    encoded = encode_pairs(loaded, pairs)
    found = np.zeros(len(pairs), np.float64)
    longest = max((len(context) + len(rest) for context, rest in encoded), default=1)
    size = int(getattr(text_config(loaded.model), "vocab_size", 0)) or len(loaded.tokenizer)
    rows = max(1, min(batch_size, LOGITS_AT_ONCE // (longest * size)))
    done = 0
    for batch in by_length([len(context) + len(rest) for context, rest in encoded], rows):
        with torch.inference_mode(), steered(loaded, row, every_position=True):
            found[batch] = _summed(loaded, [encoded[index] for index in batch])
        done += len(batch)
        if progress is not None:
            progress(done, len(pairs))
    return found


def encode_pairs(loaded: LoadedModel, pairs: Sequence[Pair]) -> list[tuple[list[int], list[int]]]:
    """Ids of context (one at least) and continuation; together at most one more than the model reads."""
    tokenizer = loaded.tokenizer
    moved = []
    for context, rest in pairs:
        kept = context.rstrip() if context.strip() else ""
        moved.append((kept, context[len(kept) :] + rest))
    full = [i for i, (context, _) in enumerate(moved) if context]
    bare = [i for i, (context, _) in enumerate(moved) if not context]
    ids: list[tuple[list[int], list[int]]] = [([], [])] * len(pairs)
    if full:
        heads = tokenizer([moved[i][0] for i in full])["input_ids"]
        wholes = tokenizer(["".join(moved[i]) for i in full])["input_ids"]
        for place, head, whole in zip(full, heads, wholes, strict=True):
            ids[place] = (head, whole[len(head) :])
    if bare:
        alone = tokenizer([moved[i][1] for i in bare], add_special_tokens=False)["input_ids"]
        for place, rest in zip(bare, alone, strict=True):
            started = rest[:1] == [loaded.blank_id]
            ids[place] = (rest[:1], rest[1:]) if started else ([loaded.blank_id], rest)
    return [_fitted(loaded, head, rest) for head, rest in ids]


def _fitted(loaded: LoadedModel, head: list[int], rest: list[int]) -> tuple[list[int], list[int]]:
    if loaded.context is None:
        return head, rest
    # The last token is only predicted, never read, so one more than the context fits.
    limit = loaded.context + 1
    rest = rest[-(limit - 1) :] if len(rest) >= limit else rest
    return head[max(0, len(head) + len(rest) - limit) :], rest


def _summed(loaded: LoadedModel, batch: Sequence[tuple[list[int], list[int]]]) -> NDArray[np.float64]:
    read = [[*head, *rest][:-1] for head, rest in batch]
    tokens, mask = pad([row or [loaded.blank_id] for row in read], "right", loaded.pad_id, loaded.device)
    logits = loaded.model(input_ids=tokens, attention_mask=mask, use_cache=False).logits.float()
    chances = torch.log_softmax(logits, -1)
    sums = np.zeros(len(batch), np.float64)
    for place, (head, rest) in enumerate(batch):
        if rest:
            wanted = torch.tensor(rest, device=loaded.device)
            places = chances[place, len(head) - 1 : len(head) - 1 + len(rest)]
            sums[place] = float(places.gather(1, wanted[:, None]).double().sum())
    return sums
