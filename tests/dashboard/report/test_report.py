"""The report of a study: complete, self-contained, without texts unless asked for; refused in one line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import update

from hormesis.dashboard.base.study_names import NoSuchStudy
from hormesis.dashboard.base.terms import TERMS
from hormesis.dashboard.report.study import document, open_study, study_report
from hormesis.db.engine import open_reader, open_writer
from hormesis.db.schema import Generation, Study
from hormesis.db.write import write_session
from tests.dashboard.base.test_exports import outside
from tests.fixtures.read_queries import scored_texts
from tests.fixtures.shared_worlds import copy_database

NAME = "seeded test data"
HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture(scope="module")
def seeded(small_database: Path) -> str:
    return f"sqlite:///{small_database}"


def command(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hormesis.dashboard.report", "--db", url, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_report_holds_every_part_and_no_text(seeded: str) -> None:
    study = open_study(seeded, NAME)
    page = study_report(study).decode()
    assert len(page) < 10_000_000 and not outside(page)
    titles = [section.title for section in document(study).sections]
    assert titles == [
        "Does a dose of toxic text help?",
        "What does detoxification cost?",
        "How hard is the detox to undo?",
        "Do scorers treat groups alike?",
        "Where does toxicity live?",
        "What was trained?",
        "All numbers",
        "Glossary",
        "Where these numbers come from",
    ]
    charts = page.count('class="chart"')
    assert charts >= 9 and page.count("plotly.js v") == 1
    assert page.count("<math") == sum(bool(term.formula) for term in TERMS)
    for part in (str(study.study["hash"]), "Configuration", "torch 2.13.0", "seeded-1", "95 % intervals",
                 "Relearning undoes most"):  # fmt: skip
        assert part in page, part
    texts = scored_texts(open_reader(seeded), 1, 1)["text"].head(5)
    assert len(texts) and not any(str(text) in page for text in texts)


def test_texts_asked_for_are_closed_and_only_text(small_database: Path, tmp_path: Path) -> None:
    url = copy_database(small_database, tmp_path / "study.sqlite")
    engine = open_writer(url)
    with write_session(engine) as session:
        session.execute(update(Generation).values(text=HOSTILE))
        session.execute(update(Study).values(name=f"forum {HOSTILE}"))
    engine.dispose()
    page = study_report(open_study(url, f"forum {HOSTILE}"), with_texts=True).decode()
    assert HOSTILE not in page and "&lt;img src=x" in page
    details = re.findall(r"<details class=\"text\">.*?</details>", page, re.DOTALL)
    assert len(details) == 24 and page.count("&lt;img src=x onerror") >= len(details)
    assert "<details open" not in page


@pytest.mark.slow
def test_the_program_writes_one_file(seeded: str, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "report.html"
    done = command(seeded, "--study", NAME, "--out", str(out))
    assert done.returncode == 0 and done.stdout.strip() == str(out) and not done.stderr
    assert out.read_bytes().startswith(b"<!doctype html>") and [p.name for p in out.parent.iterdir()] == [
        out.name
    ]


@pytest.mark.slow
def test_what_cannot_be_reported_is_said_in_one_line(seeded: str, tmp_path: Path) -> None:
    for url, name, part in (
        (seeded, "none such", f"no study 'none such' in the database (studies: {NAME})"),
        (f"sqlite:///{tmp_path}/absent.sqlite", NAME, "there is no database at"),
    ):
        done = command(url, "--study", name, "--out", str(tmp_path / "x.html"))
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and part in done.stderr
    assert not (tmp_path / "x.html").exists()


def test_two_studies_of_one_name_are_told_apart_by_hash(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/two.sqlite"
    engine = open_writer(url)
    with write_session(engine) as session:
        for start in "ab":
            session.add(Study(hash=start * 16, name="same", scale="nano", config={}, data_revisions={}))
    engine.dispose()
    with pytest.raises(NoSuchStudy, match="2 studies are called 'same'"):
        open_study(url, "same")
    study = open_study(url, "aaaaaaaa")
    assert study.study["hash"] == "a" * 16
    assert "No results yet" in study_report(study).decode()
