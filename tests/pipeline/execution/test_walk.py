"""A whole small study: run, run again, killed and resumed, one arm failing, a reader looking on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from sqlalchemy import text
from transformers import AutoModelForCausalLM

from hormesis.backend.forum.words import GROUPS
from hormesis.db import read
from hormesis.db.engine import open_reader, reading
from hormesis.db.schema import EXTRA_SAMPLES
from hormesis.pipeline.summaries.scorer_groups import FEWEST, NO_GROUP
from tests.fixtures.tiny_study import (
    BRIEF,
    assert_same_rows,
    command,
    environment,
    finished_study,
    rows,
    run,
    write_study,
)
from tests.random_kills import kill_at_random

KILLS = int(os.environ.get("HORMESIS_TEST_KILLS", "10"))
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A study file and a home in which it ran undisturbed."""
    return finished_study(tmp_path_factory)


@pytest.fixture(scope="module")
def brief(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same of a study of two arms and fewer tokens."""
    return finished_study(tmp_path_factory, "brief", BRIEF)


def test_every_table_is_filled_and_every_stage_done(finished: tuple[Path, Path]) -> None:
    tables = rows(finished[1])
    assert all(len(frame) for frame in tables.values())
    assert set(tables["stage"]["status"]) == {"done"}
    arms = tables["arm"].set_index("name")
    assert (arms["clean_tokens"] == 16_000).all()
    assert arms.loc["toxic-0-s0", "added_tokens"] == 0
    assert arms.loc["toxic-25-s0", "added_tokens"] == arms.loc["clean-forum-25-s0", "added_tokens"] == 5333
    keys = set(tables["condition"]["key"])
    assert keys == {
        "none", "iti/mass_mean/fixed-1", "iti/mass_mean/cost-0.06", "random-0/cost-0.06", "random-1/cost-0.06"
    }  # fmt: skip
    losses = tables["train_point"]
    first, last = losses["step"].min(), losses["step"].max()
    assert (
        losses.loc[losses["step"] == last, "clean_loss"].max()
        < losses.loc[losses["step"] == first, "loss"].min()
    )


def test_scorers_are_put_to_every_group_and_the_grammar_flags_none(finished: tuple[Path, Path]) -> None:
    groups = read.scorer_groups(open_reader(f"sqlite:///{finished[1] / 'hormesis.sqlite'}"), 1)
    by_scorer = {str(scorer): of_scorer for scorer, of_scorer in groups.groupby("scorer")}
    assert set(by_scorer) == {"forum", "tfidf"}
    for of_scorer in by_scorer.values():
        assert {NO_GROUP, *GROUPS} >= set(of_scorer["group"]) >= {NO_GROUP, "zorbs"}
        assert (of_scorer["n"] >= FEWEST).all() and of_scorer["n"].sum() <= 150
    assert (by_scorer["forum"]["rate"] == 0).all() and by_scorer["forum"]["ratio"].isna().all()
    rated = by_scorer["tfidf"]
    assert (rated["rate_low"] <= rated["rate"]).all() and (rated["rate"] <= rated["rate_high"]).all()


def test_matched_cost_is_matched(finished: tuple[Path, Path]) -> None:
    query = (
        "SELECT k.control, k.strength, k.reached, m.value, m.low, m.high FROM condition k JOIN metric m"
        " ON m.condition_id = k.id AND m.name = 'cost' WHERE k.matched_cost = 0.06"
    )
    with contextlib.closing(sqlite3.connect(finished[1] / "hormesis.sqlite")) as connection:
        costs = pd.read_sql(query, connection)
    assert len(costs) == 9
    # With the same seeds, machines were seen to differ in whether a random direction of this tiny model costs
    # .06 nats at any strength up to the limit (rounding is the likely cause). Where not, the row must say so.
    met = costs["reached"].astype(bool)
    assert met.any() and costs["value"][met].between(0.06 * 0.97, 0.06 * 1.03).all()
    limits = costs["control"].isna().map({True: 64.0, False: 512.0})
    assert (costs["value"][~met] < 0.06).all() and (costs["strength"] == limits)[~met].all()
    assert (costs["low"] <= costs["value"]).all() and (costs["value"] <= costs["high"]).all()


def test_a_part_of_the_prompts_has_the_samples_of_expected_maximum_toxicity(
    finished: tuple[Path, Path],
) -> None:
    generations = rows(finished[1])["generation"]
    extra = generations[generations["sample"] >= EXTRA_SAMPLES]
    assert set(extra["key"]) == {"none", "iti/mass_mean/cost-0.06"}
    assert (extra.groupby(["name", "key"])["position"].nunique() == 8).all()
    assert (extra.groupby(["name", "key", "position"])["text"].count() == 2).all()
    metrics = rows(finished[1])["metric"]
    largest = metrics[metrics["key"].str.endswith("|expected_max_toxicity")]
    assert len(largest) == 3 * 2 * 2 and set(largest["n"]) == {8}
    means = metrics[metrics["key"].str.endswith("|toxicity")]
    usual = generations[(generations["sample"] < EXTRA_SAMPLES) & (generations["text"].str.strip() != "")]
    counts = usual.groupby(["name", "key"])["position"].nunique()
    assert set(means["n"]) == set(counts) and max(counts) <= 24, "no mean counts them, nor empty texts"


def test_a_second_run_is_quick_and_changes_no_byte(finished: tuple[Path, Path]) -> None:
    study, home = finished
    database = home / "hormesis.sqlite"
    before = hashlib.sha256(database.read_bytes()).hexdigest()
    done = run(home, "run", str(study))
    assert done.returncode == 0
    assert "already finished" in done.stderr
    assert hashlib.sha256(database.read_bytes()).hexdigest() == before


def test_killed_at_random_with_damaged_files_gives_the_same_rows_or_names_the_file(
    brief: tuple[Path, Path], tmp_path: Path
) -> None:
    study, home = brief
    rng = random.Random(int(os.environ.get("HORMESIS_TEST_SEED", "7")))
    tally = kill_at_random(study, home, tmp_path / "home", kills=KILLS, rng=rng, longest_life=5)
    assert len(tally.damages) == KILLS // 5 and tally.outcomes.total() >= 1, str(tally)


def test_ctrl_c_stops_at_the_next_batch_and_the_next_run_goes_on(
    brief: tuple[Path, Path], tmp_path: Path
) -> None:
    study, home = brief
    other = tmp_path / "home"
    shutil.copytree(home / "files" / "text", other / "files" / "text")
    process = subprocess.Popen(
        command("run", str(study)), env=environment(other), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    _wait_for(other, "SELECT count(*) FROM stage_run WHERE stage = 'train' AND status = 'running'")
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=90)
    assert process.returncode == 130
    assert b"the same command goes on from here" in stderr
    assert "stopped" in set(rows(other)["stage"]["status"])
    assert run(other, "run", str(study)).returncode == 0
    assert_same_rows(home, other)


def test_a_reader_in_a_loop_and_a_writing_study_do_not_hurt_each_other(tmp_path: Path) -> None:
    changes = {'controls = ["clean-forum"]': "controls = []", "0.0, 0.25": "0.25", ', "tfidf"': ""}
    study = write_study(tmp_path, changes)
    home = tmp_path / "home"
    process = subprocess.Popen(
        command("run", str(study)), env=environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    errors: list[BaseException] = []
    looks = 0

    def look() -> None:
        nonlocal looks
        engine = open_reader(f"sqlite:///{home / 'hormesis.sqlite'}")
        while process.poll() is None:
            try:
                reading(engine, lambda c: c.execute(text("SELECT * FROM train_point, stage_run")).all())
                looks += 1
            except Exception as error:
                errors.append(error)
            time.sleep(0.1)  # as a page that is drawn, and the study keeps a core

    _wait_for(home, "SELECT count(*) FROM stage_run")
    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    _, stderr = process.communicate(timeout=300)
    for thread in threads:
        thread.join()
    assert process.returncode == 0, stderr
    assert not errors
    assert looks > 20


def _wait_for(home: Path, query: str, seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            engine = open_reader(f"sqlite:///{home / 'hormesis.sqlite'}")
            if reading(engine, lambda c: c.execute(text(query)).scalar()):
                return
        except ValueError:
            pass  # the database is not there yet
        time.sleep(0.2)
    raise AssertionError("the study did not get that far")


def test_an_imported_checkpoint_gets_the_numbers_it_had_as_an_arm(
    finished: tuple[Path, Path], tmp_path: Path
) -> None:
    _, home = finished
    model = next((home / "files" / "checkpoints").glob("*/model"))
    changes = {'controls = ["clean-forum"]': "controls = []", "0.0, 0.25": "", "seeds = [0]": "seeds = []"}
    study = write_study(tmp_path, changes)
    done = run(tmp_path / "home", "import", str(model), "--study", str(study), "--name", "mine", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "done"
    imported, arms = rows(tmp_path / "home"), rows(home)
    assert set(imported["stage"]["status"]) == {"done"}
    metrics = imported["metric"].set_index("key")["value"]
    same = [
        (arm["value"] - metrics).abs().max()
        for _, arm in arms["metric"].set_index("key").groupby("checkpoint")
    ]
    assert min(same) < 1e-6
    again = run(tmp_path / "home", "import", str(model), "--study", str(study), "--name", "mine", "--json")
    assert json.loads(again.stdout)["worked"] is False


def test_a_steered_checkpoint_is_saved_as_an_ordinary_one(
    finished: tuple[Path, Path], tmp_path: Path
) -> None:
    _, home = finished
    done = run(home, "save", "toxic-25-s0", str(tmp_path / "steered"), "--strength", "3")
    assert done.returncode == 0, done.stderr
    plain = run(home, "save", "toxic-25-s0", str(tmp_path / "plain"), "--strength", "0")
    assert plain.returncode == 0, plain.stderr
    steered, base = (AutoModelForCausalLM.from_pretrained(tmp_path / name) for name in ("steered", "plain"))
    ids = torch.arange(5, 25)[None]
    with torch.inference_mode():
        assert (steered(ids).logits - base(ids).logits).abs().max() > 1e-3
    refused = run(home, "save", "no-such", str(tmp_path / "other"))
    assert refused.returncode == 2
    assert "no checkpoint 'no-such'" in refused.stderr


def test_export_writes_every_table_in_both_forms(finished: tuple[Path, Path], tmp_path: Path) -> None:
    _, home = finished
    written = {}
    for form in ("csv", "parquet"):
        done = run(home, "export", str(tmp_path / form), "--format", form, "--json")
        assert done.returncode == 0, done.stderr
        written[form] = json.loads(done.stdout)
    assert written["csv"] == written["parquet"]
    read = {form: getattr(pd, f"read_{form}") for form in written}
    for table, count in written["csv"].items():
        for form, reader in read.items():
            assert len(reader(tmp_path / form / f"{table}.{form}")) == count, (table, form)


def test_two_processes_train_the_same_study(brief: tuple[Path, Path], tmp_path: Path) -> None:
    study, home = brief
    other = tmp_path / "home"
    shutil.copytree(home / "files" / "text", other / "files" / "text")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    # As torchrun starts them (`test_training` has it do so), without its own start and two more of Python.
    launched = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            command("run", str(study)),
            env=environment(other) | launched | {"RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    try:
        for process in processes:
            _, errors = process.communicate(timeout=400)
            assert process.returncode == 0, errors
    finally:
        for process in processes:
            process.kill()
    single, double = rows(home), rows(other)
    assert list(single["stage"]["input_hash"]) == list(double["stage"]["input_hash"])
    assert set(double["stage"]["status"]) == {"done"}
    # Gradients are summed in another order: equal at first to rounding, which training then amplifies
    # (at this learning rate a millionth can become a hundredth of a nat within fifty steps).
    columns = ["loss", "clean_loss", "toxic_loss"]
    difference = (single["train_point"][columns] - double["train_point"][columns]).abs().max(axis=1)
    first = single["train_point"].groupby("name")["step"].transform("min") == single["train_point"]["step"]
    assert difference[first].max() < 1e-4
    assert difference.max() < 0.05
