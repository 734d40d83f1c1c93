"""Vectors of a caller's own: exactly what is added, and where, in every family; no trace afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hormesis.backend.generation.generation import generate
from hormesis.backend.model.added_vectors import with_vectors
from hormesis.backend.model.export import ExportError, export_steered
from hormesis.backend.model.loaded import LoadedModel
from hormesis.backend.model.residual import decoder_layer, stream_width
from hormesis.backend.model.steering import HeadDirection, Scope, SteeringError, iti, steered
from tests.fixtures.tiny import WIDTH, tiny_loaded

IDS = torch.arange(3, 19).reshape(2, 8)
RNG = np.random.default_rng(0)


def stream_into(loaded: LoadedModel, layer: int) -> torch.Tensor:
    """What a decoder layer is given, read by a hook of the test's own."""
    inputs: list[torch.Tensor] = []

    def keep(_: Any, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        inputs.append(args[0] if args else keywords["hidden_states"])

    handle = decoder_layer(loaded, layer).register_forward_pre_hook(keep, with_kwargs=True)
    with torch.inference_mode():
        loaded.model(IDS)
    handle.remove()
    return inputs[0]


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "lfm2"])
@pytest.mark.parametrize("scope", ["all", "generated"])
def test_the_next_layer_is_given_the_stream_with_the_vector(family: str, scope: Scope) -> None:
    loaded = tiny_loaded(family)
    vector = RNG.normal(size=WIDTH).astype(np.float32)
    assert stream_width(loaded) == WIDTH
    row = with_vectors(loaded, (None, 0.0), scope, heads={}, residual={1: vector})
    before = stream_into(loaded, 2)
    with steered(loaded, [row, (None, 0.0)]):
        moved = stream_into(loaded, 2) - before
    expected = torch.zeros_like(moved)
    expected[0, slice(None) if scope == "all" else -1] = torch.from_numpy(vector)
    torch.testing.assert_close(moved, expected, atol=1e-5, rtol=0)
    assert torch.equal(stream_into(loaded, 2), before)
    modules = list(loaded.model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in modules)


def test_a_head_vector_is_iti_with_the_other_sign_and_adds_to_a_method() -> None:
    loaded = tiny_loaded("qwen3")
    unit = np.eye(loaded.head_dim, dtype=np.float32)
    method = iti(loaded.sites, [HeadDirection(0, 1, unit[2], 0.5)], "all")
    expected = iti(
        loaded.sites, [HeadDirection(0, 1, unit[2], 0.5), HeadDirection(2, 3, unit[4], 0.25)], "all"
    )
    row = with_vectors(loaded, (method, 3.0), "all", heads={(2, 3): -0.75 * unit[4]}, residual={})
    texts = [
        generate(loaded, ["rain"], seeds=[1], rows=[rows], new_tokens=20)[0].ids
        for rows in ((expected, 3.0), row, (method, 3.0))
    ]
    assert texts[0] == texts[1] != texts[2]


def test_a_saved_model_never_loses_a_residual_vector_without_a_word(tmp_path: Path) -> None:
    loaded = tiny_loaded("olmo")
    row = with_vectors(loaded, (None, 0.0), "all", heads={}, residual={0: np.ones(WIDTH, np.float32)})
    assert row[0] is not None
    with pytest.raises(ExportError, match="no bias to fold into"):
        export_steered(loaded, *row, folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("heads", "residual", "line"),
    [
        ({(0, 9): np.ones(8)}, {}, "no head 9 in layer 0"),
        ({(7, 0): np.ones(8)}, {}, "no head 0 in layer 7"),
        ({(0, 0): np.ones(5)}, {}, "the vector of head 0 of layer 0 has 5 numbers, the model needs 8"),
        ({}, {3: np.ones(WIDTH)}, "no layer 3"),
        ({}, {0: np.ones(8)}, "stream behind layer 0 has 8 numbers, the model needs 32"),
        ({}, {0: np.full(WIDTH, np.nan)}, "not finite"),
    ],
)
def test_what_does_not_fit_is_refused(heads: Any, residual: Any, line: str) -> None:
    with pytest.raises(SteeringError, match=line):
        with_vectors(tiny_loaded("olmo"), (None, 0.0), "all", heads=heads, residual=residual)
