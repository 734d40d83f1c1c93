"""What only looks changes no byte of a database, and names `hormesis upgrade` for one of an older version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.main import get_command

from hormesis.backend.service.catalogue import Catalogue, list_models
from hormesis.dashboard.report.study import open_study, study_report
from hormesis.dashboard.rows import cache
from hormesis.db.engine import open_reader, open_writer
from hormesis.db.engine import reading as run_query
from hormesis.db.read import database_state
from hormesis.pipeline import cli
from tests.fixtures.database_files import LATER, NEWEST, NEXT, make_old, own_revisions, snapshot
from tests.fixtures.tiny_study import write_study

WRITING = {"run", "import", "toy", "demo", "upgrade", "verdicts"}
SERVING = {"serve", "dashboard"}
OF_SOURCES = {"data"}
"""Opens no database."""


def error_of(call: Callable[[], object]) -> str:
    """The one line that a call ends with; empty where all was well."""
    try:
        call()
    except (ValueError, OSError) as error:
        return str(error)
    return ""


def hormesis(*arguments: str) -> str:
    return error_of(lambda: get_command(cli.app).main(list(arguments), standalone_mode=False))


def looks(folder: Path, url: str) -> dict[str, Callable[[], str]]:
    """What only looks: commands by name (the report by its own program's two steps), a page, the service."""
    return {
        "status": lambda: hormesis("status", "--json"),
        "plan": lambda: hormesis("plan", str(write_study(folder)), "--json"),
        "export": lambda: hormesis("export", str(folder / "tables")),
        "copy": lambda: hormesis("copy", url, str(folder / "copy.sqlite"), "--json"),
        "save": lambda: hormesis("save", "toxic-0-s0", str(folder / "model")),
        "vectors": lambda: hormesis("vectors", "toxic-0-s0", str(folder / "vectors")),
        "report": lambda: error_of(lambda: study_report(open_study(url, "seeded test data"))),
        "verify": lambda: hormesis("verify", "--json"),
        "page": lambda: error_of(lambda: (cache.change_token(url), cache.engine(url))),
        "service": lambda: error_of(lambda: Catalogue(url).ask(list_models)),
    }


@pytest.fixture
def database(tmp_path: Path, own_home: Path) -> Path:
    own_home.mkdir()
    open_writer(make_old(own_home / "hormesis.sqlite")).dispose()
    return own_home / "hormesis.sqlite"


def test_every_command_is_one_that_looks_or_one_that_writes(tmp_path: Path) -> None:
    commands = set(get_command(cli.app).commands)  # type: ignore[attr-defined]
    assert commands - WRITING - SERVING - OF_SOURCES == set(looks(tmp_path, "")) - {"page", "service"}


def test_looking_at_a_current_database_changes_nothing(tmp_path: Path, database: Path) -> None:
    before = snapshot(database.parent)
    for name, look in looks(tmp_path, f"sqlite:///{database}").items():
        line = look()
        assert "upgrade" not in line
        # The made-up checkpoint has no weights to save.
        assert line == "" or name in ("save", "vectors"), (name, line)
        assert snapshot(database.parent) == before, name


def test_looking_at_an_older_database_changes_nothing_and_names_the_upgrade(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_revisions(tmp_path / "migrations", monkeypatch, LATER)
    url = f"sqlite:///{database}"
    before = snapshot(database.parent)
    for name, look in (looks(tmp_path, url) | {"verdicts": lambda: hormesis("verdicts")}).items():
        line = look()
        assert line.endswith("run: hormesis upgrade"), (name, line)
        assert str(database) in line and "\n" not in line
        assert snapshot(database.parent) == before, name
    assert database_state(url).revision == NEWEST
    assert hormesis("upgrade") == ""
    assert database_state(url).revision == NEXT
    assert hormesis("status", "--json") == ""
    notes = run_query(open_reader(url), lambda c: c.execute(text("SELECT id, note FROM study")).all())
    assert notes == [(1, None)]


def test_an_upgrade_of_a_current_database_changes_nothing(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(database.parent)
    assert hormesis("upgrade") == ""
    assert f"is a hormesis database at revision {NEWEST}" in capsys.readouterr().err
    assert snapshot(database.parent) == before


def test_there_must_be_something_to_upgrade(own_home: Path) -> None:
    assert "there is no database at" in hormesis("upgrade")
    assert not own_home.exists()
