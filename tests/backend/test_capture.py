"""Capture: equal to reading one text at a time by hand, in order, pooled, cut, on disk, without a trace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hormesis.backend.capture import CaptureError, HeadActivations, Position, capture, mean_embeddings
from hormesis.backend.model.loaded import LoadedModel
from tests.fixtures.tiny import tiny_loaded

TEXTS = [
    "the cat sleeps",
    "a quiet baker sells warm bread near the river all day",
    "",
    "rain",
    "she reads",
    "stars and ships and the old chair on the green hill",
]


def stacked(activations: HeadActivations) -> np.ndarray:
    """`(texts, layers, heads, head_dim)` of a model whose layers are alike."""
    return np.stack(list(activations.values()), axis=1)


def by_hand(loaded: LoadedModel, ids: list[int], position: str) -> np.ndarray:
    """Float32 `(layers, heads, head_dim)` of one text alone, from hooks of the test's own."""
    captured: list[torch.Tensor] = []
    handles = [
        loaded.model.get_submodule(site.module).register_forward_pre_hook(
            lambda module, args: captured.append(args[0][0])
        )
        for site in loaded.sites
    ]
    with torch.inference_mode():
        loaded.model(torch.tensor([ids]))
    for handle in handles:
        handle.remove()
    outputs = torch.stack(captured)
    pooled = outputs[:, -1] if position == "last" else outputs.mean(1)
    return pooled.reshape(loaded.n_layers, loaded.n_heads, loaded.head_dim).numpy()


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3"])
@pytest.mark.parametrize("position", ["last", "mean"])
def test_equals_one_text_at_a_time(family: str, position: Position) -> None:
    loaded = tiny_loaded(family)
    activations = stacked(capture(loaded, TEXTS, position=position, batch_size=4))
    assert activations.dtype == np.float32
    for text, got in zip(TEXTS, activations, strict=True):
        ids = loaded.tokenizer(text).input_ids or [loaded.blank_id]
        np.testing.assert_allclose(got, by_hand(loaded, ids, position), atol=2e-5)


def test_the_file_is_layer_major_and_in_order(tmp_path: Path) -> None:
    loaded = tiny_loaded()
    places: list[tuple[int, int]] = []
    texts = TEXTS * 7
    path = tmp_path / "heads.npy"
    got = capture(loaded, texts, path=path, batch_size=4, progress=lambda *at: places.append(at))
    assert [block.shape for block in got.values()] == [(len(texts), 4, 8)] * 3 and places[-1] == (42, 42)
    assert all(isinstance(block, np.memmap) and block.flags.c_contiguous for block in got.values())
    np.testing.assert_allclose(stacked(got), stacked(capture(loaded, texts, batch_size=1)), atol=2e-5)
    np.testing.assert_array_equal(np.load(path), np.concatenate([got[layer].ravel() for layer in range(3)]))
    assert not any(module._forward_pre_hooks for module in loaded.model.modules())


def test_a_stopped_capture_leaves_nothing(tmp_path: Path) -> None:
    loaded = tiny_loaded()

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        capture(loaded, TEXTS, path=tmp_path / "heads.npy", progress=stop)
    assert not list(tmp_path.iterdir())
    assert not any(module._forward_pre_hooks for module in loaded.model.modules())


def test_long_texts_keep_their_end() -> None:
    loaded = tiny_loaded()
    long = " ".join(["rain falls on the hill"] * 40)
    ids = loaded.tokenizer(long).input_ids
    for limit, length in ((None, 64), (10, 10), (999, 64)):
        got = stacked(capture(loaded, [long], max_tokens=limit))
        np.testing.assert_allclose(got[0], by_hand(loaded, ids[-length:], "last"), atol=2e-5)


def test_no_logits_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tiny_loaded()
    monkeypatch.setattr(loaded.model.lm_head, "forward", None)
    assert stacked(capture(loaded, ["rain"])).shape == (1, 3, 4, 8)


def test_nothing_to_read(tmp_path: Path) -> None:
    loaded = tiny_loaded()
    with pytest.raises(CaptureError, match="no text"):
        capture(loaded, [], path=tmp_path / "x.npy")
    with pytest.raises(CaptureError, match="position"):
        capture(loaded, ["a"], position="first")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("family", "shapes"),
    [("inkling_text", {0: (2, 2, 8), 1: (2, 2, 8), 2: (2, 4, 16)}), ("lfm2", {1: (2, 4, 8)})],
)
def test_layers_may_differ_in_heads_or_lack_them(
    family: str, shapes: dict[int, tuple[int, ...]], tmp_path: Path
) -> None:
    loaded = tiny_loaded(family)
    texts = TEXTS[:2]
    got = capture(loaded, texts, path=tmp_path / "heads.npy")
    assert {layer: block.shape for layer, block in got.items()} == shapes
    for row, text in enumerate(texts):
        alone = capture(loaded, [text])
        for layer, block in got.items():
            np.testing.assert_allclose(block[row], alone[layer][0], atol=2e-5)


def test_nothing_is_computed_behind_the_last_head() -> None:
    loaded = tiny_loaded()
    modules = dict(loaded.model.named_modules())
    modules_run: list[str] = []
    for name in ("model.layers.1.mlp", "model.layers.2.self_attn.o_proj", "model.layers.2.mlp", "model.norm"):
        modules[name].register_forward_hook(lambda *_, name=name: modules_run.append(name))
    capture(loaded, ["rain"])
    assert modules_run == ["model.layers.1.mlp"]


def test_mean_embeddings_are_over_the_tokens_that_capture_reads() -> None:
    loaded = tiny_loaded("gpt2")
    table = loaded.model.get_input_embeddings().weight.detach().numpy()
    for text, mean in zip(TEXTS, mean_embeddings(loaded, TEXTS), strict=True):
        ids = loaded.tokenizer(text).input_ids or [loaded.blank_id]
        np.testing.assert_allclose(mean, table[ids].mean(0), atol=1e-6)
    np.testing.assert_array_equal(
        mean_embeddings(loaded, TEXTS[:1], max_tokens=1)[0], table[loaded.tokenizer(TEXTS[0]).input_ids[-1]]
    )
