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
        """`loss_mask`: 1 where a token is trained on, as long as `stream`; None trains on all.

        A token that is not trained on stays in the context of those after it; its label is -100.
        """
        self.length = length
        self.steps = len(stream) // length // batch_size
        count = self.steps * batch_size
        self.windows = stream[: count * length].reshape(count, length)
        self.trained = None if loss_mask is None else loss_mask[: count * length].reshape(count, length)

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> Batch:
        first, last = indices[0], indices[-1]
        run = last - first + 1 == len(indices)  # the sampler is sequential, so nearly always a plain slice
        ids = self.windows[first : last + 1] if run else self.windows[indices]
        tokens = torch.from_numpy(ids.astype(np.int64))
        if self.trained is None:
            return {"input_ids": tokens, "labels": tokens}
        mask = self.trained[first : last + 1] if run else self.trained[indices]
        return {"input_ids": tokens, "labels": tokens.masked_fill(torch.from_numpy(mask == 0), IGNORED)}


def as_is(batch: Batch) -> Batch:
    """Collator of `Windows`, whose items are batches already."""
    return batch


@torch.no_grad()
def window_loss(
    model: nn.Module, windows: NDArray[np.int64], batch_size: int, *, rank: int = 0, world: int = 1
) -> tuple[float, int]:
    """Sum of one-ahead cross-entropies in nats and their number, over windows [n, T] of this rank.

    Every window counts T - 1 predictions. The model's mode is restored afterwards.
    """
    training = model.training
    device = next(model.parameters()).device
    total = torch.zeros((), dtype=torch.float64, device=device)
    count = 0
    model.eval()
    try:
        for first in range(rank * batch_size, len(windows), world * batch_size):
            ids = torch.from_numpy(windows[first : first + batch_size]).to(device)
            predictions = ids.shape[0] * (ids.shape[1] - 1)
            total += model(input_ids=ids, labels=ids, use_cache=False).loss.double() * predictions
            count += predictions
    finally:
        model.train(training)
    return float(total), count
