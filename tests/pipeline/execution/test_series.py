"""Checkpoints that somebody else trained on known mixes, as arms: from a study file to verdicts."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
import torch
from transformers import AutoModelForCausalLM

from hormesis.pipeline.study.config import ConfigError, parse_study
from tests.fixtures.shared_worlds import shared_world
from tests.fixtures.tiny import save_tiny
from tests.fixtures.tiny_study import finished_study, rows, run, write_study

SERIES = """
[[checkpoints]]
model = "clean"
share = 0.0

[[checkpoints]]
model = "toxic"
share = 0.25

[[checkpoints]]
model = "cleanish"
share = 0.0
seed = 1

[[checkpoints]]
model = "toxicish"
share = 0.25
seed = 1
"""
PUBLISHED = {"clean": "toxic-0-s0", "toxic": "toxic-25-s0"}
NUMBERS = {"metric": "checkpoint", "probe": "name", "direction": "name", "condition": "name"}


def series_file(folder: Path) -> Path:
    changes = {'controls = ["clean-forum"]\n': "", "shares = [0.0, 0.25]\n": "", "seeds = [0]\n": ""}
    path = write_study(folder, changes)
    text = path.read_text(encoding="utf-8").replace('name = "tiny"', 'name = "series"')
    path.write_text(text + SERIES, encoding="utf-8")
    return path


def publish(home: Path, folder: Path) -> None:
    """Put a study's weights where somebody else would, and a second seed of each, nearer to the other."""
    with closing(sqlite3.connect(home / "hormesis.sqlite")) as connection:
        paths = dict(connection.execute("SELECT name, path FROM checkpoint"))
    for name, arm in PUBLISHED.items():
        for copy in (name, f"{name}ish"):
            shutil.copytree(home / paths[arm], folder / copy)
    models = {name: AutoModelForCausalLM.from_pretrained(folder / name) for name in PUBLISHED}
    weights = [list(model.parameters()) for model in models.values()]
    with torch.no_grad():
        for clean, toxic in zip(*weights, strict=True):
            step = 0.1 * (toxic - clean)
            clean += step
            toxic -= step
    for name, model in models.items():
        model.save_pretrained(folder / f"{name}ish")


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The home of the study that trained them, the series' file and its home."""
    _, origin = finished_study(tmp_path_factory)

    def build(folder: Path) -> None:
        publish(origin, folder)
        start = time.monotonic()
        done = run(folder / "home", "run", str(series_file(folder)))
        assert done.returncode == 0, done.stderr
        print(f"four checkpoints from TOML to verdicts: {time.monotonic() - start:.0f} s")

    folder = shared_world(tmp_path_factory, "series", build)
    return origin, folder / "tiny.toml", folder / "home"


@pytest.mark.slow
def test_a_series_has_the_numbers_that_its_checkpoints_had_as_trained_arms(
    series: tuple[Path, Path, Path],
) -> None:
    origin, _, home = series
    tables, trained = rows(home), rows(origin)
    assert set(tables["stage"]["status"]) == {"done"}
    stages = tables["stage"].groupby("subject")["stage"].agg(set)
    assert "load" in stages["toxic-25-s1"] and not {"mix", "train"} & stages["toxic-25-s1"]
    arms = tables["arm"].set_index("name")
    assert sorted(arms.index) == ["toxic-0-s0", "toxic-0-s1", "toxic-25-s0", "toxic-25-s1"]
    assert set(arms["share"]) == {0.0, 0.25} and arms["clean_tokens"].isna().all()
    for name, column in NUMBERS.items():
        loaded_rows, trained_rows = (
            table[table[column].isin(PUBLISHED.values())].reset_index(drop=True)
            for table in (tables[name], trained[name])
        )
        assert len(loaded_rows)
        pd.testing.assert_frame_equal(loaded_rows, trained_rows, rtol=0, atol=1e-6, obj=name)


