"""Windows over a token stream as the Trainer wants them, and the loss on fixed held-out windows.

Knows tensors only. Labels are the input ids themselves: Hugging Face's causal models shift them by one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import Dataset

Batch = dict[str, torch.Tensor]
IGNORED = -100
"""The label that cross-entropy leaves out."""


class Windows(Dataset[Batch]):
    """Consecutive windows of a memory-mapped token stream; whole batches only, the tail is left out.

    The DataLoader asks for a whole batch at once (`__getitems__`), so one read makes one int64 tensor
    [batch, length] and no collation is needed.
    """

    def __init__(
        self, stream: NDArray[Any], length: int, batch_size: int, loss_mask: NDArray[np.uint8] | None = None
    ) -> None:
        """`stream` [tokens] of ids; `loss_mask` [tokens]: 1 where one is trained on; None trains on all.

        A token that is not trained on stays in the context of those after it; its label is -100.
        """
        self.length = length
        self.steps = len(stream) // length // batch_size
        n_used = self.steps * batch_size
        self.windows = stream[: n_used * length].reshape(n_used, length)
        self.trained = None if loss_mask is None else loss_mask[: n_used * length].reshape(n_used, length)

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> Batch:
        """The batch of these windows: ids and labels, int64 [batch, length]."""
        first, last = indices[0], indices[-1]
        in_row = last - first + 1 == len(indices)  # the sampler is sequential, so nearly always a plain slice
        ids = self.windows[first : last + 1] if in_row else self.windows[indices]
        tokens = torch.from_numpy(ids.astype(np.int64))
        if self.trained is None:
            return {"input_ids": tokens, "labels": tokens}
        mask = self.trained[first : last + 1] if in_row else self.trained[indices]
        return {"input_ids": tokens, "labels": tokens.masked_fill(torch.from_numpy(mask == 0), IGNORED)}


def as_is(batch: Batch) -> Batch:
    """Collator of `Windows`, whose items are batches already."""
    return batch


@torch.no_grad()
def window_loss(
    model: nn.Module, windows: NDArray[np.int64], batch_size: int, *, rank: int = 0, world: int = 1
) -> tuple[float, int]:
    """Sum of one-ahead cross-entropies in nats and their number, over windows [n, T] of this rank of `world`.

    `batch_size` counts windows, each of T - 1 predictions. The model's mode is restored afterwards. All ranks
    call the model equally often, as a sharded one must be: a rank without windows left reads one for nothing.
    """
    was_training = model.training
    device = next(model.parameters()).device
    nats = torch.zeros((), dtype=torch.float64, device=device)
    n_predicted = 0
    model.eval()
    try:
        for turn in range(0, len(windows), world * batch_size):
            first = turn + rank * batch_size
            rows = windows[first : first + batch_size]
            predictions = rows.shape[0] * (rows.shape[1] - 1)
            ids = torch.from_numpy(rows if predictions else windows[:1]).to(device)
            nats += model(input_ids=ids, labels=ids, use_cache=False).loss.double() * predictions
            n_predicted += predictions
    finally:
        model.train(was_training)
    return float(nats), n_predicted
