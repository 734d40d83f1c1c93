"""The door to a database: views, charts, what is hidden, what is refused; on the seeded study."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import plotly.graph_objects as go
import pytest

import hormesis
from hormesis.dashboard.base.study_names import NoSuchStudy
from hormesis.dashboard.notebook.charts import CHARTS, ChartError, ChartName
from hormesis.dashboard.notebook.database import Database
from hormesis.dashboard.notebook.study import Study
from hormesis.dashboard.notebook.study_rows import NoSuchRows
from hormesis.db import read
from hormesis.db.contract.stages import STAGES
from hormesis.db.engine import open_writer
from hormesis.db.problems import DatabaseProblem
from hormesis.db.schema import StageRun
from hormesis.db.schema import Study as StudyRow
from hormesis.db.write import write_session
from tests.fixtures.shared_worlds import copy_database

STEERED = "iti/mass_mean/fixed-3"
SETTINGS = {"heads": {"checkpoint": "toxic-25-s0"}, "attack_curves": {"series": "toxicity"}}


@pytest.fixture(scope="module")
def database(small_database: Path) -> Database:
    return hormesis.open(small_database)


@pytest.fixture(scope="module")
def study(database: Database) -> Study:
    return database.study()


def test_every_named_chart_is_there() -> None:
    assert tuple(CHARTS) == get_args(ChartName)


@pytest.mark.parametrize("name", CHARTS)
def test_view_gives_the_rows_of_its_chart(name: Any, study: Study) -> None:
    settings = SETTINGS.get(name, {})
    rows = getattr(study, name)(**settings)
    assert isinstance(rows, pd.DataFrame)
    assert len(rows) > 0
    figure = study.chart(name, **settings)
    assert isinstance(figure, go.Figure)
    assert len(figure.data) > 0
    if name != "entanglement":
        beside = {"doses": lambda: {"fits": study.fits()}}
        beside["direction_map"] = lambda: {"null": study.direction_map(null_model="random")}
        settings = beside.get(name, dict)()
        assert hormesis.chart(name, rows, **settings).to_json() == figure.to_json()


def test_chart_draws_the_rows_that_it_is_handed(study: Study) -> None:
    points = study.tradeoffs()
    clean = study.chart("tradeoffs", points[points["share"] == 0.0])
    assert len(clean.data) < len(study.chart("tradeoffs", points).data)
    assert study.chart("doses", dark=True).to_dict() != study.chart("doses").to_dict()


def test_tradeoffs_are_the_summaries_with_their_cost(study: Study) -> None:
    points = study.tradeoffs(prompt_set="forum-prompts", scorer="tfidf")
    assert set(points["scorer"]) == {"tfidf"}
    summaries = study.summaries()
    costs = summaries[summaries["name"] == "cost"].set_index(["kind", "share", "condition_key"])["value"]
    steered = points[points["method"] != "none"]
    expected = [
        costs[key] for key in zip(steered["kind"], steered["share"], steered["condition_key"], strict=True)
    ]
    assert steered["cost"].tolist() == pytest.approx(expected)
    assert (points.loc[points["method"] == "none", "cost"] == 0).all()


def test_a_metric_brings_its_own_scorer(study: Study) -> None:
    assert set(study.tradeoffs("fluency")["scorer"]) == {"forum-fluency"}


def test_generations_are_those_stored_and_hidden(study: Study) -> None:
    texts = study.generations("toxic-25-s0", STEERED)
    assert len(texts) == len(texts.frame) == 64
    assert texts.frame["score"].between(0, 1).all()
    words = texts[0]
    assert words == texts.frame["text"].iloc[0]
    assert words not in repr(texts)
    page = texts._repr_html_()
    assert page.index("<details>") < page.index(words)
    assert page.count("<details>") == 10
    assert list(texts[2:4]) == list(texts)[2:4]


def test_statements_carry_labels_and_splits(study: Study) -> None:
    statements = study.statements()
    assert set(statements["label"]) == {0, 1}
    assert {"text", "split", "group", "source"} <= set(statements.frame)
    assert len(statements) == 600


def test_directions_are_unit_vectors_best_first(study: Study) -> None:
    table = study.directions("toxic-25-s0")
    first = table[table["method"] == "mass_mean"]
    assert first["rank"].tolist()[:4] == [1, 2, 3, 4]
    assert first["rank"].iloc[4:].isna().all()
    assert all(abs(float(vector @ vector) - 1) < 1e-5 for vector in first["vector"])


def test_default_study_is_the_newest_that_is_finished(small_database: Path, tmp_path: Path) -> None:
    url = copy_database(small_database, tmp_path / "hormesis.sqlite")
    engine = open_writer(url)
    with write_session(engine) as session:
        row = StudyRow(hash="f" * 16, name="later", scale="nano", config={}, data_revisions={})
        session.add(row)
        session.flush()
        stage = next(iter(STAGES))
        session.add(StageRun(study_id=row.id, stage=str(stage), subject="study", input_hash="c" * 16,
                             status="running", packages={}))  # fmt: skip
    engine.dispose()
    database = hormesis.open(tmp_path)
    assert database.studies["name"].tolist()[0] == "later"
    assert database.studies["finished"].tolist() == [False, True]
    assert database.study().name == database.studies["name"].tolist()[1]
    assert database.study("ffffff").name == "later"
    assert "0 of 1 stages" in repr(database.study("later"))
    with pytest.raises(ChartError, match="has no rows for the chart 'training'"):
        database.study("later").chart("training")


def test_objects_show_themselves(database: Database, study: Study) -> None:
    assert study.name in repr(database)
    assert study.hash in repr(study)
    assert "tradeoffs" in repr(study)
    assert "<table" in database._repr_html_()
    assert "finished" in study._repr_html_()
    assert "&" not in study.name or "&amp;" in study._repr_html_()


def test_every_public_method_is_documented() -> None:
    for kind in (Database, Study):
        for name, member in inspect.getmembers(kind):
            if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
                assert member.__doc__, f"{kind.__name__}.{name}"


def test_toy_views_and_charts(database: Database) -> None:
    toy = database.toy()
    assert len(toy.measures()) > 0
    for name in ("entanglement", "learning", "effects"):
        assert len(toy.chart(name).data) > 0
    with pytest.raises(ChartError, match="no chart 'forest'"):
        toy.chart("forest")
    with pytest.raises(NoSuchRows, match="no toy runs"):
        database.toy("other")


@pytest.mark.parametrize(
    ("kind", "message", "mistake"),
    [
        (NoSuchStudy, "no study 'none'", lambda d, s: d.study("none")),
        (NoSuchRows, "no metric 'wit' .metrics: compression, cost", lambda d, s: s.tradeoffs("wit")),
        (NoSuchRows, "no scorer 'me' .scorers: forum, tfidf", lambda d, s: s.doses(scorer="me")),
        (NoSuchRows, "no prompt set 'mine'", lambda d, s: s.verdicts(prompt_set="mine")),
        (NoSuchRows, "no checkpoint 'x' .checkpoints: toxic-0-s0", lambda d, s: s.heads("x")),
        (NoSuchRows, "no condition 'x'", lambda d, s: s.generations("toxic-0-s0", "x")),
        (NoSuchRows, "no map by tsne", lambda d, s: s.direction_map("tsne")),
        (NoSuchRows, "no study in .* has a checkpoint 'x'", lambda d, s: d.checkpoint("x")),
        (ChartError, "no chart 'pie' .charts: tradeoffs", lambda d, s: s.chart("pie")),
        (ChartError, "no option 'colour' .options: metric", lambda d, s: s.chart("tradeoffs", colour=1)),
        (ChartError, "no measure 'wit'", lambda d, s: s.chart("heads", measure="wit")),
        (ChartError, "of one checkpoint", lambda d, s: hormesis.chart("heads", s.probes())),
        (ChartError, "lack the column 'cost'", lambda d, s: hormesis.chart("tradeoffs", s.doses())),
        (DatabaseProblem, "there is no database", lambda d, s: hormesis.open("/nowhere/study.sqlite")),
        (NoSuchRows, "has no weights at .*home=FOLDER", lambda d, s: Path(d.checkpoint("toxic-0-s0"))),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(
    kind: type[ValueError], message: str, mistake: Any, database: Database, study: Study
) -> None:
    with pytest.raises(kind, match=message) as error:
        mistake(database, study)
    assert "\n" not in str(error.value)


def test_reading_changes_no_file(small_database: Path, tmp_path: Path) -> None:
    copy_database(small_database, tmp_path / "hormesis.sqlite")
    before = (tmp_path / "hormesis.sqlite").read_bytes()
    study = hormesis.open(tmp_path).study()
    study.chart("doses")
    assert [path.name for path in tmp_path.iterdir()] == ["hormesis.sqlite"]
    assert (tmp_path / "hormesis.sqlite").read_bytes() == before


def test_views_are_what_the_pages_read(study: Study) -> None:
    pd.testing.assert_frame_equal(study.training(), read.train_points(study.engine, study.id))
    pd.testing.assert_frame_equal(study.probes(), read.arm_probes(study.engine, study.id, "last"))


def test_database_needs_neither_streamlit_nor_torch(small_database: Path) -> None:
    code = (
        "import sys, hormesis; assert 'pandas' not in sys.modules; "
        f"hormesis.open({str(small_database)!r}).study().chart('doses'); "
        "print({'streamlit', 'torch', 'transformers'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
