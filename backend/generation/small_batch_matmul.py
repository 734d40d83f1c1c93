"""Small-batch matrix multiplication on CPUs: products of a decode step that read the weights once.

A decode step is bound by reading the weights. On
CPUs the float32 product `x @ W.T` of 2 to 6 rows takes two to three times as long as that of one row, because
the general kernel repacks the weights; the same product as `(W @ x.T).T` takes 1.1 to 1.7 times as long.
Both sum in the same order up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from hormesis.backend.model.loaded import LoadedModel

MOST_ROWS = 6
"""Rows up to which the turned product was never slower (measured from 1 to 8)."""


@contextmanager
def small_batch_matmul(loaded: LoadedModel) -> Iterator[None]:
    """Within the block, linear layers multiply 2 to `MOST_ROWS` rows the quick way; other inputs as ever.

    Does nothing on a GPU or where the weights are not float32. Layers whose `forward` somebody else has
    replaced are left alone; hooks run as before. The model is left as it was found.
    """
    patched: list[nn.Linear] = []
    try:
        if loaded.device.type == "cpu" and loaded.dtype == torch.float32:
            for module in loaded.model.modules():
                if type(module) is nn.Linear and "forward" not in vars(module):
                    vars(module)["forward"] = _forward(module)
                    patched.append(module)
        yield
    finally:
        for module in patched:
            del vars(module)["forward"]


def _forward(layer: nn.Linear) -> Callable[[torch.Tensor], torch.Tensor]:
    """The `forward` that takes the place of a layer's own, for inputs `(..., features)`."""
    plain_forward = layer.forward

    def forward(x: torch.Tensor) -> torch.Tensor:
        n_rows = x.numel() // max(1, x.shape[-1])
        if not 2 <= n_rows <= MOST_ROWS or x.dtype != layer.weight.dtype:
            return plain_forward(x)
        product = torch.mm(layer.weight, x.reshape(n_rows, -1).t()).t().contiguous()
        if layer.bias is not None:
            product += layer.bias
        return product.view(*x.shape[:-1], -1)

    return forward
