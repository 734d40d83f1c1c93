"""The door to a model: probes, steering in a block, generation, saving; on tiny models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import hormesis
from hormesis.backend.generation.generation import GenerationError, generate
from hormesis.backend.model.export import ExportError
from hormesis.backend.model.models import ModelError
from hormesis.backend.model.steering import SteeringError, iti
from hormesis.pipeline.notebook.model import Model
from hormesis.pipeline.notebook.probes import Probes, head_directions
from hormesis.pipeline.probing.probes import ProbeError
from tests.fixtures.service_world import World
from tests.fixtures.tiny import CORPUS, HEADS, LAYERS

WORDS = [word for line in CORPUS for word in line.split()]
RNG = np.random.default_rng(0)
LABELS = [index % 2 for index in range(160)]
STATEMENTS = [
    " ".join([*RNG.choice(WORDS, 6), "ships and stars" if label else "warm bread"]) for label in LABELS
]
PROMPTS = ["the baker sells", "the baker sells", "a quiet cat"]
SHORT: dict[str, Any] = {"new_tokens": 8, "seed": 3}


@pytest.fixture(scope="module")
def model(world: World) -> Model:
    return hormesis.load(world.home / "models" / "dose-10", dtype="float32")


@pytest.fixture(scope="module")
def probes(model: Model) -> Probes:
    return model.probe(STATEMENTS, LABELS, bootstrap=50)


def test_probes_rank_every_head(probes: Probes) -> None:
    frame = probes.frame
    assert len(frame) == LAYERS * HEADS
    assert frame["select_accuracy"].is_monotonic_decreasing
    assert frame["rank"].tolist()[:4] == [1, 2, 3, 4]
    assert frame["rank"].iloc[4:].isna().all()
    assert (frame["auroc_low"] <= frame["auroc"]).all()
    assert (frame["n_train"] + frame["n_select"] + frame["n_test"] == len(STATEMENTS)).all()
    assert frame["accuracy"].iloc[0] > 0.9
    places = list(zip(frame["layer"], frame["head"], strict=True))
    for _, of_method in probes.directions.groupby("method"):
        assert list(zip(of_method["layer"], of_method["head"], strict=True)) == places


def test_probing_reads_labels_of_any_kind(model: Model, probes: Probes) -> None:
    again = model.probe(pd.Series(STATEMENTS), np.array(LABELS, bool), bootstrap=50)
    pd.testing.assert_frame_equal(again.frame, probes.frame)


def test_chart_of_heads_takes_the_frame(probes: Probes) -> None:
    assert len(hormesis.chart("heads", probes.frame).data) == 3


def test_steered_block_generates_as_the_backend_does(model: Model, probes: Probes) -> None:
    plain = list(model.generate(PROMPTS, **SHORT))
    heads = head_directions(probes, 3)
    assert [(head.layer, head.head) for head in heads] == list(
        zip(probes.frame["layer"].head(3), probes.frame["head"].head(3), strict=True)
    )
    with model.steer(probes, heads=3, strength=20):
        texts = model.generate(PROMPTS, **SHORT)
    rows = [(iti(model.loaded.sites, heads), 20.0)] * len(PROMPTS)
    expected = generate(model.loaded, PROMPTS, seeds=[3, 4, 5], rows=rows, new_tokens=8)
    assert list(texts) == [row.text for row in expected]
    assert list(texts) != plain
    assert "20 sigma" in texts.title
    assert list(model.generate(PROMPTS, **SHORT)) == plain


def test_whole_model_is_steered_in_the_block_and_not_after_it(model: Model, probes: Probes) -> None:
    ids = torch.arange(10).unsqueeze(0)

    def logits() -> torch.Tensor:
        with torch.inference_mode():
            output: torch.Tensor = model.loaded.model(ids).logits
        return output

    plain = logits()
    with pytest.raises(KeyboardInterrupt), model.steer(probes, strength=5, scope="all"):
        steered = logits()
        model.generate("a cat", **SHORT)
        assert torch.equal(logits(), steered)
        raise KeyboardInterrupt
    assert not torch.equal(steered, plain)
    assert torch.equal(logits(), plain)


def test_saved_model_is_steered_without_us(model: Model, probes: Probes, tmp_path: Path) -> None:
    folder = model.save(tmp_path / "steered", probes, heads=4, strength=4)
    saved = hormesis.load(folder)
    ids = torch.arange(10).unsqueeze(0)
    with torch.inference_mode(), model.steer(probes, heads=4, strength=4, scope="all"):
        torch.testing.assert_close(saved.loaded.model(ids).logits, model.loaded.model(ids).logits)
        again = model.save(tmp_path / "again")
    for name in ("steering.json", "README.md"):
        assert (again / name).read_text() == (folder / name).read_text()
    plain = model.save(tmp_path / "plain")
    assert not (plain / "steering.json").exists()


def test_the_card_of_a_saved_model_says_what_is_known_and_no_more(
    model: Model, probes: Probes, tmp_path: Path
) -> None:
    folder = model.save(tmp_path / "steered", probes, heads=[(1, 2), (0, 3)], strength=-1, method="probe")
    card, note = (folder / "README.md").read_text(), json.loads((folder / "steering.json").read_text())
    train, select, test = (probes.frame[f"n_{split}"].iloc[0] for split in ("train", "select", "test"))
    fitted_on = f"{train} statements labelled toxic or not, by dose-10 at the last token "
    fitted_on += f"({select} more ranked the heads, {test} tested them)"
    for part in (
        "# dose-10, steered\n", "| model | dose-10 |", "| method | iti |", "| directions | probe |",
        f"| fitted on | {fitted_on} |", "| heads | 2 (layer.head): 1.2, 0.3 |",
        "| strength | -1 sigmas against the directions |", f"| hormesis | {hormesis.__version__} |",
        "## Measured\n\nNothing: ", "## Check that the steering arrived",
    ):  # fmt: skip
        assert part in card, (part, card)
    assert "study" not in card and "away from toxicity" not in card and str(tmp_path) not in card
    assert (note["direction"], note["fitted_on"], note["hormesis"]) == (
        "probe", fitted_on, hormesis.__version__,
    )  # fmt: skip
    assert [(head["layer"], head["head"]) for head in note["steered_heads"]] == [(1, 2), (0, 3)]
    table = probes.directions.iloc[:1].drop(columns="method")
    second = hormesis.load(str(folder)).save(tmp_path / "second", table)
    card = (second / "README.md").read_text()
    assert "| model | steered |" in card and "| steered before | yes: " in card
    assert "| directions | of a table that names no method |\n| fitted on | unknown: " in card


def test_own_vectors_steer(model: Model) -> None:
    vector = np.zeros(8, np.float32)
    vector[0] = 1
    table = pd.DataFrame({"layer": [1], "head": [2], "sigma": [0.5], "vector": [vector]})
    with model.steer(table, strength=1):
        assert "1 heads by 1 sigma" in repr(model)
    assert "none" in repr(model)


def test_stored_directions_of_a_checkpoint_steer_it(world: World) -> None:
    database = hormesis.open(world.home / "study.sqlite")
    checkpoint = database.checkpoint("dose-10")
    model = hormesis.load(checkpoint, dtype="float32")
    assert model.name == "dose-10"
    directions = database.study("forum").directions("dose-10")
    chosen = head_directions(directions, None)
    ranked = world.ranked[world.ids["dose-10"]]
    assert [(head.layer, head.head) for head in chosen] == ranked[:4]
    stored = world.directions[world.ids["dose-10"], "mass_mean"][ranked[0]]
    np.testing.assert_array_equal(chosen[0].vector, stored.vector)
    everything = head_directions(directions, LAYERS * HEADS)
    assert [(head.layer, head.head) for head in everything] == ranked


def test_objects_show_themselves(model: Model, probes: Probes) -> None:
    assert "3 layers of 4 heads" in repr(model)
    assert "AUROC" in repr(probes)
    assert probes._repr_html_().count("<tr") > 10
    assert "&lt;NA&gt;" not in probes._repr_html_()
    texts = model.generate(["<b>the</b> baker"], **SHORT)
    assert "baker" not in repr(texts)
    assert "&lt;b&gt;the" in texts._repr_html_()


@pytest.mark.parametrize(
    ("kind", "message", "mistake"),
    [
        (ProbeError, "1 labels for 2 texts", lambda m, p: m.probe(["a", "b"], [1])),
        (ProbeError, "not 2", lambda m, p: m.probe(["a", "b"], [1, 2])),
        (ProbeError, "split holds", lambda m, p: m.probe(["a", "b"], [1, 0])),
        (ProbeError, "probe set is empty", lambda m, p: m.probe([], [])),
        (ProbeError, "position: .* not 'first'", lambda m, p: m.probe(STATEMENTS, LABELS, position="first")),
        (ProbeError, "the model has 12", lambda m, p: m.probe(STATEMENTS, LABELS, heads=13)),
        (SteeringError, "there are directions of 12", lambda m, p: m.steer(p, heads=13).__enter__()),
        (SteeringError, "no direction of head 9", lambda m, p: m.steer(p, heads=[(0, 9)]).__enter__()),
        (SteeringError, "no head to steer", lambda m, p: m.steer(p, heads=[]).__enter__()),
        (SteeringError, "methods: mass_mean, probe", lambda m, p: m.steer(p, method="x").__enter__()),
        (SteeringError, "lack the column 'head'", lambda m, p: m.steer(pd.DataFrame()).__enter__()),
        (SteeringError, "finite", lambda m, p: m.steer(p, strength=float("nan")).__enter__()),
        (GenerationError, "temperature", lambda m, p: m.generate("a", temperature=-1)),
        (ExportError, "exists already", lambda m, p: m.save(Path(__file__).parent)),
        (ModelError, "no model folder", lambda m, p: hormesis.load("/nowhere/model")),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(
    kind: type[ValueError], message: str, mistake: Any, model: Model, probes: Probes
) -> None:
    with pytest.raises(kind, match=message) as error:
        mistake(model, probes)
    assert "\n" not in str(error.value)
    assert "none" in repr(model)


def test_blocks_do_not_nest(model: Model, probes: Probes) -> None:
    with model.steer(probes), pytest.raises(SteeringError, match="steered already"), model.steer(probes):
        pass
    assert "none" in repr(model)
