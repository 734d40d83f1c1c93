"""`torch.compile` in training: the same run up to rounding, and one line where it cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from hormesis.pipeline.checks.beginning import check_study
from hormesis.pipeline.study.config import parse_study
from hormesis.pipeline.training import compilation
from hormesis.pipeline.training.loop import TrainingError
from tests.fixtures.training_process import run, small_settings


def test_a_compiled_run_ends_in_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph is captured and run by torch's own reference backend, which needs no accelerator."""
    graphs: list[int] = []
    in_place = nn.Module.compile

    def backend(module: torch.fx.GraphModule, _: Any) -> Any:
        graphs.append(len(module.graph.nodes))
        return module.forward

    monkeypatch.setattr(compilation, "require_compiler", lambda: None)
    monkeypatch.setattr(nn.Module, "compile", lambda model: in_place(model, backend=backend))
    plain = run(tmp_path / "plain")
    compiled = run(tmp_path / "compiled", settings=small_settings(compile=True))
    assert graphs
    expected, got = (load_file(result.model / "model.safetensors") for result in (plain, compiled))
    assert expected.keys() == got.keys()
    for name, weight in expected.items():
        torch.testing.assert_close(got[name], weight, rtol=0, atol=1e-5)
    losses = [[point.loss for point in result.curve] for result in (plain, compiled)]
    np.testing.assert_allclose(*losses, atol=1e-5)


def test_without_an_accelerator_a_study_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config = parse_study({"name": "x", "training": {"compile": True}})
    with pytest.raises(TrainingError, match="compile needs a CUDA device") as raised:
        check_study(config, f"sqlite:///{tmp_path / 'none.sqlite'}")
    assert "\n" not in str(raised.value) and not list(tmp_path.iterdir())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(compilation.importlib.util, "find_spec", lambda name: None)  # type: ignore[attr-defined]
    with pytest.raises(TrainingError, match="needs the package triton"):
        compilation.require_compiler()


def test_the_setting_is_part_of_a_study_only_where_it_is_on() -> None:
    plain, off, on = (
        parse_study({"name": "x", "training": training}).hash
        for training in ({}, {"compile": False}, {"compile": True})
    )
    assert plain == off != on
