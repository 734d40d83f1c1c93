"""Capture: equal to reading one text at a time by hand, in order, pooled, cut, on disk, without a trace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hormesis.backend.capture import CaptureError, Position, capture_to_file, iter_head_activations
from hormesis.backend.model.loaded import LoadedModel
from tests.fixtures.tiny import FAMILIES, tiny_loaded

TEXTS = [
    "the cat sleeps",
    "a quiet baker sells warm bread near the river all day",
    "",
    "rain",
    "she reads",
    "stars and ships and the old chair on the green hill",
]


def by_hand(loaded: LoadedModel, ids: list[int], position: str) -> np.ndarray:
    """Float32 `(layers, heads, head_dim)` of one text alone, from hooks written here."""
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
    stacked = torch.stack(captured)
    pooled = stacked[:, -1] if position == "last" else stacked.mean(1)
    return pooled.reshape(loaded.n_layers, loaded.n_heads, loaded.head_dim).numpy()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("position", ["last", "mean"])
def test_equals_one_text_at_a_time(family: str, position: Position) -> None:
    loaded = tiny_loaded(family)
    batches = list(iter_head_activations(loaded, TEXTS, position=position, batch_size=4))
    assert [len(batch) for batch in batches] == [4, 2] and batches[0].dtype == np.float32
    for text, got in zip(TEXTS, np.concatenate(batches), strict=True):
        ids = loaded.tokenizer(text).input_ids or [loaded.blank_id]
        np.testing.assert_allclose(got, by_hand(loaded, ids, position), atol=2e-5)


def test_the_file_is_layer_major_and_in_order(tmp_path: Path) -> None:
    loaded = tiny_loaded()
    places: list[tuple[int, int]] = []
    texts = TEXTS * 7
    path = tmp_path / "heads.npy"
    got = capture_to_file(loaded, texts, path, batch_size=4, progress=lambda *at: places.append(at))
    assert got.shape == (3, len(texts), 4, 8) and places[-1] == (42, 42)
    streamed = np.concatenate(list(iter_head_activations(loaded, texts, batch_size=1)))
    np.testing.assert_allclose(got.swapaxes(0, 1), streamed, atol=2e-5)
    assert np.load(path, mmap_mode="r")[1].flags.c_contiguous
    assert not any(module._forward_pre_hooks for module in loaded.model.modules())


def test_a_stopped_capture_leaves_nothing(tmp_path: Path) -> None:
    loaded = tiny_loaded()

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        capture_to_file(loaded, TEXTS, tmp_path / "heads.npy", progress=stop)
    assert not list(tmp_path.iterdir())
    assert not any(module._forward_pre_hooks for module in loaded.model.modules())


def test_long_texts_keep_their_end() -> None:
    loaded = tiny_loaded()
    long = " ".join(["rain falls on the hill"] * 40)
    ids = loaded.tokenizer(long).input_ids
    for limit, length in ((None, 64), (10, 10), (999, 64)):
        (got,) = iter_head_activations(loaded, [long], max_tokens=limit)
        np.testing.assert_allclose(got[0], by_hand(loaded, ids[-length:], "last"), atol=2e-5)


def test_no_logits_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tiny_loaded()
    monkeypatch.setattr(loaded.model.lm_head, "forward", None)
    assert next(iter_head_activations(loaded, ["rain"])).shape == (1, 3, 4, 8)


def test_nothing_to_read(tmp_path: Path) -> None:
    loaded = tiny_loaded()
    assert list(iter_head_activations(loaded, [])) == []
    with pytest.raises(CaptureError, match="no text"):
        capture_to_file(loaded, [], tmp_path / "x.npy")
    with pytest.raises(CaptureError, match="position"):
        next(iter_head_activations(loaded, ["a"], position="first"))  # type: ignore[arg-type]
