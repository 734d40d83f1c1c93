"""`hormesis toy` end to end: rows under natural keys, resuming, stopping, and what a person can get wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import func, select

from hormesis.db import read
from hormesis.db.engine import open_reader, open_writer
from hormesis.db.schema import ToyEffect, ToyExperiment, ToyMean, ToyMeasure, ToyPoint, ToyRun
from hormesis.db.write import read_session
from hormesis.pipeline import cli
from hormesis.pipeline.execution.executors import workers
from hormesis.pipeline.execution.lock import study_lock
from hormesis.pipeline.execution.progress import Stopped
from hormesis.pipeline.toy import runner
from hormesis.pipeline.toy.config import parse_config, parse_request
from hormesis.pipeline.toy.geometry import entanglement
from hormesis.pipeline.toy.runner import Outcome
from hormesis.pipeline.toy.side_by_side import run_side_by_side
from hormesis.pipeline.toy.tasks import Run

TINY = ["toy", "--setting", "bottleneck", "--shares", ".01,.1,1", "--seeds", "2", "--steps", "40"]


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Exit code of a command in this process."""
    monkeypatch.setattr(sys, "argv", ["hormesis", *arguments])
    with pytest.raises(SystemExit) as raised:
        cli.main()
    return int(raised.value.code or 0)


def counted(home: Path) -> dict[str, int]:
    """Rows per table."""
    engine = open_writer(f"sqlite:///{home / 'hormesis.sqlite'}")
    tables = (ToyExperiment, ToyRun, ToyPoint, ToyMeasure, ToyMean, ToyEffect)
    with read_session(engine) as session:
        counts = {t.__tablename__: session.scalar(select(func.count()).select_from(t)) or 0 for t in tables}
    engine.dispose()
    return counts


def dump(home: Path) -> list[pd.DataFrame]:
    """Everything that a second run must not change."""
    engine = open_reader(f"sqlite:///{home / 'hormesis.sqlite'}")
    measures = [read.toy_measures(engine, 1, probe) for probe in ("means", "balanced", "mixture")]
    means = read.toy_means(engine, 1, "mixture")
    return [*measures, means, read.toy_curves(engine, 1), read.toy_effects(engine).drop(columns="config")]


def test_end_to_end_and_a_second_run_does_nothing(
    own_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*TINY, "--json"], monkeypatch) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary[0]["setting"] == "bottleneck" and summary[0]["made"] == 6
    main = [e for e in summary[0]["effects"] if (e["probe"], e["network"]) == ("means", "trained")]
    assert {(e["cosine"], e["split"]) for e in main} == {
        (cosine, split) for cosine in ("absolute", "signed") for split in ("all", "under-learned", "learned")
    }
    rows = counted(own_home)
    assert rows["toy_run"] == 6 and rows["toy_measure"] == 6 * 2 * 4 and rows["toy_effect"] == 32
    assert rows["toy_mean"] == 2 * 4 * 3 * 6, "networks, probes, shares, quantities"
    before = dump(own_home)
    assert run([*TINY, "--json"], monkeypatch) == 0
    assert json.loads(capsys.readouterr().out)[0]["made"] == 0
    for row, other in zip(before, dump(own_home), strict=True):
        pd.testing.assert_frame_equal(row, other)


