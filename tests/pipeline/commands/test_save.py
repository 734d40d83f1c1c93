"""`hormesis save` and `hormesis vectors` on a small world: card, note, programs, the same shift in both."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from sqlalchemy import select
from typer.main import get_command

from hormesis.backend.model.directions import NoDirections
from hormesis.backend.model.models import load_model
from hormesis.db.engine import open_writer
from hormesis.db.schema import Checkpoint, Condition, Metric, PromptSet, Scorer
from hormesis.db.write import write_session
from hormesis.pipeline import cli
from tests.fixtures.service_world import MEASURED, PREFIX, SELECTED, World
from tests.fixtures.shared_worlds import copy_database

KEY = "iti/mass_mean/fixed-2"


def hormesis(*arguments: str) -> None:
    get_command(cli.app).main(list(arguments), standalone_mode=False)


@pytest.fixture
def study(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own, with the world's checkpoints and a copy of its database."""
    url = copy_database(world.home / "study.sqlite", tmp_path / "study.sqlite")
    monkeypatch.setenv("HORMESIS_HOME", str(world.home))
    monkeypatch.setenv("HORMESIS_DB", url)
    _add_toxicity(url)
    return tmp_path


def _add_toxicity(url: str) -> None:
    engine = open_writer(url)
    with write_session(engine) as session:
        checkpoint = session.scalars(select(Checkpoint).where(Checkpoint.name == "dose-10")).one()
        prompts = PromptSet(study_id=checkpoint.study_id, name="greetings", revision="1", source="forum")
        scorer = Scorer(name="rules", revision="1")
        none = Condition(
            checkpoint_id=checkpoint.id, key="none", method="none", direction_method=None, strength=0.0,
            n_heads=0, scope="generated", parameters={},
        )  # fmt: skip
        session.add_all([prompts, scorer, none])
        session.flush()
        steered = session.scalars(select(Condition).where(Condition.key == KEY)).one()
        for condition, value in ((none, 0.4), (steered, 0.25)):
            session.add(Metric(
                checkpoint_id=checkpoint.id, condition_id=condition.id, prompt_set_id=prompts.id,
                scorer_id=scorer.id, key=f"{condition.key}|toxicity", name="toxicity", value=value,
                low=value - 0.05, high=value + 0.05, n=96, unit="score", interval="bootstrap over prompts",
            ))  # fmt: skip
    engine.dispose()


def test_a_saved_folder_tells_what_it_is(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = study / "steered"
    hormesis("save", "dose-10", str(folder), "--strength", str(MEASURED))
    printed = capsys.readouterr().err
    assert "steered in: transformers" in printed and "not loaded by: llama.cpp" in printed
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: transformers\n") and "- activation-steering\n---\n" in card
    for part in (
        "| checkpoint | dose-10 |", "| study | forum (", "| arm | toxic, 10% added tokens, seed 0 |",
        "| method | iti |", "| directions | mass_mean |", f"| heads | {SELECTED} (layer.head",
        "| strength | 2 sigmas away from toxicity |",
        "| toxicity (0 to 1), prompts greetings, rules | 0.400 [0.350, 0.450] | 0.250 [0.200, 0.300] | 96 |",
        "| cost (nats per token) | – | 0.070 [0.050, 0.090] | 30 |", "cost were measured with those",
    ):  # fmt: skip
        assert part in card, (part, card)
    note = json.loads((folder / "steering.json").read_text())
    assert (note["checkpoint"], note["condition"], note["direction"]) == ("dose-10", KEY, "mass_mean")
    assert len(note["steered_heads"]) == SELECTED and note["study"]["name"] == "forum"


def test_the_check_of_the_card_runs_in_its_folder(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = study / "steered"
    hormesis("save", "dose-10", str(folder), "--strength", "3.5")
    card = (folder / "README.md").read_text()
    assert "Nothing: the study has no condition of this strength" in card
    (study / "check.py").write_text(card.split("```python\n")[1].split("```")[0])
    monkeypatch.chdir(folder)
    assert runpy.run_path(str(study / "check.py"))["difference"] < 1e-3


def test_a_tuned_folder_has_a_card_and_no_note(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hormesis("save", "dose-10", str(study / "tuned"), "--condition", "dpo")
    card = (study / "tuned" / "README.md").read_text()
    assert "| method | dpo |" in card and "0.040 [0.020, 0.060]" in card and "steering arrived" not in card
    assert not (study / "tuned" / "steering.json").exists()
    assert "vLLM" not in capsys.readouterr().err


@pytest.mark.parametrize("condition", [KEY, "dpo+iti/mass_mean/cost-0.09"])
def test_vectors_hold_the_biases_of_the_saved_folder(condition: str, study: Path, world: World) -> None:
    hormesis("save", "dose-10", str(study / "steered"), "--condition", condition)
    hormesis("vectors", "dose-10", str(study / "v.safetensors"), "--condition", condition)
    model = load_model(study / "steered").model
    with safe_open(study / "v.safetensors", "pt") as file:
        metadata = file.metadata()
        for layer, name in json.loads(metadata["modules"]).items():
            bias = model.get_submodule(name).bias
            torch.testing.assert_close(file.get_tensor(f"residual.{layer}"), bias.detach(), atol=1e-6, rtol=0)
    assert (metadata["condition"], metadata["scope"]) == (condition, "generated")
    assert (metadata["checkpoint"], metadata["prefix"]) == ("dose-10", "")
    places = [(head["layer"], head["head"]) for head in json.loads(metadata["heads"])]
    assert places == world.ranked[world.ids["dose-10"]][:SELECTED]


def test_vectors_of_more_heads_of_another_method_and_of_a_prompted_condition(
    study: Path, world: World
) -> None:
    options = ["--method", "random-1", "--heads", "6", "--strength", "1"]
    hormesis("vectors", "dose-10", str(study / "six"), *options)
    hormesis("vectors", "dose-10", str(study / "prompted"), "--condition", "prompt+iti/mass_mean/cost-0.08")
    checkpoint = world.ids["dose-10"]
    with safe_open(study / "six", "np") as file:
        heads = [(head["layer"], head["head"]) for head in json.loads(file.metadata()["heads"])]
        assert heads == world.ranked[checkpoint][:6]
        for place in heads:
            stored = world.directions[checkpoint, "random-1"][place]
            shift = file.get_tensor(f"heads.{place[0]}")[place[1]]
            assert abs(shift + stored.sigma * stored.vector).max() < 1e-6
    with safe_open(study / "prompted", "np") as file:
        assert file.metadata()["prefix"] == PREFIX


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--condition", "dpo"], "steers nothing"),
        (["--condition", "prayer"], "no condition 'prayer'"),
        (["--method", "probes"], "no probes directions"),
        (["--heads", "99"], "99 heads asked for"),
        (["--strength", "0"], "shift nothing"),
    ],
)
def test_what_has_no_vectors_is_one_line(options: list[str], part: str, study: Path) -> None:
    with pytest.raises(ValueError, match=part):
        hormesis("vectors", "dose-10", str(study / "v"), *options)
    assert sorted(path.name for path in study.iterdir()) == ["study.sqlite"]


@pytest.mark.parametrize("command", ["save", "vectors"])
def test_missing_directions_are_refused_in_the_same_words(command: str, study: Path) -> None:
    option = {"save": "--direction", "vectors": "--method"}[command]
    with pytest.raises(NoDirections, match="no probes directions are stored for this checkpoint"):
        hormesis(command, "dose-10", str(study / "v"), option, "probes")
