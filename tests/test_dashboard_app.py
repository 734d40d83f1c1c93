"""Every page on real rows, in process: finished, running, empty, missing, broken; links restore views."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import streamlit as st
from sqlalchemy import delete, update
from streamlit.testing.v1 import AppTest

from dashboard.launch import APP
from db.engine import open_writer
from db.schema import StageRun, Verdict
from db.write import write_session
from tests.seeded_database import TINY, build_file

PAGES = ("overview", "tradeoffs", "geometry", "steer", "runs", "data", "definitions")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("seeded") / "study.sqlite"
    build_file(path)
    return path


@pytest.fixture(autouse=True)
def no_service(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("HORMESIS_SERVICE", raising=False)
    st.cache_data.clear()
    st.cache_resource.clear()
    yield


def opened(path: Path, monkeypatch: pytest.MonkeyPatch, page: str = "overview", **query: str) -> AppTest:
    monkeypatch.setenv("HORMESIS_DB", f"sqlite:///{path}")
    app = AppTest.from_file(str(APP), default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    return app if page == "overview" else app.switch_page(f"app_pages/{page}.py").run()


def words(app: AppTest) -> str:
    kinds = (app.subheader, app.markdown, app.caption, app.info, app.warning, app.error)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens(finished: Path, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    app = opened(finished, monkeypatch, page)
    assert not app.exception and not app.error
    assert app.subheader[0].value.endswith("?")


def test_overview_answers_first_and_says_n(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = words(opened(finished, monkeypatch))
    assert "matched cost" in said and "seeds, n =" in said and "supported" in said
    assert "forum-prompts" in str(opened(finished, monkeypatch).selectbox(key="prompts").value)


def test_overview_shows_stored_verdicts_and_how_they_were_tested(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(finished, monkeypatch)
    said = words(app)
    assert "sees a true difference" in said and "Holm" in said and "†" in said
    table = app.table[0].value
    assert {"Claim", "Paper †", "p (Holm)", "Sees"} <= set(table.columns)
    assert "Toxic text in pretraining raises the unsteered model's toxicity" in set(table["Claim"])
    app.segmented_control(key="claims").set_value("Its readers'").run()
    readers = set(app.table[0].value["Claim"])
    assert any("control" in one or "added text" in one for one in readers)
    claim = next(iter(sorted(readers)))
    app.selectbox(key="claim").select(claim).run()
    assert "Estimand:" in words(app) and "Rule:" in words(app)
    link = opened(finished, monkeypatch, claims="All", claim=claim)
    assert link.selectbox(key="claim").value == claim and not link.exception
    odd = opened(finished, monkeypatch, claims="nonsense", claim="no such claim", fit="maybe")
    assert not odd.exception and odd.selectbox(key="claim").value is None


def test_overview_without_verdicts_says_how_to_make_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.sqlite"
    engine = open_writer(build_file(path, TINY))
    with write_session(engine) as session:
        session.execute(delete(Verdict))
    engine.dispose()
    app = opened(path, monkeypatch)
    assert not app.exception and "hormesis verdicts" in words(app) and "Not known yet" in words(app)


def test_links_restore_a_view(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(finished, monkeypatch, view="Fixed strength", scorer="tfidf")
    assert app.selectbox(key="scorer").value == "tfidf"
    assert app.get("segmented_control")[0].value == "Fixed strength"
    app = opened(finished, monkeypatch, view="nonsense", scorer="none such", prompts="'; drop")
    assert not app.exception and app.selectbox(key="scorer").value == "forum"


def test_a_head_chosen_is_kept_over_pages(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(finished, monkeypatch, "geometry")
    app.selectbox(key="head").select("L1H3").run()
    assert "**L1H3 in every arm**" in words(app)
    app.switch_page("app_pages/runs.py").run()
    app.switch_page("app_pages/geometry.py").run()
    assert app.selectbox(key="head").value == "L1H3"


@pytest.mark.parametrize("measure", ["AUROC", "Selectivity", "Separation"])
def test_geometry_measures(finished: Path, monkeypatch: pytest.MonkeyPatch, measure: str) -> None:
    app = opened(finished, monkeypatch, "geometry", probe=measure)
    assert not app.exception and f"**{measure} over heads**" in words(app)


def test_trade_offs_show_changes_of_a_condition(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(finished, monkeypatch, "tradeoffs", condition="25 % toxic: ITI at +0.06 nats")
    assert app.selectbox(key="condition").value == "25 % toxic: ITI at +0.06 nats"
    counts = [int(metric.value.split(" ")[0]) for metric in app.metric]
    assert len(counts) == 3 and sum(counts) == 64
    random = opened(
        finished, monkeypatch, "tradeoffs", condition="25 % toxic: Random directions at +0.06 nats"
    )
    assert not random.exception and len(random.metric) == 3


def test_without_a_service_steering_says_what_to_do(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(finished, monkeypatch, "steer")
    assert "without one" in words(app) and "hormesis dashboard" in app.code[0].value
    monkeypatch.setenv("HORMESIS_SERVICE", "http://127.0.0.1:9")
    app = opened(finished, monkeypatch, "steer")
    assert "No model service answers at http://127.0.0.1:9" in words(app)


def test_a_running_study_shows_progress_and_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "running.sqlite"
    engine = open_writer(build_file(path, TINY))
    values = {"status": "running", "done": 3, "total": 12, "heartbeat": datetime.now(UTC), "finished": None}
    with write_session(engine) as session:
        session.execute(update(StageRun).where(StageRun.stage == "score").values(**values))
    engine.dispose()
    app = opened(path, monkeypatch)
    assert not app.exception
    assert "**Progress**" in words(app) and "**Training**" in words(app)
    app = opened(path, monkeypatch, "runs")
    assert not app.exception and "**Progress**" in words(app)


def test_a_study_on_the_books_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "begun.sqlite"
    engine = open_writer(f"sqlite:///{path}")
    from db.schema import Study

    with write_session(engine) as session:
        session.add(Study(hash="a" * 16, name="begun", scale="nano", config={}, data_revisions={}))
    engine.dispose()
    for page in PAGES:
        app = opened(path, monkeypatch, page)
        assert not app.exception, page
        assert not app.error, page


def test_a_missing_database_is_said_and_recovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "later.sqlite"
    app = opened(path, monkeypatch)
    assert "There is no database at" in words(app) and not app.exception
    assert not path.exists()
    build_file(path, TINY)
    st.cache_data.clear()
    app.run()
    assert app.subheader[0].value == "Does a dose of toxic text help?"
    assert not opened(tmp_path / "none.sqlite", monkeypatch, "definitions").exception


def test_a_foreign_file_is_said_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database at all, only some words " * 40)
    app = opened(path, monkeypatch)
    assert not app.exception and "not a SQLite database" in words(app)


def test_the_dashboard_never_imports_torch() -> None:
    names = (
        "rows",
        "context",
        "live.run",
        "live.panel",
        "comparison",
        "geometry_view",
        "progress_view",
        "launch",
    )
    imports = ", ".join(f"dashboard.{name}" for name in names)
    heavy = "('torch', 'transformers', 'backend', 'pipeline')"
    program = f"import sys, {imports}; print([n for n in sys.modules if n.split('.')[0] in {heavy}])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
