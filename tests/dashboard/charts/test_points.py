"""Charts are sent about 15,000 points at most and say when they sample; pages read the rows they show."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import select, update
from streamlit.testing.v1 import AppTest

from hormesis.dashboard.charts.frame import MOST_POINTS, evenly, sample
from hormesis.dashboard.charts.heads import most_per_line, survival
from hormesis.db.engine import open_writer
from hormesis.db.read import results
from hormesis.db.schema import Arm, Checkpoint, Projection, ProjectionPoint, StageRun, Study, TrainPoint
from hormesis.db.write import upsert, write_session
from tests.fixtures.pages import open_page
from tests.fixtures.shared_worlds import copy_database
from tests.fixtures.viewer import Run

MANY = 40_000
pytestmark = pytest.mark.usefixtures("fresh_pages")


@pytest.fixture
def crowded(tiny_database: Path, tmp_path: Path) -> Path:
    """A study with a map of 40,000 directions, and curves of 20,000 steps for each arm."""
    path = tmp_path / "study.sqlite"
    engine = open_writer(copy_database(tiny_database, path))
    with write_session(engine) as session:
        study = session.execute(select(Study.id)).scalar_one()
        checkpoint = session.execute(select(Checkpoint.id)).scalars().first()
        session.execute(update(Projection).where(Projection.subject == "directions").values(method="pca"))
        projection = Projection(
            study_id=study, key="crowded", subject="directions", space="functional", method="umap",
            dimensions=2, n=MANY, parameters={},
        )  # fmt: skip
        session.add(projection)
        session.flush()
        places = np.random.default_rng(0).normal(size=(MANY, 2)).tolist()
        points = [
            {"projection_id": projection.id, "position": at, "x": x, "y": y, "checkpoint_id": checkpoint,
             "layer": 0, "head": at}
            for at, (x, y) in enumerate(places)
        ]  # fmt: skip
        upsert(session, ProjectionPoint, points, on=("projection_id", "position"))
        for arm in session.execute(select(Arm.id)).scalars():
            steps = [
                {"arm_id": arm, "step": step, "tokens": step, "loss": 1.0, "clean_loss": 1.0,
                 "toxic_loss": 1.0, "learning_rate": 0.1, "tokens_per_second": 1.0}
                for step in range(1000, 21_000)
            ]  # fmt: skip
            upsert(session, TrainPoint, steps, on=("arm_id", "step"))
        session.execute(update(StageRun).where(StageRun.id == 1).values(status="failed"))
    engine.dispose()
    return path


def charts(app: AppTest) -> dict[str, int]:
    """Points of every chart by its key."""
    run = Run(fragment=False)
    run.charts = {chart.proto.id.split("-", 2)[-1]: chart.proto.spec for chart in app.get("plotly_chart")}
    assert all(json.loads(spec)["data"] for spec in run.charts.values())
    return run.points()


def captions(app: AppTest) -> str:
    return "\n".join(str(caption.value) for caption in app.caption)


def test_a_map_of_many_directions_is_a_sample_and_says_so(
    crowded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(crowded, monkeypatch, "geometry")
    assert not app.exception
    sent = charts(app)
    assert max(sent.values()) <= MOST_POINTS + 100
    sentence = re.search(
        r"n = 40,000 directions\..*A sample: ([\d,]+) of 40,000 points are drawn\.", captions(app)
    )
    assert sentence is not None
    sample_size = int(sentence.group(1).replace(",", ""))
    ring = sent["directions"] - sample_size
    assert MANY // 4 < sample_size <= MOST_POINTS and 0 <= ring <= 1


@pytest.mark.slow
@pytest.mark.parametrize("page", ["overview", "runs"])
def test_long_training_curves_are_thinned_and_say_so(
    crowded: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    query = {"tab": "Loss curves"} if page == "runs" else {}
    app = open_page(crowded, monkeypatch, page, **query)
    assert not app.exception
    key = "overview_loss" if page == "overview" else "runs_loss"
    assert MOST_POINTS / 3 < charts(app)[key] <= MOST_POINTS
    assert "Curves are thinned evenly." in captions(app)


@pytest.mark.parametrize("page", ["overview", "tradeoffs"])
def test_pages_read_the_summaries_they_show_and_no_others(
    small_database: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    tables: list[pd.DataFrame] = []
    real = results.frame

    def noted(*args: Any, **options: Any) -> pd.DataFrame:
        rows = real(*args, **options)
        tables.extend([rows] if {"name", "condition_key", "value"} <= {*rows.columns} else [])
        return rows

    monkeypatch.setattr(results, "frame", noted)
    # By way of the overview, so that its summaries count too.
    app = open_page(small_database, monkeypatch).switch_page(f"app_pages/{page}/page.py").run()
    assert not app.exception and app.selectbox(key="prompts").value == "forum-prompts"

    def read_so_far() -> set[tuple[str, ...]]:
        columns = ["name", "prompt_set", "scorer"]
        return {tuple(values) for table in tables for values in table[columns].fillna("").to_numpy()}

    scopes = {("toxicity", "forum-prompts", "forum")}
    gates = {("fluency", "forum-prompts", "forum-fluency"), ("repetition_4", "forum-prompts", "")}
    scopes |= {("cost", "", ""), *gates} if page == "tradeoffs" else set()
    assert read_so_far() == scopes
    app.selectbox(key="prompts").select("forum-greetings").run()
    assert not app.exception
    assert read_so_far() == scopes | {(name, "forum-greetings", by) for name, of, by in scopes if of}


def test_a_sample_says_of_how_many() -> None:
    rows = pd.DataFrame({"x": range(100)})
    assert sample(rows, 100) == (rows, "")
    some, sentence = sample(rows, 30)
    assert len(some) == 30 and some.index.is_monotonic_increasing
    assert sentence == "A sample: 30 of 100 points are drawn."
    assert sample(rows, 30)[0].equals(some)
    assert sample(rows, 100, total=5_000)[1] == "A sample: 100 of 5,000 points are drawn."


@pytest.mark.parametrize(("number", "most"), [(0, 5), (5, 5), (6, 5), (1000, 7), (15_001, 15_000)])
def test_even_places_keep_both_ends_and_repeat_none(number: int, most: int) -> None:
    places = evenly(number, most)
    assert len(places) == min(number, most) == len(set(places)) and places == sorted(places)
    if number:
        assert (places[0], places[-1]) == (0, number - 1)


def test_the_lines_of_many_heads_are_thinned_together() -> None:
    heads, checkpoints = 1024, 30
    rows = pd.DataFrame(
        {
            "checkpoint": np.repeat([f"c{i}" for i in range(checkpoints)], heads),
            "kind": "toxic",
            "share": np.repeat(np.linspace(0, 0.3, checkpoints), heads),
            "accuracy": np.random.default_rng(0).uniform(0.5, 1, heads * checkpoints),
        }
    )
    lines = survival(rows, "accuracy", "x").data
    assert sum(len(line.x) for line in lines) <= MOST_POINTS
    assert all(len(line.x) == most_per_line(checkpoints) == 500 for line in lines)
    for line, (_, heads_of_line) in zip(lines, rows.groupby("share"), strict=True):
        assert line.x[0] == heads_of_line["accuracy"].min() and line.x[-1] == heads_of_line["accuracy"].max()
        assert line.y[0] == 100 and line.y[-1] == pytest.approx(100 / heads)
