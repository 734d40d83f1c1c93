"""Every page on real rows, in process: finished, running, empty, missing, broken; links restore views."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import delete, select, update
from streamlit.util import calc_hash

from hormesis.dashboard import rows
from hormesis.dashboard.base.wording import plain
from hormesis.dashboard.report.study import document, open_study
from hormesis.db.engine import open_writer
from hormesis.db.schema import Arm, Checkpoint, NullEffect, StageRun, Study, Summary, Verdict
from hormesis.db.write import write_session
from tests.fixtures.database_files import copied_study
from tests.fixtures.pages import clear_caches, open_page, words
from tests.fixtures.seeded_database import TINY, build
from tests.fixtures.shared_worlds import changed_copy, copy_database

PAGES = ("overview", "tradeoffs", "geometry", "steer", "runs", "data", "glossary")
pytestmark = pytest.mark.usefixtures("fresh_pages")


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens(small_database: Path, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    app = open_page(small_database, monkeypatch, page)
    assert not app.exception and not app.error
    assert app.subheader[0].value.endswith("?")


@pytest.fixture(scope="module")
def sqlite_copy(small_database: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a copy of the seeded study as a SQLite file."""
    return copied_study(small_database, f"sqlite:///{tmp_path_factory.mktemp('copy')}/study.sqlite")