def test_the_rows_agree_with_the_vectors_they_come_with(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(TINY, monkeypatch) == 0
    engine = open_reader(f"sqlite:///{own_home / 'hormesis.sqlite'}")
    experiment = read.toy_experiments(engine).iloc[0]
    assert (experiment["features"], experiment["dimensions"], experiment["status"], experiment["runs"]) == (
        12,
        4,
        "done",
        6,
    )
    assert experiment["welch"] == pytest.approx((8 / 44) ** 0.5) and experiment[
        "null_absolute"
    ] == pytest.approx(0.842, abs=1e-3)
    table = read.toy_measures(engine, 1, "mixture").set_index(["network", "share", "seed"])
    for network in ("trained", "frozen"):
        directions = read.toy_directions(engine, 1, share=0.01, seed=1, network=network, probe="mixture")
        vectors = np.stack(directions["vector"].tolist())
        row = table.loc[network, 0.01, 1]
        assert vectors.shape == (12, 4)
        assert row["rare_absolute"] == pytest.approx(entanglement(vectors, signed=False)[:4].mean(), abs=1e-5)
        assert row["control_signed"] == pytest.approx(entanglement(vectors, signed=True)[4:].mean(), abs=1e-5)
        assert row["rare_norm"] == pytest.approx(np.linalg.norm(vectors[:4], axis=1).mean(), abs=1e-5)
    # Each stored DiD is the mean over seeds of what the measures say.
    gap = table["rare_signed"] - table["control_signed"]
    seed_gaps = [gap.loc["frozen", 0.01, seed] - gap.loc["frozen", 1.0, seed] for seed in (0, 1)]
    effects = read.toy_effects(engine)
    stored = effects[(effects["network"] == "frozen") & (effects["probe"] == "mixture")]
    stored = stored[stored["cosine"] == "signed"].iloc[0]
    assert stored["value"] == pytest.approx(np.mean(seed_gaps)) and stored["n_seeds"] == 2
    curve = read.toy_curves(engine, 1)
    assert curve["step"].max() == 40 and (curve["n"] == 2).all()
    assert read.toy_directions(engine, 1, share=0.5, seed=1, network="trained", probe="means").empty
    assert read.toy_measures(engine, 99, "means").dtypes.equals(read.toy_measures(engine, 1, "means").dtypes)


def test_more_seeds_shares_and_probes_join_the_same_configuration(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = ["toy", "--setting", "bottleneck", "--steps", "40"]
    assert run([*base, "--shares", "1,.01", "--seeds", "2", "--probe", "means"], monkeypatch) == 0
    assert counted(own_home)["toy_measure"] == 4 * 2
    assert run([*base, "--shares", ".01,.1,1", "--seeds", "2-3", "--probe", "means"], monkeypatch) == 0
    assert run([*base, "--shares", ".1,1", "--seeds", "0,1"], monkeypatch) == 0
    rows = counted(own_home)
    assert rows["toy_experiment"] == 1 and rows["toy_run"] == 4 + 6 + 2
    effects = read.toy_effects(open_reader(f"sqlite:///{own_home / 'hormesis.sqlite'}"))
    means = effects[(effects["probe"] == "means") & (effects["network"] == "trained")]
    assert (means[means["split"] == "all"]["n_seeds"] == 4).all()
    # Added later in other company, they are what one command would have made.
    other = own_home.parent / "other"
    monkeypatch.setenv("HORMESIS_HOME", str(other))
    assert run([*base, "--shares", ".01,.1,1", "--seeds", "4", "--probe", "means"], monkeypatch) == 0
    keys = ["network", "share", "seed"]
    first, second = (
        read.toy_measures(open_reader(f"sqlite:///{home / 'hormesis.sqlite'}"), 1, "means").set_index(keys)
        for home in (own_home, other)
    )
    assert set(first.index) == set(second.index)
    columns = ["rare_absolute", "control_signed", "rare_loss"]
    assert first.loc[second.index, columns].to_numpy() == pytest.approx(second[columns].to_numpy(), abs=5e-3)


def test_a_stop_keeps_whole_chunks_and_the_next_run_goes_on(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "MOST_MODELS", 2)
    url = f"sqlite:///{own_home / 'hormesis.sqlite'}"
    config = parse_config({"setting": "bottleneck", "steps": 40})
    wanted_runs = parse_request({"shares": [0.01, 1.0], "seeds": [0, 1, 2]})
    progress: list[float] = []

    reports = 0

    def stop() -> bool:
        nonlocal reports
        reports += 1
        return reports > 7

    def watch(done: float, total: float) -> None:
        progress.append(done / total)

    with pytest.raises(Stopped):
        runner.run_toy(config, wanted_runs, home=own_home, database_url=url, watch=watch, should_stop=stop)
    assert counted(own_home)["toy_run"] == 2
    assert read.toy_experiments(open_reader(url))["status"].tolist() == ["stopped"]
    outcome = runner.run_toy(config, wanted_runs, home=own_home, database_url=url)
    assert outcome.trained_runs == 4 and counted(own_home)["toy_run"] == 6
    assert progress == sorted(progress) and progress[0] == 0.0
    assert runner.run_toy(config, wanted_runs, home=own_home, database_url=url).trained_runs == 0


def test_settings_side_by_side_are_what_they_are_in_turn(
    own_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "toy",
        "--setting",
        "bottleneck",
        "--setting",
        "autoencoder",
        "--steps",
        "40",
        "--shares",
        ".01,1",
    ]
    homes = (own_home, own_home.parent / "other")
    for home, cores in zip(homes, (2, 1), strict=True):
        monkeypatch.setenv("HORMESIS_HOME", str(home))
        monkeypatch.setattr(workers, "cores", lambda cores=cores: cores)
        assert run([*arguments, "--seeds", "2", "--json"], monkeypatch) == 0
        summaries = json.loads(capsys.readouterr().out)
        assert [summary["setting"] for summary in summaries] == ["bottleneck", "autoencoder"]
        assert [summary["made"] for summary in summaries] == [4, 4]
    tables = []
    for home in homes:
        engine = open_reader(f"sqlite:///{home / 'hormesis.sqlite'}")
        ids = read.toy_experiments(engine).set_index("setting")["id"]
        measures = [
            read.toy_measures(engine, int(ids[name]), "means") for name in ("bottleneck", "autoencoder")
        ]
        tables.append(pd.concat(measures).sort_values(["network", "share", "seed", "rare_norm"]))
        assert set(read.toy_experiments(engine)["status"]) == {"done"}
    columns = ["share", "seed", "rare_absolute", "control_signed", "rare_norm", "rare_loss"]
    serial, other = (table[columns].to_numpy(dtype=float) for table in tables)
    assert serial == pytest.approx(other, abs=1e-6)


def side_by_side(
    home: Path, settings: list[str], steps: int, *, should_stop: Callable[[], bool]
) -> list[Outcome]:
    return run_side_by_side(
        [parse_config({"setting": name, "steps": steps}) for name in settings],
        parse_request({"shares": [0.01, 1.0], "seeds": [0]}),
        home=home,
        database_url=f"sqlite:///{home / 'hormesis.sqlite'}",
        count=2,
        watch=lambda place, done, total: None,
        ended=lambda place, outcome: None,
        should_stop=should_stop,
    )


def test_a_stop_reaches_all_that_run_side_by_side(own_home: Path) -> None:
    own_home.mkdir()
    with pytest.raises(Stopped):
        side_by_side(own_home, ["bottleneck", "autoencoder", "disjoint"], 200_000, should_stop=lambda: True)
    experiments = read.toy_experiments(open_reader(f"sqlite:///{own_home / 'hormesis.sqlite'}"))
    assert set(experiments["status"]) == {"stopped"} and (experiments["runs"] == 0).all()


def test_one_that_fails_side_by_side_is_told_in_one_line(own_home: Path) -> None:
    own_home.mkdir()
    busy = parse_config({"setting": "bottleneck", "steps": 20})
    with study_lock(own_home, f"toy-{busy.hash}"), pytest.raises(runner.ToyError) as error:
        side_by_side(own_home, ["bottleneck", "autoencoder"], 20, should_stop=lambda: False)
    assert "\n" not in str(error.value) and "is being run" in str(error.value)


def test_chunks_are_whole_seeds_with_their_reference() -> None:
    missing_runs = [Run(0.1, 0), Run(0.2, 0), Run(1.0, 1), Run(0.1, 2)]
    chunks = runner.chunks(missing_runs, most=4)
    assert [sorted({run.seed for run in chunk}) for chunk in chunks] == [[0, 1], [2]]
    assert all(Run(1.0, run.seed) in chunk for chunk in chunks for run in chunk)


def test_training_that_diverges_is_one_line_and_leaves_no_run(
    own_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "measure", None)  # not reached
    real = runner.train

    def broken(*arguments: object) -> object:
        result = real(*arguments)  # type: ignore[arg-type]
        result.activations[1] = np.nan
        return result

    monkeypatch.setattr(runner, "train", broken)
    assert run(TINY, monkeypatch) == 2
    assert "diverged at share 0.1, seed 0" in capsys.readouterr().err
    assert counted(own_home)["toy_run"] == 0
    assert read.toy_experiments(open_reader(f"sqlite:///{own_home / 'hormesis.sqlite'}"))["error"][0]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--setting", "nonsense"], "no setting 'nonsense'"),
        (["--shares", "0.1,0.2"], "shares must include 1"),
        (["--shares", "0.1,often,1"], "not 'often'"),
        (["--shares", "0,1"], "greater than 0"),
        (["--shares", "1,1"], "must not repeat"),
        (["--seeds", "many"], "not 'many'"),
        (["--seeds", "0"], "at least one of seeds"),
        (["--seeds", "5-3"], "at least one of seeds"),
        (["--seeds", "0-99999999"], "at most 10,000 seeds"),
        (["--width", "1"], "greater than or equal to 2"),
        (["--setting", "disjoint", "--width", "5"], "width 5 cannot be split over 2 heads"),
        (["--steps", "0"], "steps"),
        (["--learning-rate", "nan"], "learning_rate"),
        (["--probe", "psychic"], "'means', 'balanced', 'mixture' or 'stopped'"),
        (["--setting", "bottleneck", "--set", "layers=2"], "there is no option 'layers'"),
        (["--set", "layers"], "NAME=VALUE"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(
    arguments: list[str],
    part: str,
    own_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["toy", *arguments], monkeypatch) == 2
    error = capsys.readouterr().err.strip()
    assert part in error and "\n" not in error and error.startswith("hormesis: ")
    assert not own_home.exists()


def test_a_configuration_is_told_by_what_decides_its_numbers() -> None:
    default = parse_config({"setting": "disjoint"})
    assert default.hash == parse_config({"setting": "disjoint", "width": 4}).hash
    assert default.hash != parse_config({"setting": "literal"}).hash
    assert default.hash != parse_config({"setting": "disjoint", "weight_decay": 1e-3}).hash
