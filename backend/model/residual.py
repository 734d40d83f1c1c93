"""The residual stream behind decoder layers: hooks that move what a layer gives on to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hormesis.backend.model.sites import output_weight

if TYPE_CHECKING:
    from hormesis.backend.model.loaded import LoadedModel

Move = Callable[[torch.Tensor], torch.Tensor]
"""Takes activations `(rows, tokens, width)` and returns the moved ones; the argument stays as it is."""


def decoder_layer(loaded: LoadedModel, layer: int) -> nn.Module:
    """A decoder layer by its number, also one without attention."""
    site = loaded.sites[0]
    parts = site.module.split(".")
    layers = ".".join(parts[: parts.index(str(site.layer))])
    module: nn.Module = loaded.model.get_submodule(f"{layers}.{layer}")
    return module


def stream_width(loaded: LoadedModel) -> int:
    """Width of the residual stream, which every attention site writes to."""
    return int(output_weight(loaded.model.get_submodule(loaded.sites[0].module)).shape[0])


@contextmanager
def residual_hooked(loaded: LoadedModel, moves: Mapping[int, Move]) -> Iterator[None]:
    """Within the block, what each layer named in `moves` gives on is moved; no hook is left after it."""
    handles = []
    try:
        for layer, move in moves.items():
            handles.append(decoder_layer(loaded, layer).register_forward_hook(_hook(move)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hook(move: Move) -> Callable[[nn.Module, Any, Any], Any]:
    # Families differ in whether a layer gives the stream alone or the first of several.
    return lambda _, __, output: (move(output[0]), *output[1:]) if isinstance(output, tuple) else move(output)