@pytest.mark.xdist_group("postgresql")
@pytest.mark.parametrize("page", [*PAGES, "robustness", "toy"])
def test_pages_say_the_same_on_postgresql(
    sqlite_copy: str, postgres_copy: str, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    expected = open_page(sqlite_copy, monkeypatch, page)
    clear_caches()
    app = open_page(postgres_copy, monkeypatch, page)
    assert not app.exception and not app.error
    on_postgresql = words(app).replace(postgres_copy, sqlite_copy)
    assert on_postgresql == words(expected)
    assert [list(table.value.columns) for table in app.dataframe] == [
        list(table.value.columns) for table in expected.dataframe
    ]


@pytest.mark.parametrize("page", ["overview", "robustness", "glossary"])
def test_a_page_answers_to_its_own_name(
    small_database: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    expected = open_page(small_database, monkeypatch, page)
    app = open_page(small_database, monkeypatch, claims="All")
    app._page_hash = calc_hash(page)
    app.run()
    assert app.subheader[0].value == expected.subheader[0].value
    assert page != "overview" or app.query_params["claims"] == "All"


def test_overview_answers_first_and_says_n(small_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page_words = words(open_page(small_database, monkeypatch))
    assert "matched cost" in page_words and "seeds, n =" in page_words and "supported" in page_words
    assert "forum-prompts" in str(open_page(small_database, monkeypatch).selectbox(key="prompts").value)


def test_overview_shows_stored_verdicts_and_how_they_were_tested(
    small_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(small_database, monkeypatch)
    page_words = words(app)
    assert "with a power of 80 %" in page_words and "Holm" in page_words and "†" in page_words
    table = app.table[0].value
    assert {"Claim", "Paper †", "p (Holm)", "Minimum detectable effect (80 % power)"} <= set(table.columns)
    assert "Toxic text in pretraining raises the unsteered model's toxicity" in set(table["Claim"])
    app.segmented_control(key="claims").set_value("Readers' questions").run()
    readers = set(app.table[0].value["Claim"])
    assert any("control" in statement or "added text" in statement for statement in readers)
    claim = next(iter(sorted(readers)))
    app.selectbox(key="claim").select(claim).run()
    assert "Estimand:" in words(app) and "Rule:" in words(app)
    link = open_page(small_database, monkeypatch, claims="All", claim=claim)
    assert link.selectbox(key="claim").value == claim and not link.exception
    odd = open_page(small_database, monkeypatch, claims="nonsense", claim="no such claim", fit="maybe")
    assert not odd.exception and odd.selectbox(key="claim").value is None


def test_overview_without_verdicts_says_how_to_make_them(
    tiny_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = changed_copy(tiny_database, tmp_path / "old.sqlite", delete(Verdict))
    app = open_page(path, monkeypatch)
    assert not app.exception and "hormesis verdicts" in words(app) and "Not known yet" in words(app)


def test_links_restore_a_view(small_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(small_database, monkeypatch, view="Fixed strength", scorer="tfidf")
    assert app.selectbox(key="scorer").value == "tfidf"
    assert app.selectbox(key="view").value == "Fixed strength"
    app = open_page(small_database, monkeypatch, view="nonsense", scorer="none such", prompts="'; drop")
    assert not app.exception and app.selectbox(key="scorer").value == "forum"


def test_trade_offs_show_changes_of_a_condition(
    small_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(small_database, monkeypatch, "tradeoffs", condition="25 % toxic: ITI at +0.06 nats")
    assert app.selectbox(key="condition").value == "25 % toxic: ITI at +0.06 nats"
    counts = [int(words.split()[-2]) for words in app.segmented_control(key="change").options]
    assert counts[0] == 64 == sum(counts[1:4])
    # The worst prompt in two clicks; those above 50 points on both sides are a choice of their own.
    app.segmented_control(key="order").set_value("Highest score").run()
    app.segmented_control(key="change").set_value("Still toxic").run()
    assert not app.exception and app.session_state["page"] == 1
    arm = "0 % toxic: Unsteered"
    between_arms = open_page(small_database, monkeypatch, "tradeoffs", against=arm, change="More toxic")
    assert not between_arms.exception and between_arms.selectbox(key="against").value == arm
    random = open_page(
        small_database, monkeypatch, "tradeoffs", condition="25 % toxic: Random directions at +0.06 nats"
    )
    assert not random.exception and random.segmented_control(key="change").options


def test_what_fails_a_gate_is_hidden_by_a_switch_that_a_link_restores(
    small_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gates(**query: str) -> list[str]:
        app = open_page(small_database, monkeypatch, "tradeoffs", behind="All conditions", **query)
        assert not app.exception and app.toggle(key="passing").value == ("passing" in query)
        assert ("fail and are hidden" in words(app)) == ("passing" in query)
        return list(app.dataframe[0].value["Gates"])

    everything, rest = gates(), gates(passing="true")
    failing = [text for text in everything if text.startswith("fails: ")]
    assert failing and any("cost" in text for text in failing)
    assert sorted(rest) == sorted(text for text in everything if text not in failing)


@pytest.fixture
def two_studies(tiny_database: Path, tmp_path: Path) -> Path:
    path = tmp_path / "two.sqlite"
    engine = open_writer(copy_database(tiny_database, path))
    second = build(engine, TINY, seed=1)
    with write_session(engine) as session:
        session.execute(update(Study).where(Study.id == second).values(name="second"))
    engine.dispose()
    return path


def test_trade_offs_of_two_studies_stand_in_one_chart(
    two_studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(two_studies, monkeypatch, "tradeoffs")
    alone = app.pills(key="arms").options
    app.multiselect(key="also").select(app.multiselect(key="also").options[0]).run()
    arms = app.pills(key="arms").options
    assert not app.exception and len(arms) == 2 * len(alone) and set(alone) < set(arms)


def test_generations_are_searched(small_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hits(low: float = 0.0, **query: str) -> int:
        app = open_page(small_database, monkeypatch, "data", show="Generations", **query)
        if low:
            app.slider(key="between").set_range(low, 1.0).run()
        assert not app.exception
        titles = [text.value.strip("*") for text in app.markdown if " texts**" in text.value]
        return int(titles[0].split()[0].replace(",", "")) if titles else 0

    everything = hits()
    assert 0 < hits(of_condition="Unsteered") < everything and 0 < hits(low=0.5) < everything
    assert 0 < hits(of_checkpoint="25 % toxic, seed 0") < everything
    assert hits(words="no text says this") == 0


def test_a_link_leads_to_its_page_of_texts(small_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[int] = []
    search = rows.search_generations

    def noted(*arguments: Any, **options: Any) -> pd.DataFrame:
        pages.append(options["page"])
        return search(*arguments, **options)

    monkeypatch.setattr(rows, "search_generations", noted)
    for link, expected in (("2", [1]), ("99999", [99998, 0]), ("-1", [0]), ("two", [0]), ("9" * 30, [0])):
        pages.clear()
        app = open_page(small_database, monkeypatch, "data", show="Generations", hit=link)
        assert not app.exception and pages == expected, link


def test_imported_checkpoints_have_an_overview(
    tiny_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "imported.sqlite"
    engine = open_writer(copy_database(tiny_database, path))
    with write_session(engine) as session:
        session.execute(delete(Summary).where(Summary.kind != "toxic"))
        session.execute(delete(Summary).where(Summary.share != 0.25))
        session.execute(update(Summary).values(kind="imported:mine"))
        session.execute(update(Arm).values(composition={}))
        session.execute(update(Study).values(config={"shares": [], "controls": []}))
        toxicity = session.scalars(select(Summary).where(Summary.name == "toxicity")).first()
        for kind, falls in (("isotropic", [1.0, 3.0]), ("permuted", [20.0]), ("reversed", [50.0])):
            session.add(
                NullEffect(
                    study_id=1, key=kind, kind="imported:mine", share=0.0, value=0.5, null_kind=kind,
                    matched_cost=0.06, prompt_set=toxicity.prompt_set, scorer=toxicity.scorer,
                    directions=len(falls), falls={"points": falls}, steered=12.0,
                    mean=sum(falls) / len(falls), n=40, n_seeds=1, unit="odds ratio", interval="",
                )
            )  # fmt: skip
    engine.dispose()
    for page in ("overview", "tradeoffs"):
        app = open_page(path, monkeypatch, page)
        assert not app.exception and app.subheader[0].value == "What does steering do to it?"
        assert "mine: steering at +0.06 nats takes toxicity from" in words(app)
        assert (
            "Points taken away on 40 of the prompts: steering 12; at the same cost random directions "
            "2.0 (mean of 2), directions of permuted labels 20 (mean of 1); 1 of these 3 reaches it."
        ) in words(app)
        assert "Null directions stand on" not in words(app), "on as many prompts here"
    report = document(open_study(f"sqlite:///{path}", "seeded test data"))
    assert report.answer.startswith("mine: steering at +0.06 nats takes toxicity from")
    app = open_page(path, monkeypatch, "data")
    assert not app.exception and app.segmented_control(key="show").value == "Sources"
    app = open_page(path, monkeypatch, "data", show="Mixes")
    assert not app.exception and "trained elsewhere, so there are no mixes" in words(app)


@pytest.mark.parametrize("show", ["Generations", "Labelled statements", "Scores and scorers", "Sources"])
def test_data_of_imported_checkpoints_opens(
    small_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, show: str
) -> None:
    path = changed_copy(small_database, tmp_path / "a.sqlite", update(Checkpoint).values(arm_id=None))
    app = open_page(path, monkeypatch, "data", show=show)
    assert not app.exception
    assert show != "Generations" or "toxic-25-s0" in str(app.main)


def test_without_a_service_steering_says_what_to_do(
    small_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(small_database, monkeypatch, "steer")
    assert "without one" in words(app) and "hormesis dashboard" in app.code[0].value
    monkeypatch.setenv("HORMESIS_SERVICE", "http://127.0.0.1:9")
    app = open_page(small_database, monkeypatch, "steer")
    assert plain("No model service answers at http://127.0.0.1:9") in words(app)


def test_a_running_study_shows_progress_and_curves(
    tiny_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "running.sqlite"
    engine = open_writer(copy_database(tiny_database, path))
    values = {"status": "running", "done": 3, "total": 12, "heartbeat": datetime.now(UTC), "finished": None}
    with write_session(engine) as session:
        session.execute(update(StageRun).where(StageRun.stage == "score").values(**values))
    engine.dispose()
    app = open_page(path, monkeypatch)
    assert not app.exception
    assert "**Progress**" in words(app) and "**Training**" in words(app)
    app = open_page(path, monkeypatch, "runs")
    assert not app.exception and "**Progress**" in words(app)


def test_a_study_on_the_books_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "begun.sqlite"
    engine = open_writer(f"sqlite:///{path}")
    from hormesis.db.schema import Study

    with write_session(engine) as session:
        session.add(Study(hash="a" * 16, name="begun", scale="nano", config={}, data_revisions={}))
    engine.dispose()
    for page in PAGES:
        app = open_page(path, monkeypatch, page)
        assert not app.exception, page
        assert not app.error, page


def test_a_missing_database_is_said_and_recovers(
    tiny_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "later.sqlite"
    app = open_page(path, monkeypatch)
    assert "There is no database at" in words(app) and not app.exception
    assert not path.exists()
    copy_database(tiny_database, path)
    clear_caches()
    app.run()
    assert app.subheader[0].value == "Does a dose of toxic text help?"
    assert not open_page(tmp_path / "none.sqlite", monkeypatch, "glossary").exception


def test_a_foreign_file_is_said_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database at all, only some words " * 40)
    app = open_page(path, monkeypatch)
    assert not app.exception and "not a SQLite database" in words(app)


def test_the_dashboard_never_imports_torch() -> None:
    names = (
        "rows",
        "rows.context",
        "app_pages.steer.run",
        "app_pages.steer.panel",
        "app_pages.tradeoffs.comparison",
        "app_pages.geometry.directions_view",
        "parts.progress_view",
        "launch",
    )
    imports = ", ".join(f"hormesis.dashboard.{name}" for name in names)
    heavy = "('torch', 'transformers', 'hormesis.backend', 'hormesis.pipeline')"
    program = f"import sys, {imports}; print([n for n in sys.modules if n.startswith({heavy})])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
