"""Pages, the report and a notebook on a file without texts say so; a file to be read has no controls."""

from __future__ import annotations

from pathlib import Path

import pytest

import hormesis
from hormesis.dashboard.access.audience import Audience
from hormesis.dashboard.report.study import open_study, study_report
from hormesis.dashboard.running.permission import Refusal, control
from hormesis.db.contract import left_out
from hormesis.db.copy.changes import Changes
from hormesis.db.copy.database import copy_database
from hormesis.db.copy.weights import Homes
from hormesis.db.location import READ_ONLY
from hormesis.pipeline.text.stand_ins import stand_ins
from tests.fixtures.database_files import snapshot, url_of
from tests.fixtures.pages import open_page, words
from tests.fixtures.shared_worlds import shared_world

pytestmark = pytest.mark.usefixtures("fresh_pages")
SAY_SO = (
    ("data", {"show": "Labelled statements"}),
    ("data", {"show": "Labelled statements", "said": "zorbs"}),
    ("data", {"show": "Generations"}),
    ("data", {"show": "Generations", "words": "zorbs"}),
    ("tradeoffs", {}),
    ("geometry", {"part": "One head"}),
    ("geometry", {"part": "One head", "about": "Words"}),
    ("robustness", {"attack": "Framed prompts"}),
)
STAND_IT = ("overview", "geometry", "steer", "runs")


@pytest.fixture(scope="module")
def text_free(small_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    def build(folder: Path) -> None:
        engine = hormesis.open(small_database).engine
        changes = Changes(Homes((folder,), folder), texts=False, stand_ins=stand_ins(engine))
        copy_database(
            url_of(small_database), url_of(folder / "study.sqlite"), [1], changes, lambda done, total: None
        )

    return shared_world(tmp_path_factory, "text-free", build) / "study.sqlite"


@pytest.mark.parametrize(("page", "query"), SAY_SO, ids=str)
def test_pages_with_texts_say_that_they_were_left_out(
    text_free: Path, monkeypatch: pytest.MonkeyPatch, page: str, query: dict[str, str]
) -> None:
    app = open_page(text_free, monkeypatch, page, **query)
    assert not app.exception and not app.error
    assert left_out.NOTE in words(app)
    assert left_out.TEXT not in words(app)


@pytest.mark.parametrize(("page", "query"), [("tradeoffs", {}), ("geometry", {"part": "One head"})], ids=str)
def test_models_without_weights_are_not_linked_to_live_steering(
    text_free: Path, monkeypatch: pytest.MonkeyPatch, page: str, query: dict[str, str]
) -> None:
    app = open_page(text_free, monkeypatch, page, **query)
    assert left_out.NO_WEIGHTS in words(app)
    assert not [link for link in app.get("page_link") if "Steer with" in link.proto.label]


@pytest.mark.parametrize("page", STAND_IT)
def test_other_pages_stand_it(text_free: Path, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    monkeypatch.setenv(READ_ONLY, "1")
    before = snapshot(text_free.parent)
    app = open_page(text_free, monkeypatch, page)
    assert not app.exception and not app.error and left_out.TEXT not in words(app)
    assert not [button.label for button in app.button if button.label in ("Start", "Resume run", "Try again")]
    assert snapshot(text_free.parent) == before


def test_a_file_that_is_only_read_has_no_controls(text_free: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HORMESIS_HOME", str(text_free.parent))
    assert not isinstance(control(url_of(text_free), Audience("127.0.0.1")), Refusal)
    monkeypatch.setenv(READ_ONLY, "1")
    refusal = control(url_of(text_free), Audience("127.0.0.1"))
    assert isinstance(refusal, Refusal) and "only reads" in refusal.reason


def test_the_report_and_a_notebook_say_so_too(text_free: Path) -> None:
    report = study_report(open_study(url_of(text_free), "seeded test data"), with_texts=True).decode()
    assert left_out.NOTE in report and left_out.TEXT not in report
    study = hormesis.open(text_free).study()
    assert all(map(left_out.is_left_out, study.generations("toxic-25-s0")))
    assert all(map(left_out.is_left_out, study.statements()))
