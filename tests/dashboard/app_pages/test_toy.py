"""The toy experiment's page on real rows, in process: answers follow the rows, links, empty states."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sqlalchemy import delete, update

from hormesis.dashboard.app_pages.toy import words
from hormesis.dashboard.charts import toy as charts
from hormesis.dashboard.rows import toy
from hormesis.dashboard.running import toy_process
from hormesis.dashboard.running.permission import Home
from hormesis.dashboard.running.process import RunProblem
from hormesis.db import read
from hormesis.db.engine import open_reader, open_writer
from hormesis.db.schema import ToyEffect, ToyExperiment, ToyMean, utc_now
from hormesis.db.write import write_session
from hormesis.pipeline.toy import store
from hormesis.pipeline.toy.config import parse_config, parse_request
from hormesis.pipeline.toy.runner import run_toy
from tests.fixtures.pages import clear_caches, open_page
from tests.fixtures.pages import words as words_of
from tests.fixtures.shared_worlds import copy_database, shared_world

pytestmark = pytest.mark.usefixtures("fresh_pages")
REQUEST = {"shares": [0.01, 1.0], "seeds": [0, 1]}


def run_toys(home: Path) -> None:
    """Real rows of four tiny configurations; no study."""
    url = f"sqlite:///{home / 'hormesis.sqlite'}"
    for options in (
        {"setting": "bottleneck", "steps": 60},
        {"setting": "bottleneck", "steps": 60, "width": 3},
        {"setting": "bottleneck", "steps": 60, "weight_decay": 0.01},
        {"setting": "literal", "steps": 12, "layers": 1, "length": 4},
    ):
        run_toy(parse_config(options), parse_request(REQUEST), home=home, database_url=url)


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_world(tmp_path_factory, "toys", run_toys) / "hormesis.sqlite"


@pytest.fixture
def page(toys: Path, tmp_path: Path) -> Path:
    """A copy of the rows to change."""
    copy_database(toys, tmp_path / "d.sqlite")
    return tmp_path / "d.sqlite"


def test_the_page_answers_without_any_study(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(page, monkeypatch, "toy")
    page_words = words_of(app)
    assert not app.exception and not app.error
    assert "No study" not in page_words and app.subheader[0].value == "Are rare features entangled?"
    assert "4 configurations tried" in page_words and "2 seeds" in page_words
    for title in ("Entanglement over the share", "frozen at r = 1"):
        assert title in page_words
    for section, title in (
        ("Every setting", "Rare-specific effect in every setting"),
        ("Accuracy and length", "Length of the directions"),
        ("Learning", "Accuracy on the rare chain"),
    ):
        assert title not in page_words, "a section that is not asked for is not drawn"
        app = open_page(page, monkeypatch, "toy", toy_section=section)
        assert not app.exception and title in words_of(app)
    app = open_page(page, monkeypatch, "toy", toy_section="New run")
    assert any("hormesis toy --setting" in block.value for block in app.code)


def test_links_restore_setting_width_variant_probe_and_cosine(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = {"toy_setting": "Softmax bottleneck", "toy_width": "3", "toy_cosine": "Signed"}
    app = open_page(page, monkeypatch, "toy", **query, toy_probe="Mixture-weighted probe")
    assert app.selectbox(key="toy_width").value == 3 and app.selectbox(key="toy_probe").value == "mixture"
    assert "Softmax bottleneck, signed cosine" in words_of(app) and "in 3 dimensions" in words_of(app)
    query = {"toy_setting": "Softmax bottleneck", "toy_width": "4", "toy_view": "3-D", "toy_share": "1"}
    query["toy_section"] = "Directions"
    app = open_page(page, monkeypatch, "toy", **query)
    variants = app.selectbox(key="toy_variant")
    assert len(variants.options) == 2 and all("weight decay" in option for option in variants.options)
    assert "The 12 directions at r = 1, seed 0" in words_of(app)
    # A link's words may have changed since; its hash finds the variant.
    last = variants.options[1]
    app = open_page(page, monkeypatch, "toy", **query, toy_variant=f"other words {last[-8:]}")
    assert app.selectbox(key="toy_variant").value == last
    app = open_page(page, monkeypatch, "toy", toy_setting="nonsense", toy_probe="'; drop", toy_share="9")
    assert not app.exception


def test_answers_follow_the_rows(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for low, high, expected in (
        (0.1, 0.3, "Rare features look more entangled here"),
        (-0.3, -0.1, "Rare features look less entangled here"),
        (-0.1, 0.1, "Undecided: no rare-specific entanglement is seen here"),
        (None, None, "Too few seeds to tell here"),
    ):
        engine = open_writer(f"sqlite:///{page}")
        value = 0.0 if low is None or high is None else (low + high) / 2
        with write_session(engine) as session:
            session.execute(update(ToyEffect).values(value=value, low=low, high=high))
        engine.dispose()
        clear_caches()
        page_words = words_of(open_page(page, monkeypatch, "toy", toy_setting="Literal (shared states)"))
        assert expected in page_words
        status = words.status_of(low, high)
        assert f"states shared by the chains: **{status}**" in page_words
        assert f"weighted by the mixture: **{status}**" in page_words


def test_a_database_without_runs_and_none_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(tmp_path / "none.sqlite", monkeypatch, "toy")
    assert not app.exception and "There is no database at" in words_of(app)
    assert app.code[0].value == "hormesis toy" and not (tmp_path / "none.sqlite").exists()
    open_writer(f"sqlite:///{tmp_path / 'bare.sqlite'}").dispose()
    clear_caches()
    app = open_page(tmp_path / "bare.sqlite", monkeypatch, "toy")
    assert not app.exception and "holds no run of the toy experiment" in words_of(app)


def test_runs_under_way_are_shown_and_silent_ones_called_so(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_writer(f"sqlite:///{page}")
    with write_session(engine) as session:
        values = {"status": "running", "done": 30.0, "total": 120.0, "seconds": 3.0, "heartbeat": utc_now()}
        session.execute(update(ToyExperiment).where(ToyExperiment.setting == "literal").values(**values))
    app = open_page(page, monkeypatch, "toy")
    bars = app.get("progress")
    assert len(bars) == 1 and "25%, 10 model steps/s, about 9 s left" in bars[0].text
    with write_session(engine) as session:
        session.execute(
            update(ToyExperiment).values(heartbeat=pd.Timestamp("2020-01-01", tz="UTC").to_pydatetime())
        )
    engine.dispose()
    assert "no sign of life" in words_of(open_page(page, monkeypatch, "toy"))


def test_the_command_of_the_form_is_the_one_that_runs(tmp_path: Path) -> None:
    command = toy_process.arguments(
        "bottleneck", {"width": 4, "steps": 5, "weight_decay": None}, shares=".01,1", seeds="2"
    )
    assert " ".join(command) == "toy --setting bottleneck --shares .01,1 --seeds 2 --width 4 --steps 5"
    home = Home(tmp_path, f"sqlite:///{tmp_path / 'hormesis.sqlite'}")
    begun = toy_process.start(home, command)
    with pytest.raises(RunProblem, match="still running"):
        toy_process.start(home, command)
    assert begun.process.wait(timeout=120) == 0
    assert toy_process.running(home) is None and toy_process.ended_badly(home) is None
    assert len(read.toy_measures(open_reader(home.url), 1, "means")) == 8
    toy_process.start(home, [*command, "--width", "1"]).process.wait(timeout=120)
    assert "width" in str(toy_process.ended_badly(home))


def test_stored_means_are_students_over_the_runs(toys: Path) -> None:
    engine = open_reader(f"sqlite:///{toys}")
    runs, means = read.toy_measures(engine, 1, "balanced"), read.toy_means(engine, 1, "balanced")
    assert len(means) == 2 * len(REQUEST["shares"]) * 6
    for row in means.itertuples():
        values = runs[(runs["network"] == row.network) & (runs["share"] == row.share)][row.name]
        interval = stats.ttest_1samp(values, 0).confidence_interval()
        assert row.value == pytest.approx(values.mean()) and row.n_seeds == 2
        ends = np.clip([interval.low, interval.high], *store.BOUNDS[row.name.partition("_")[2]])
        assert [row.low, row.high] == pytest.approx(ends)


def test_an_older_experiment_gets_its_means_when_it_is_asked_for(page: Path, tmp_path: Path) -> None:
    engine = open_writer(f"sqlite:///{page}")
    before = read.toy_means(engine, 1, "means")
    with write_session(engine) as session:
        session.execute(delete(ToyMean))
    config = parse_config({"setting": "bottleneck", "steps": 60})
    run_toy(config, parse_request(REQUEST), home=tmp_path, database_url=f"sqlite:///{page}")
    pd.testing.assert_frame_equal(read.toy_means(engine, 1, "means"), before)
    engine.dispose()


def test_effects_of_runs_average_to_the_stored_effect(toys: Path) -> None:
    engine = open_reader(f"sqlite:///{toys}")
    effects = read.toy_effects(engine)
    for cosine in toy.COSINES:
        table = read.toy_measures(engine, 1, "balanced")
        effects_of_runs = toy.run_effects(table[table["network"] == "trained"], cosine)
        stored = words.pick(
            effects, experiment_id=1, probe="balanced", network="trained", cosine=cosine, split="all"
        )
        assert effects_of_runs["effect"].mean() == pytest.approx(stored["value"].iloc[0])


def test_principal_axes_keep_angles_and_say_what_they_hold() -> None:
    turned, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((5, 5)))
    flat = np.zeros((12, 5))
    flat[:, :2] = np.random.default_rng(4).standard_normal((12, 2))
    points, two, three = charts.principal(flat @ turned)
    assert two == pytest.approx(1.0) and three == pytest.approx(1.0)
    unit = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    assert points @ points.T == pytest.approx(unit @ unit.T)
    assert charts.principal(np.eye(12)[:, :2] + 1e-9)[0].shape == (12, 3)


def test_a_forest_draws_every_row_once() -> None:
    table = pd.DataFrame(
        {
            "label": ["a", "b", "c"],
            "hover": ["", "", ""],
            "network": ["trained", "frozen", "trained"],
            "value": [0.2, 0.0, -0.1],
            "low": [0.1, -0.1, np.nan],
            "high": [0.3, 0.1, np.nan],
        }
    )
    marks = [
        (x, y)
        for trace in charts.forest(table, "DiD", dark=False).data
        for x, y in zip(trace.x, trace.y, strict=True)
    ]
    assert sorted(marks) == [(-0.1, "c"), (0.0, "b"), (0.2, "a")]


def test_the_page_needs_no_torch() -> None:
    program = (
        "import sys, hormesis.dashboard.app_pages.toy.start_view, "
        "hormesis.dashboard.app_pages.toy.effects_view, hormesis.dashboard.app_pages.toy.directions_view; "
        "heavy = ('torch', 'transformers', 'hormesis.backend', 'hormesis.pipeline'); "
        "print([n for n in sys.modules if n.startswith(heavy)])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
