"""Steering: what it adds and where, that it leaves no trace, and that exports equal it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from hormesis.backend.model.export import ExportError, export_steered, save_plain
from hormesis.backend.model.loaded import LoadedModel
from hormesis.backend.model.models import describe, load_model
from hormesis.backend.model.steering import HeadDirection, Intervention, Scope, SteeringError, iti, steered
from tests.fixtures.tiny import some_heads, tiny_loaded, tiny_model, tiny_tokenizer

IDS = torch.arange(3, 27).reshape(3, 8)


def some_intervention(loaded: LoadedModel, scope: Scope = "all", seed: int = 0) -> Intervention:
    return iti(loaded.sites, some_heads(loaded, seed), scope)


def logits(loaded: LoadedModel, ids: torch.Tensor = IDS) -> torch.Tensor:
    with torch.inference_mode():
        result: torch.Tensor = loaded.model(ids).logits
    return result


def hooks(loaded: LoadedModel) -> int:
    return sum(
        len(module._forward_pre_hooks) + len(module._forward_hooks) for module in loaded.model.modules()
    )


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
@settings(max_examples=25, deadline=None)
def test_iti_is_minus_sigma_times_the_vector(seed: int, count: int) -> None:
    loaded = _llama()
    heads = some_heads(loaded, seed, count)
    intervention = iti(loaded.sites, heads)
    assert intervention.n_heads == count and intervention.scope == "generated"
    expected = np.zeros((loaded.n_layers, loaded.n_heads, loaded.head_dim), np.float32)
    for head in heads:
        expected[head.layer, head.head] = -head.sigma * head.vector
    for layer in range(loaded.n_layers):
        got = intervention.shifts.get(layer, np.zeros(loaded.n_heads * loaded.head_dim))
        np.testing.assert_allclose(got.reshape(loaded.n_heads, -1), expected[layer], rtol=1e-6)


_CACHE: dict[str, LoadedModel] = {}


def _llama() -> LoadedModel:
    return _CACHE.setdefault("llama", tiny_loaded())


@pytest.mark.parametrize("family", ["llama", "gpt2", "lfm2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_strength_zero_beside_steered_rows_is_bit_identical(family: str, dtype: torch.dtype) -> None:
    loaded = describe(tiny_model(family, dtype=dtype), tiny_tokenizer(), check=False)
    bare = logits(loaded)
    for scope in ("all", "generated"):
        intervention = some_intervention(loaded, scope)  # type: ignore[arg-type]
        with steered(loaded, [(intervention, 0.0), (intervention, 3.0), (None, 5.0)]):
            mixed = logits(loaded)
        assert torch.equal(mixed[0], bare[0]) and torch.equal(mixed[2], bare[2])
        assert not torch.equal(mixed[1], bare[1])


def test_rows_are_steered_apart() -> None:
    loaded = _llama()
    first, other = some_intervention(loaded, "all", 1), some_intervention(loaded, "generated", 2)
    with steered(loaded, [(first, 2.0), (other, 1.0), (first, -1.0)]):
        together = logits(loaded)
    for row, steering in enumerate([(first, 2.0), (other, 1.0), (first, -1.0)]):
        with steered(loaded, steering):
            alone = logits(loaded, IDS[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-5)


def test_scope_says_which_positions_are_steered() -> None:
    loaded = _llama()
    bare = logits(loaded)
    with steered(loaded, (some_intervention(loaded, "generated"), 3.0)):
        last = logits(loaded)
    with steered(loaded, (some_intervention(loaded, "all"), 3.0)):
        everywhere = logits(loaded)
    with steered(loaded, (some_intervention(loaded, "generated"), 3.0), first=0):
        taught = logits(loaded)
    assert torch.equal(last[:, :-1], bare[:, :-1]) and not torch.equal(last[:, -1], bare[:, -1])
    assert not torch.equal(everywhere[:, 0], bare[:, 0])
    assert torch.equal(everywhere, taught)


def test_no_trace_is_left_and_hooks_of_others_stay() -> None:
    loaded = _llama()
    bare, calls = logits(loaded), []
    handle = loaded.model.get_submodule(loaded.sites[1].module).register_forward_pre_hook(
        lambda module, args: calls.append(1)
    )
    intervention = some_intervention(loaded)
    try:
        with (
            pytest.raises(KeyError),
            steered(loaded, (intervention, 2.0)),
            steered(loaded, [(intervention, 1.0)] * 3),
        ):
            raise KeyError
        assert hooks(loaded) == 1
        logits(loaded)
        assert len(calls) == 1
    finally:
        handle.remove()
    assert hooks(loaded) == 0 and torch.equal(logits(loaded), bare)


def test_nested_blocks_add_up() -> None:
    loaded = _llama()
    intervention = some_intervention(loaded)
    with steered(loaded, (intervention, 1.0)), steered(loaded, (intervention, 2.0)):
        nested = logits(loaded)
    with steered(loaded, (intervention, 3.0)):
        torch.testing.assert_close(nested, logits(loaded), atol=1e-5, rtol=1e-5)


def test_nothing_to_do_sets_no_hook() -> None:
    loaded = _llama()
    with steered(loaded, [(None, 3.0), (some_intervention(loaded), 0.0)]):
        assert hooks(loaded) == 0


def test_what_does_not_fit_is_refused() -> None:
    loaded = _llama()
    intervention = some_intervention(loaded)
    good = some_heads(loaded)[0]
    wrong = (
        HeadDirection(99, 0, good.vector, 1.0),
        HeadDirection(0, 4, good.vector, 1.0),
        HeadDirection(0, 0, good.vector[:3], 1.0),
        HeadDirection(0, 0, good.vector * 2, 1.0),
        HeadDirection(0, 0, good.vector, float("nan")),
    )
    for head in wrong:
        with pytest.raises(SteeringError):
            iti(loaded.sites, [head])
    with pytest.raises(SteeringError, match="twice"):
        iti(loaded.sites, [good, good])
    with pytest.raises(SteeringError, match="batch of 3"), steered(loaded, [(intervention, 1.0)] * 2):
        logits(loaded)
    foreign = Intervention({7: np.ones(32, np.float32)}, 1, "all")
    for candidate, strength in ((foreign, 1.0), (intervention, float("inf"))):
        with pytest.raises(SteeringError), steered(loaded, (candidate, strength)):
            pass
    assert hooks(loaded) == 0


@pytest.mark.parametrize(
    "family", ["olmo", "olmo3", "gpt2", "gpt_neox", "gemma2", "gemma4_text", "granitemoehybrid", "qwen3_next"]
)
def test_an_exported_checkpoint_equals_live_steering(family: str, tmp_path: Path) -> None:
    loaded = tiny_loaded(family)
    intervention = some_intervention(loaded, "generated")
    folder = export_steered(loaded, intervention, 2.0, folder=tmp_path / "steered")
    plain = AutoModelForCausalLM.from_pretrained(folder)
    with steered(loaded, (intervention, 2.0), first=0):
        live = logits(loaded)
    with torch.inference_mode():
        torch.testing.assert_close(plain(IDS).logits, live, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(live, logits(loaded), atol=1e-2)
    note = json.loads((folder / "steering.json").read_text())
    assert (
        note["strength"] == 2.0 and note["layers"] == sorted(intervention.shifts) and note["scope"] == "all"
    )
    assert (
        AutoTokenizer.from_pretrained(folder)("rain falls").input_ids
        == loaded.tokenizer("rain falls").input_ids
    )
    assert load_model(folder).shapes == loaded.shapes


@pytest.mark.parametrize("family", ["qwen2", "phi3"])
def test_families_without_the_switch_are_refused(family: str, tmp_path: Path) -> None:
    loaded = tiny_loaded(family)
    with pytest.raises(ExportError, match="no switch for a bias"):
        export_steered(loaded, some_intervention(loaded), 1.0, folder=tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_export_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tiny_loaded()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    with pytest.raises(ExportError, match="exists already"):
        export_steered(loaded, some_intervention(loaded), 1.0, folder=tmp_path / "taken")
    with pytest.raises(ExportError, match="finite"):
        export_steered(loaded, some_intervention(loaded), float("nan"), folder=tmp_path / "x")

    def fail(folder: Path) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(loaded.tokenizer, "save_pretrained", fail)
    with pytest.raises(OSError, match="no space"):
        save_plain(loaded, tmp_path / "full")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_plain_copy_is_the_same_model(tmp_path: Path) -> None:
    loaded = tiny_loaded("gpt2")
    copy = load_model(save_plain(loaded, tmp_path / "copy"))
    assert torch.equal(logits(copy), logits(loaded))