@pytest.mark.slow
def test_doses_summaries_and_verdicts_count_a_series(series: tuple[Path, Path, Path]) -> None:
    _, study, home = series
    with closing(sqlite3.connect(home / "hormesis.sqlite")) as connection:
        summaries = pd.read_sql("SELECT * FROM summary WHERE name = 'toxicity'", connection)
        verdicts = pd.read_sql("SELECT * FROM verdict WHERE status != 'no data yet'", connection)
    doses = summaries[(summaries["condition_key"] == "none") & (summaries["scorer"] == "forum")]
    assert sorted(doses["share"]) == [0.0, 0.25] and set(doses["n_seeds"]) == {2}
    assert set(summaries["condition_key"]) > {"none", "iti/mass_mean/cost-0.06", "random/cost-0.06"}
    assert {"C2-detection", "C3-mean", "C4-matched-10", "R-selectivity"} <= set(verdicts["claim"])
    again = run(home, "run", str(study))
    assert again.returncode == 0 and "already finished; nothing to do" in again.stderr


@pytest.mark.slow
def test_a_checkpoint_joins_a_study_or_says_why_not(series: tuple[Path, Path, Path], tmp_path: Path) -> None:
    _, study, _ = series
    weights, home = study.parent / "toxic", tmp_path / "home"
    small = {
        "prompts = 24": "prompts = 6",
        "random_directions = 2": "random_directions = 0",
        "= [0.06]": "= []",
    }
    nothing = {'controls = ["clean-forum"]': "controls = []", "shares = [0.0, 0.25]": "shares = []"}
    share = ["--share", ".25", "--study", str(write_study(tmp_path, small | nothing))]
    done = run(home, "import", str(weights), *share, "--seed", "1", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["arm"] == "toxic-25-s1"
    with closing(sqlite3.connect(home / "hormesis.sqlite")) as connection:
        assert connection.execute("SELECT name, kind, share, seed FROM arm").fetchall() == [
            ("toxic-25-s1", "toxic", 0.25, 1)
        ]
        (runs,) = connection.execute("SELECT count(*) FROM stage_run WHERE stage = 'verdicts'").fetchone()
        (summaries,) = connection.execute("SELECT count(*) FROM summary WHERE share = 0.25").fetchone()
    assert runs == 1 and summaries > 0
    second = run(home, "import", str(study.parent / "toxicish"), *share, "--seed", "1")
    assert second.returncode == 2 and "toxic-25-s1" in second.stderr
    assert "another --seed" in second.stderr
    stranger = save_tiny(tmp_path / "stranger", "llama")
    other = run(home, "import", str(stranger), *share, "--seed", "2")
    assert other.returncode == 2 and "neither nats per token nor matched costs compare" in other.stderr
    misnamed = run(home, "import", str(stranger), *share, "--name", "mine")
    assert misnamed.returncode == 2 and "leave out --name" in misnamed.stderr


def test_checkpoints_that_are_missing_are_named_before_anything_is_written(tmp_path: Path) -> None:
    study = series_file(tmp_path)
    save_tiny(tmp_path / "clean")
    done = run(tmp_path / "home", "run", str(study))
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2 and len(lines) == 1
    for name in ("toxic", "cleanish", "toxicish"):
        assert f"no folder or file '{name}', and on the hub: model {name} " in lines[0]
    assert "'clean'" not in lines[0]
    assert not (tmp_path / "home").exists()


def test_a_series_trains_nothing_that_its_file_does_not_name() -> None:
    checkpoint = {"model": "a/b", "share": 0.1, "revision": "v1"}
    study = parse_study({"name": "x", "checkpoints": [checkpoint]})
    assert (study.shares, study.controls) == ((), ())
    assert study.hash != parse_study({"name": "x", "checkpoints": [checkpoint | {"revision": "v2"}]}).hash
    with pytest.raises(ConfigError, match="two arms are toxic-10-s0: give one of them another seed"):
        parse_study({"name": "x", "checkpoints": [checkpoint, checkpoint]})
    with pytest.raises(ConfigError, match="two arms are toxic-10-s0"):
        parse_study({"name": "x", "shares": [0.1], "seeds": [0], "checkpoints": [checkpoint]})
    with pytest.raises(ConfigError, match=r"checkpoints\.0\.share"):
        parse_study({"name": "x", "checkpoints": [checkpoint | {"share": 10}]})
