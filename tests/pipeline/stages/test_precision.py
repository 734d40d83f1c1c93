"""Activations and held-out losses in bfloat16, where a study asks for it: near those in float32."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import text

from hormesis.backend import crossentropy
from hormesis.backend.model.loaded import LoadedModel
from hormesis.db.engine import open_writer
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.methods import open_condition
from hormesis.pipeline.probing import loading
from hormesis.pipeline.stages import condition, probe
from hormesis.pipeline.study.config import parse_study
from hormesis.pipeline.text.revisions import source_revisions
from tests.fixtures.tiny_study import finished_study

COSTS = """SELECT c.key, c.strength, m.value FROM condition c JOIN metric m ON m.condition_id = c.id
JOIN checkpoint p ON p.id = c.checkpoint_id WHERE m.name = 'cost' AND p.name = 'toxic-25-s0'"""
ARM = Subject("toxic-25-s0")
REPORTER = Reporter(lambda *_, **__: None, lambda: False)


def test_conditions_and_probes_in_bfloat16(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, home = finished_study(tmp_path_factory)
    engine = open_writer(f"sqlite:///{home / 'hormesis.sqlite'}")
    read: list[tuple[str, torch.dtype]] = []

    def spy(module: Any, name: str) -> None:
        function = getattr(module, name)

        def spied(loaded: LoadedModel, *args: Any, **options: Any) -> Any:
            read.append((name, loaded.dtype))
            return function(loaded, *args, **options)

        monkeypatch.setattr(module, name, spied)

    spy(crossentropy, "position_losses")
    spy(probe, "capture")
    monkeypatch.setattr(open_condition, "SMALL", 0)
    monkeypatch.setattr(loading, "SMALL", 0)
    with engine.connect() as connection:
        study_id, stored = connection.execute(text("SELECT id, config FROM study ORDER BY id LIMIT 1")).one()
        exact = {key: (strength, value) for key, strength, value in connection.execute(text(COSTS))}
    settings = json.loads(stored)
    settings["probe"]["precision"] = settings["evaluation"]["precision"] = "bfloat16"
    config = parse_study(settings)
    context = StudyContext(config, study_id, Path(home), engine, source_revisions(config))
    condition.find_conditions(context, ARM, REPORTER)
    probe.probe_checkpoint(context, ARM, REPORTER)
    assert {name for name, _ in read} == {"position_losses", "capture"}
    assert {dtype for _, dtype in read} == {torch.bfloat16}
    with engine.connect() as connection:
        rounded = {key: (strength, value) for key, strength, value in connection.execute(text(COSTS))}
    assert rounded.keys() == exact.keys() and rounded != exact
    for key, (strength, value) in rounded.items():
        assert value == pytest.approx(exact[key][1], abs=0.01)
        assert strength == pytest.approx(exact[key][0], rel=0.3)


def test_precision_is_part_of_what_it_changes_and_of_no_more() -> None:
    def keys(**sections: Any) -> tuple[str, str, str, str]:
        inputs = StudyContext(parse_study({"name": "x", **sections}), 0, Path(), None, {}).inputs  # type: ignore[arg-type]
        generation = inputs.generation("w", ["iti", "mass_mean", 1.0, "", None, []])
        return inputs.text, inputs.probe("w"), inputs.condition("w"), generation

    half = {"precision": "bfloat16"}
    plain, probed, evaluated = keys(), keys(probe=half), keys(evaluation=half)
    assert [a == b for a, b in zip(plain, probed, strict=True)] == [True, False, False, False]
    assert [a == b for a, b in zip(plain, evaluated, strict=True)] == [True, True, False, True]
