"""The logit lens against the models themselves: what a large step along a direction does to the logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hormesis.backend.model.loaded import LoadedModel
from hormesis.backend.model.sites import output_weight
from hormesis.pipeline.geometry import logit_lens
from hormesis.pipeline.geometry.logit_lens import LensError, decode, norm_after_attention, tokens
from tests.fixtures.tiny import FAMILIES, HEADS, LAYERS, tiny_loaded

LAST = LAYERS - 1
FINAL = ("model.norm.weight", "transformer.ln_f.weight", "gpt_neox.final_layer_norm.weight")
CAPPED = {"gemma2": {"final_logit_softcapping": None}}


def loaded_without_last_mlp(family: str) -> LoadedModel:
    """A tiny model after whose last attention nothing but the final norm comes."""
    loaded = tiny_loaded(family, **CAPPED.get(family, {}))
    layer = loaded.model.get_submodule(loaded.sites[LAST].module.rsplit(".", 2)[0])
    for name, child in layer.named_children():
        if "mlp" in name:
            for weight in child.parameters():
                nn.init.zeros_(weight)
    rng = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for name, weight in loaded.model.named_parameters():
            if name.endswith(FINAL):
                weight.copy_(torch.rand(weight.shape, generator=rng) + 0.5)
        # Where the attention's output is normed before it is added, only that norm's weight makes it large.
        if (norm := norm_after_attention(loaded, LAST)) is not None:
            weight = norm.get_parameter("weight")
            weight.copy_(1e5 * (torch.rand(weight.shape, generator=rng) + 0.5))
    return loaded


def plain_norms(loaded: LoadedModel) -> None:
    """Weight 1 in every norm (Gemma's add 1 themselves): others turn a row of the unembedding away."""
    for module in loaded.model.modules():
        weight = module._parameters.get("weight")
        if weight is not None and "norm" in type(module).__name__.lower():
            weight.fill_(0.0 if type(module).__name__.startswith("Gemma") else 1.0)


def shifted_logits(loaded: LoadedModel, head: int, vector: torch.Tensor, *, size: float) -> torch.Tensor:
    """Logits of the last position where the head's output is moved by `size` times the vector."""
    site = loaded.sites[LAST]

    def move(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[Any, ...]:
        moved = inputs[0].clone()
        moved[..., head * site.head_dim : (head + 1) * site.head_dim] += size * vector
        return (moved, *inputs[1:])

    handle = loaded.model.get_submodule(site.module).register_forward_pre_hook(move)
    try:
        with torch.inference_mode():
            logits: torch.Tensor = loaded.model(torch.tensor([[5, 40, 7, 99]])).logits[0, -1]
            return logits
    finally:
        handle.remove()


@pytest.mark.parametrize("family", [*FAMILIES, "afmoe", "hyperclovax"])
def test_the_lens_is_the_models_own_answer_to_a_large_step(family: str) -> None:
    """A norm keeps nothing of the stream beside a step that dwarfs it; both signs, so that biases cancel."""
    loaded = loaded_without_last_mlp(family)
    rng = torch.Generator().manual_seed(1)
    for head in (0, HEADS - 1):
        vector = torch.randn(loaded.sites[LAST].head_dim, generator=rng)
        forward, back = (shifted_logits(loaded, head, vector, size=sign * 1e5) for sign in (1, -1))
        answer = (forward - back).double()
        answer = answer - answer.mean()
        lens = decode(loaded, LAST, head, vectors=vector.numpy()[None])[0].double()
        likeness = torch.dot(answer, lens) / (answer.norm() * lens.norm())
        assert float(likeness) > 0.9999


@pytest.mark.parametrize("family", ["llama", "olmo2", "gpt2", "gemma2"])
def test_the_direction_that_writes_a_token_gives_this_token(family: str) -> None:
    """Planted: one column of the output projection is the token's own row of the unembedding."""
    loaded = loaded_without_last_mlp(family)
    token = 123
    weight = output_weight(loaded.model.get_submodule(loaded.sites[LAST].module))
    rows = loaded.model.get_output_embeddings().weight.detach()
    head, dimension = 2, 3
    with torch.no_grad():
        plain_norms(loaded)
        weight[:, head * loaded.sites[LAST].head_dim + dimension] = rows[token]
    vector = np.zeros(loaded.sites[LAST].head_dim, dtype=np.float32)
    vector[dimension] = 1.0
    rng = np.random.default_rng(0)
    random = rng.standard_normal((50, len(vector))).astype(np.float32)
    random[:, dimension] = 0.0
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    entries = tokens(loaded, LAST, head, vector=vector, references={"random": random}, count=5)
    top = [entry for entry in entries if entry.side == "top"]
    assert top[0].token_id == token and top[0].logit > top[0].reference["random"]
    assert [entry.rank for entry in top] == [1, 2, 3, 4, 5]
    turned = tokens(loaded, LAST, head, vector=-vector, references={"random": random}, count=5)
    low = next(entry for entry in turned if entry.side == "bottom" and entry.rank == 1)
    assert low.token_id == token and low.logit < low.reference["random"]
    if family in ("llama", "gpt2"):  # elsewhere, normed before it is added, a step cannot dwarf the stream
        assert int(shifted_logits(loaded, head, torch.from_numpy(vector), size=1e5).argmax()) == token


def test_logits_by_hand() -> None:
    loaded = tiny_loaded("llama")
    with torch.no_grad():
        loaded.model.model.norm.weight.copy_(torch.rand(32) + 0.5)
    vectors = np.random.default_rng(2).standard_normal((3, 8)).astype(np.float32)
    weight = loaded.model.model.layers[1].self_attn.o_proj.weight.detach().numpy()
    unembedding = loaded.model.lm_head.weight.detach().numpy()
    norm = loaded.model.model.norm.weight.detach().numpy()
    expected = (vectors @ weight[:, 8:16].T * norm) @ unembedding.T
    expected -= expected.mean(axis=1, keepdims=True)
    assert decode(loaded, 1, 1, vectors=vectors).numpy() == pytest.approx(expected, abs=1e-5)
    # Twice the direction says the same twice as loudly; many at once are each by itself.
    assert decode(loaded, 1, 1, vectors=2 * vectors[:1])[0].numpy() == pytest.approx(
        2 * expected[0], abs=1e-5
    )


def test_references_are_what_five_in_a_hundred_directions_pass() -> None:
    loaded = tiny_loaded("llama")
    random = np.random.default_rng(3).standard_normal((150, 8)).astype(np.float32)
    entries = tokens(loaded, 0, 0, vector=random[0], references={"random": random}, count=4)
    logits = decode(loaded, 0, 0, vectors=random).numpy()
    most, least = np.sort(logits, axis=1)[:, ::-1], np.sort(logits, axis=1)
    for entry in entries:
        column = (most if entry.side == "top" else -least)[:, entry.rank - 1]
        expected = np.quantile(column, 0.95) * (1 if entry.side == "top" else -1)
        assert entry.reference["random"] == pytest.approx(expected, abs=1e-5)
        assert entry.logit == pytest.approx(
            (most if entry.side == "top" else least)[0, entry.rank - 1], abs=1e-6
        )
        assert entry.token.strip()


def test_what_has_no_lens_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tiny_loaded("llama")
    with pytest.raises(LensError, match="no head 9"):
        decode(loaded, 0, 9, vectors=np.zeros((1, 8), np.float32))
    monkeypatch.setattr(logit_lens, "FINAL_NORMS", ("closing",))
    with pytest.raises(LensError, match="final norm"):
        decode(loaded, 0, 0, vectors=np.zeros((1, 8), np.float32))
