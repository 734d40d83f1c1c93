"""The file of vectors: equal to our hooks, by hand and in each tool of the README that is installed."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from hormesis.backend.model.loaded import LoadedModel
from hormesis.backend.model.models import load_model
from hormesis.backend.model.steering import iti, steered
from hormesis.backend.model.vectors import VectorsError, write_vectors
from tests.backend.model.test_steering import IDS, logits
from tests.fixtures.tiny import save_tiny, some_heads, tiny_loaded

README = Path(__file__).resolve().parents[3] / "README.md"
TOOLS = {
    "pyvene": "pyvene",
    "nnsight": "nnsight",
    "transformer_lens": "transformer-lens",
    "steering_vectors": "steering-vectors",
}
"""Modules, with the packages that hold them."""


def live(loaded: LoadedModel, strength: float) -> torch.Tensor:
    with steered(loaded, (iti(loaded.sites, some_heads(loaded)), strength), first=0):
        return logits(loaded)


@pytest.mark.parametrize("family", ["llama", "gpt2", "lfm2", "inkling_text"])
def test_both_forms_equal_our_hooks(family: str, tmp_path: Path) -> None:
    loaded = tiny_loaded(family)
    path = tmp_path / "new" / "v.safetensors"
    write_vectors(loaded, some_heads(loaded), 2.0, path=path, metadata={"scope": "generated"})
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    expected = live(loaded, 2.0)
    for form in ("heads", "residual"):
        handles = []
        for layer, name in json.loads(metadata["modules"]).items():
            shift, module = tensors[f"{form}.{layer}"], loaded.model.get_submodule(name)
            if form == "heads":
                assert (int(layer), *shift.shape) in loaded.shapes
                add = lambda _, args, shift=shift: (args[0] + shift.flatten(), *args[1:])  # noqa: E731
                handles.append(module.register_forward_pre_hook(add))
            else:
                add = lambda _, args, output, shift=shift: output + shift  # noqa: E731
                handles.append(module.register_forward_hook(add))
        torch.testing.assert_close(logits(loaded), expected, atol=1e-5, rtol=1e-5)
        for handle in handles:
            handle.remove()
    assert (logits(loaded) - expected).abs().max() > 1e-2
    heads = [(head["layer"], head["head"], head["sigma"]) for head in json.loads(metadata["heads"])]
    assert heads == [(head.layer, head.head, head.sigma) for head in some_heads(loaded)]
    assert (metadata["scope"], metadata["strength"]) == ("generated", "2")
    assert "away from toxicity" in metadata["sign"]


@pytest.mark.parametrize("module", TOOLS)
def test_the_snippet_of_the_readme_equals_our_hooks(module: str, tmp_path: Path) -> None:
    pytest.importorskip(module, reason=f"{TOOLS[module]} is not installed")
    folder = save_tiny(tmp_path / "model", "olmo")
    loaded = load_model(folder)
    path = write_vectors(loaded, some_heads(loaded), 2.0, path=tmp_path / "v.safetensors", metadata={})
    section = README.read_text().split("## Vectors in other tools")[1]
    opening, *blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    block = next(text for text in blocks if re.match(rf"(import|from) {module}\b", text))
    script = tmp_path / "snippet.py"
    text = opening.replace("FILE", str(path)).replace("CHECKPOINT", str(folder)) + block
    script.write_text(text.replace("CHECKPOINT", str(folder)))
    with torch.no_grad():
        names = runpy.run_path(str(script), init_globals={"ids": IDS, "tokenizer": loaded.tokenizer})
    torch.testing.assert_close(names["logits"], live(loaded, 2.0), atol=1e-5, rtol=1e-5)


def test_what_shifts_nothing_and_what_exists_is_refused(tmp_path: Path) -> None:
    loaded = tiny_loaded()
    for heads, strength in ((some_heads(loaded), 0.0), ([], 1.0), (some_heads(loaded), float("nan"))):
        with pytest.raises(VectorsError, match="shift nothing"):
            write_vectors(loaded, heads, strength, path=tmp_path / "v", metadata={})
    (tmp_path / "v").touch()
    with pytest.raises(VectorsError, match="exists already"):
        write_vectors(loaded, some_heads(loaded), 1.0, path=tmp_path / "v", metadata={})


def test_the_vector_can_be_read_back_from_its_sigma(tmp_path: Path) -> None:
    loaded = tiny_loaded("qwen3")
    heads = some_heads(loaded)
    path = write_vectors(loaded, heads, 3.0, path=tmp_path / "v", metadata={})
    with safe_open(path, "np") as file:
        for head in heads:
            vector = file.get_tensor(f"heads.{head.layer}")[head.head] / (-3.0 * head.sigma)
            np.testing.assert_allclose(vector, head.vector, atol=1e-6)
