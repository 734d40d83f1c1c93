"""The toy experiment as part of a study: asked for, run once, stopped and resumed, told by the verdicts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from hormesis.db.engine import open_reader, open_writer
from hormesis.db.read import toy_experiments, verdicts
from hormesis.db.schema import StageRun, ToyRun
from hormesis.db.write import read_session, write_session
from hormesis.pipeline.commands.plan import plan_study
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import Stopped
from hormesis.pipeline.execution.stage import STUDY, run_stage
from hormesis.pipeline.execution.study import study_row
from hormesis.pipeline.stages import TOY
from hormesis.pipeline.stages.toy import models, requested
from hormesis.pipeline.stages.verdicts import verdicts_key
from hormesis.pipeline.study.config import ConfigError, StudyConfig, load_study, parse_study
from hormesis.pipeline.toy import runner
from hormesis.pipeline.toy.runner import run_toy
from tests.fixtures.tiny_study import finished_study, run

TOYS = {"settings": ["bottleneck"], "seeds": 2}


def asking(**section: object) -> StudyConfig:
    return parse_study({"name": "toys", "toy": section or TOYS})


def opened(config: StudyConfig, home: Path) -> StudyContext:
    home.mkdir(exist_ok=True)
    engine = open_writer(f"sqlite:///{home / 'hormesis.sqlite'}")
    return StudyContext(config, study_row(engine, config), home, engine)


def work(context: StudyContext) -> bool:
    assert TOY.when(context.config, STUDY)
    return run_stage(context, TOY, STUDY)


def runs(context: StudyContext) -> int:
    with read_session(context.engine) as session:
        return session.scalar(select(func.count(ToyRun.id))) or 0


def test_asking_for_it_makes_no_other_study(tmp_path: Path) -> None:
    assert asking().hash == parse_study({"name": "toys"}).hash
    assert not TOY.when(parse_study({"name": "toys"}), STUDY)
    hashes = {
        TOY.key(opened(asking(**section), tmp_path / "home"), STUDY)
        for section in (
            TOYS,
            TOYS | {"seeds": 3},
            {"settings": ["literal"]},
            {"settings": ["disjoint"]},
        )
    }
    assert len(hashes) == 4
    assert models(load_study("forum-full")) == 4 * 10 * 9
    configs, wanted_runs = requested(asking())
    assert [config.setting for config in configs] == ["bottleneck"] and wanted_runs.seeds == (0, 1)


@pytest.mark.parametrize(
    ("section", "part"),
    [
        ({"settings": ["nonsense"]}, "toy.settings"),
        ({"settings": ["literal", "literal"]}, "must not repeat"),
        ({"settings": ["literal"], "seeds": 0}, "toy.seeds"),
        ({"steps": 3}, "unknown key 'toy.steps'"),
    ],
)
def test_mistakes_are_one_line(section: dict[str, object], part: str) -> None:
    with pytest.raises(ConfigError, match=part) as error:
        asking(**section)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_it_runs_once_and_shares_its_runs(tmp_path: Path) -> None:
    context = opened(asking(), tmp_path / "home")
    url = context.engine.url.render_as_string(hide_password=False)
    assert plan_study(context.config, url).toy_models == 18
    before = verdicts_key(context, STUDY)
    assert verdicts_key(opened(parse_study({"name": "toys"}), tmp_path / "home"), STUDY) == before
    assert work(context) and runs(context) == 18
    assert not work(context)
    assert verdicts_key(context, STUDY) != before
    assert plan_study(context.config, url).toy_models == 0
    # A study that asks for more trains only what is lacking, and one that asks for the same nothing.
    other = opened(parse_study({"name": "others", "toy": TOYS}), tmp_path / "home")
    configs, wanted_runs = requested(other.config)
    assert run_toy(configs[0], wanted_runs, home=other.home, database_url=url).trained_runs == 0
    assert work(other) and runs(other) == 18
    more = opened(asking(settings=["bottleneck"], seeds=3), tmp_path / "home")
    assert more.study_id == context.study_id and work(more) and runs(more) == 27


@pytest.mark.slow
def test_a_stop_keeps_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "MOST_MODELS", 9)
    context = opened(asking(), tmp_path / "home")
    stopping = replace(context, should_stop=lambda: runs(context) >= 9)
    with pytest.raises(Stopped):
        work(stopping)
    assert runs(context) == 9
    with read_session(context.engine) as session:
        stage = session.scalars(select(StageRun).where(StageRun.stage == "toy")).one()
        assert stage.status == "stopped" and stage.total == 1 and 0 < stage.done < 1
        assert stage.unit == "settings" and stage.message.startswith("stopped")
    assert work(context) and runs(context) == 18
    with write_session(context.engine) as session:
        session.execute(StageRun.__table__.delete())
    assert work(context) and runs(context) == 18  # told anew, trained never


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_study_ends_with_it_and_its_verdict(tmp_path_factory: pytest.TempPathFactory) -> None:
    study, home = finished_study(tmp_path_factory)
    text = study.read_text(encoding="utf-8")
    study.write_text(text + '\n[toy]\nsettings = ["disjoint"]\nseeds = 2\n', encoding="utf-8")
    done = run(home, "run", str(study), "--json", timeout=1700)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["study_id"] == 1
    engine = open_reader(f"sqlite:///{home / 'hormesis.sqlite'}")
    assert toy_experiments(engine)["runs"].tolist() == [18]
    with read_session(engine) as session:
        stages = session.scalars(select(StageRun).order_by(StageRun.id)).all()
        assert {stage.status for stage in stages} == {"done"}
        toys = next(stage for stage in stages if stage.stage == "toy")
        trained = [stage.finished for stage in stages if stage.stage == "train"]
        assert len(trained) == 3 and max(trained) < toys.started  # no arm was trained again
    table = verdicts(engine, 1).set_index("claim")
    assert table.loc["C1-disjoint", "n_seeds"].max() == 2
    again = run(home, "run", str(study), timeout=1700)
    assert again.returncode == 0 and "nothing to do" in again.stderr
