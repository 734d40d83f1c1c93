"""Layers below the steered ones, read once: the same numbers to the bit as reading all of them each time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from hormesis.backend import lower_layers
from hormesis.backend.crossentropy import prepare_windows, window_losses
from hormesis.backend.lower_layers import LowerLayers
from hormesis.backend.model.loaded import LoadedModel
from hormesis.backend.model.residual import decoder_layer
from hormesis.backend.model.steering import HeadDirection, Intervention, iti
from tests.fixtures.tiny import FAMILIES, tiny_loaded

DOCUMENTS = ["the baker sells warm bread near the river", "rain", "stars and ships and the old chair " * 4]


def _steering(loaded: LoadedModel, layer: int) -> Intervention:
    vector = np.eye(1, loaded.head_dim, dtype=np.float32)[0]
    return iti(loaded.sites, [HeadDirection(layer, 0, vector, 1.0)])


def _calls(loaded: LoadedModel, layer: int) -> list[int]:
    calls: list[int] = []
    module = decoder_layer(loaded, layer)
    next(module.children()).register_forward_hook(lambda *_: calls.append(layer))
    return calls


@pytest.mark.parametrize("family", FAMILIES)
def test_losses_are_the_same_to_the_bit(family: str) -> None:
    loaded = tiny_loaded(family)
    top, lower, calls = loaded.n_layers - 1, LowerLayers(), _calls(loaded, 0)
    prefix = tuple(loaded.tokenizer("be kind").input_ids)
    windows = prepare_windows(loaded, DOCUMENTS, 16, prompt_tokens=3)
    # Another prefix, a lower layer and an unsteered pass between: what was kept must fit or be dropped.
    runs = [
        (top, 0.0, ()),
        (top, 1.0, ()),
        (top, 2.0, ()),
        (top, 4.0, ()),
        (top, 4.0, prefix),
        (top, 2.0, prefix),
    ]
    runs += [(top - 1, 1.0, ()), (top - 1, 2.0, ()), (top, 1.0, ()), (top, 0.0, ())]
    for layer, strength, before in runs:
        row = (_steering(loaded, layer), strength)
        anew = window_losses(loaded, windows, rows=row, batch_size=2, prefix=before)
        calls.clear()
        shared = window_losses(loaded, windows, rows=row, batch_size=2, prefix=before, lower=lower)
        assert np.array_equal(anew.nats, shared.nats)
    assert not calls and not any("forward" in vars(module) for module in loaded.model.modules())


def test_another_model_or_text_is_read_anew() -> None:
    lower = LowerLayers()
    for seed in (0, 1):
        loaded = tiny_loaded(seed=seed)
        for texts in (DOCUMENTS, DOCUMENTS[::-1]):
            windows, row = prepare_windows(loaded, texts, 16), (_steering(loaded, 2), 2.0)
            for _ in range(2):
                shared = window_losses(loaded, windows, rows=row, lower=lower)
                assert np.array_equal(shared.nats, window_losses(loaded, windows, rows=row).nats)


@pytest.mark.parametrize("read", [lambda state: state.pop("x"), lambda state: state.pop("x", 0.0)])
def test_layers_that_share_more_than_the_stream_are_read_anew(read: Callable[[dict[str, Any]], Any]) -> None:
    loaded, state, lower = tiny_loaded(), {}, LowerLayers()
    first, last = decoder_layer(loaded, 0), decoder_layer(loaded, 2)
    first.mlp.register_forward_hook(lambda _, __, output: state.update(x=output))  # type: ignore[union-attr]
    last.mlp.register_forward_hook(lambda _, __, output: output + read(state))  # type: ignore[union-attr]
    windows = prepare_windows(loaded, DOCUMENTS, 16)
    for strength in (1.0, 2.0, 3.0):
        row = (_steering(loaded, 2), strength)
        shared = window_losses(loaded, windows, rows=row, lower=lower)
        assert np.array_equal(shared.nats, window_losses(loaded, windows, rows=row).nats)


def test_a_text_that_does_not_fit_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lower_layers, "MOST_BYTES", 100)
    loaded, lower = tiny_loaded(), LowerLayers()
    calls, windows = _calls(loaded, 0), prepare_windows(loaded, DOCUMENTS, 16)
    for strength in (1.0, 2.0, 3.0):
        calls.clear()
        window_losses(loaded, windows, rows=(_steering(loaded, 2), strength), lower=lower)
        assert calls


def test_what_layers_above_write_into_is_a_copy() -> None:
    loaded, lower = tiny_loaded(), LowerLayers()
    windows = prepare_windows(loaded, DOCUMENTS, 16)
    decoder_layer(loaded, 2).register_forward_pre_hook(lambda _, args: _scale(args[0]))
    for strength in (1.0, 2.0, 3.0):
        row = (_steering(loaded, 2), strength)
        shared = window_losses(loaded, windows, rows=row, lower=lower)
        assert np.array_equal(shared.nats, window_losses(loaded, windows, rows=row).nats)


def _scale(stream: torch.Tensor) -> None:
    stream.mul_(1.5)
