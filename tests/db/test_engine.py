"""Opening databases: pragmas, the sentence for every broken one, and readers that leave no trace."""

from __future__ import annotations

import pickle
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import select, text

from hormesis.db import address, migrate
from hormesis.db.database_status import describe
from hormesis.db.engine import DatabaseProblem, open_reader, open_writer, reading, without_null
from hormesis.db.location import database_url, home
from hormesis.db.read import database_state, studies
from hormesis.db.schema import Study
from hormesis.db.write import read_session, upsert, write_session
from tests.fixtures.database_files import ROW, make, snapshot, stamp_revision, url_of


def test_location(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HORMESIS_HOME", raising=False)
    monkeypatch.delenv("HORMESIS_DB", raising=False)
    assert home() == tmp_path / "runs"
    assert database_url() == f"sqlite:///{tmp_path}/runs/hormesis.sqlite"
    monkeypatch.setenv("HORMESIS_HOME", "other")
    assert database_url() == f"sqlite:///{tmp_path}/other/hormesis.sqlite"
    monkeypatch.setenv("HORMESIS_DB", "some.db")
    assert database_url() == f"sqlite:///{tmp_path}/some.db"
    monkeypatch.setenv("HORMESIS_DB", "postgresql://host/name")
    assert database_url() == "postgresql://host/name"
    monkeypatch.setenv("HORMESIS_DB", "postgresql:/host/name")
    assert database_url() == "postgresql:/host/name", "no file of that name"


def test_writer_sets_its_pragmas_and_begins_at_once(tmp_path: Path) -> None:
    engine = open_writer(url_of(tmp_path / "deep" / "er" / "d.db"))
    with engine.connect() as connection:
        values = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "busy_timeout", "synchronous", "foreign_keys")
        }
        assert values == {"journal_mode": "wal", "busy_timeout": 30_000, "synchronous": 1, "foreign_keys": 1}
        # BEGIN IMMEDIATE: a second writer is refused before this one has written anything.
        other = sqlite3.connect(tmp_path / "deep" / "er" / "d.db", timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE").connection.rollback()
    other.execute("BEGIN IMMEDIATE")
    with read_session(engine) as session:
        assert session.execute(text("SELECT count(*) FROM study")).scalar() == 0
    other.close()
    engine.dispose()


def test_a_writer_waits_only_so_long(tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    make(path)
    engine = open_writer(url_of(path), wait=0.1)
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    with (
        pytest.raises(DatabaseProblem, match="was locked by another writer") as caught,
        write_session(engine),
    ):
        pass
    assert caught.value.kind == "locked"
    other.close()
    engine.dispose()


def _foreign_sqlite(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE other (x)")
    connection.commit()
    connection.close()


def _revision(path: Path, revision: str) -> None:
    make(path)
    stamp_revision(path, revision)


def _truncated(path: Path, keep: int) -> None:
    make(path)
    path.write_bytes(path.read_bytes()[:keep])


BROKEN = {
    "text": (lambda p: p.write_text("name,age\n" * 200), "foreign", "is not a SQLite database"),
    "other program": (_foreign_sqlite, "foreign", "database of another program"),
    "folder": (lambda p: p.mkdir(), "foreign", "is a folder"),
    "before the first version": (
        lambda p: _revision(p, "0001"),
        "failed",
        "cannot be upgraded; move it away",
    ),
    "newer": (lambda p: _revision(p, "9999"), "newer", "newer version .* update hormesis"),
    "half": (lambda p: _truncated(p, 40_960), "corrupt", "truncated or corrupt"),
    "cut by 100 bytes": (lambda p: _truncated(p, -100), "corrupt", "is truncated; restore a copy"),
    "stub": (lambda p: _truncated(p, 700), "corrupt", "truncated or corrupt"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_databases_get_one_sentence_and_stay_as_they_are(tmp_path: Path, name: str) -> None:
    damage, kind, sentence = BROKEN[name]
    path = tmp_path / "d.db"
    damage(path)
    before = snapshot(tmp_path)
    assert database_state(url_of(path)).kind == kind
    for opened in (open_reader, open_writer):
        with pytest.raises(DatabaseProblem, match=sentence) as caught:
            opened(url_of(path))
        assert caught.value.kind == kind
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
    assert describe(url_of(path)) == str(caught.value)
    assert snapshot(tmp_path) == before


def test_missing_and_empty(tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    with pytest.raises(DatabaseProblem, match="there is no database at"):
        open_reader(url_of(path))
    assert not path.exists()
    path.touch()
    with pytest.raises(DatabaseProblem, match="is an empty database"):
        open_reader(url_of(path))
    assert database_state(url_of(path)).kind == "empty"
    make(path)
    assert "at revision" in describe(url_of(path))


def test_a_file_that_goes_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    reader = open_reader(make(path))
    path.rename(tmp_path / "away")
    with pytest.raises(DatabaseProblem, match="there is no database at"):
        studies(reader)
    (tmp_path / "away").rename(path)
    assert len(studies(reader)) == 1


def test_damage_met_later_is_one_sentence_too(tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    reader = open_reader(make(path))
    path.write_bytes(path.read_bytes()[:8192])
    with pytest.raises(DatabaseProblem, match="truncated or corrupt"):
        studies(reader)


def test_a_cell_that_lost_its_end_names_the_database(tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    reader = open_reader(make(path))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE study SET config = ?", ('{"name": "a\x00',))
    with pytest.raises(DatabaseProblem, match=r"d\.db is truncated or corrupt"):
        reading(reader, lambda connection: connection.execute(select(Study.config)).all())


def test_older_is_refused_by_the_reader_and_upgraded_by_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make(tmp_path / "d.db")
    revisions = (*migrate.revisions(), "9000")
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "revisions", lambda: revisions)
        with pytest.raises(DatabaseProblem, match=r"older version .* run: hormesis upgrade"):
            open_reader(url)
        assert database_state(url).kind == "older"
    open_reader(url)


@pytest.mark.parametrize("url", ["nonsense", "sqlite://", "oracle+nothing://x"])
def test_addresses_that_cannot_be_read(url: str) -> None:
    with pytest.raises(DatabaseProblem):
        open_reader(url)


def test_a_database_elsewhere_is_opened_by_one_driver() -> None:
    state = database_state("postgresql+asyncpg://u:secret@localhost:1/none")
    assert state.kind == "failed"
    assert "secret" not in state.sentence


def test_disk_full_is_one_sentence_and_nothing_is_half_written(tmp_path: Path) -> None:
    engine = open_writer(make(tmp_path / "d.db"))
    with engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
    rows = [{**ROW, "hash": str(i), "config": {"text": "x" * 3000}} for i in range(50)]
    with pytest.raises(DatabaseProblem, match="the disk is full") as caught, write_session(engine) as session:
        upsert(session, Study, rows, on=("hash",))
    assert caught.value.kind == "full"
    assert len(studies(engine)) == 1
    engine.dispose()


MOUNTS = (
    "/dev/a / ext4 rw\nserver:/x /net nfs4 rw\n/dev/b /net/local\\040disk xfs rw\nme@h: /far fuse.sshfs rw\n"
)


@pytest.mark.parametrize(
    ("where", "kind"),
    [
        ("/home/x", None),
        ("/net/y", "nfs4"),
        ("/net/local disk/z", None),
        ("/far/a", "fuse.sshfs"),
        ("/network", None),
    ],
)
def test_network_file_systems_are_known(where: str, kind: str | None) -> None:
    assert address.network_type(Path(where), MOUNTS) == kind


def test_a_network_file_system_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hormesis.db.engine.network_type", lambda path: "nfs4")
    with pytest.warns(UserWarning, match=r"network file system \(nfs4\)"):
        make(tmp_path / "d.db")


def test_a_problem_can_be_sent_by_a_worker_process() -> None:
    problem = pickle.loads(pickle.dumps(DatabaseProblem("locked", "the database is locked")))
    assert problem.kind == "locked" and str(problem) == "the database is locked"


def test_null_characters_are_replaced_where_a_database_takes_none() -> None:
    parameters = [{"text": "a\0b", "n": 1, "blob": b"\0"}, ("\0", None)]
    assert without_null(parameters) == [{"text": "a\ufffdb", "n": 1, "blob": b"\0"}, ("\ufffd", None)]
