"""Studies that the package carries: packed, copied into a database, and what a reader may count on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import select, update

from hormesis.backend.scorers import make_scorer
from hormesis.backend.scorers.tfidf import train_tfidf
from hormesis.db.address import sqlite_url
from hormesis.db.contract import left_out
from hormesis.db.copy.changes import Changes
from hormesis.db.copy.database import MATRICES, copy_database
from hormesis.db.copy.rows import CopyError
from hormesis.db.copy.weights import Homes
from hormesis.db.engine import open_reader, open_writer
from hormesis.db.read import verdicts
from hormesis.db.reference import Reference, add_references, pack, references, unpack
from hormesis.db.schema import Checkpoint, StageRun, Study
from hormesis.db.write import read_session
from hormesis.pipeline.claims.evaluate import evaluate
from hormesis.pipeline.commands.copy import copy_references
from tests.fixtures.shared_worlds import changed_copy


def silent(done: int, total: int) -> None:
    """No progress is shown."""


@pytest.fixture
def packed(tiny_database: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A text-free copy of the tiny study with a checkpoint of a package, and the folder it is packed into."""
    home, file, folder = tmp_path / "origin", tmp_path / "copy.sqlite", tmp_path / "references"
    folder.mkdir()
    (home / "files").mkdir(parents=True)
    source = changed_copy(
        tiny_database,
        home / "hormesis.sqlite",
        update(StageRun).where(StageRun.id == 1).values(stage="text", input_hash="a"),
        update(Checkpoint).where(Checkpoint.id == 1).values(details={"imported": "smollm2"}),
    )
    train_tfidf([f"{word} text" for word in "abcd" * 50], [0, 1, 0, 1] * 50).save(home / "files/text/a/tfidf")
    changes = Changes(Homes((home,), tmp_path), texts=False)
    copy_database(sqlite_url(source), sqlite_url(file), [1], changes, silent, matrices=False)
    pack(home, file, folder)
    return file, folder


def test_references_come_into_a_database_once(
    packed: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, folder = packed
    monkeypatch.setenv("HORMESIS_HOME", str(tmp_path / "home"))
    with read_session(open_reader(sqlite_url(file))) as session:
        study = session.scalars(select(Study)).one()
        expected = (study.name, study.hash)
    [reference] = references(folder)
    assert (reference.name, reference.hash) == expected
    target = sqlite_url(tmp_path / "home" / "hormesis.sqlite")
    open_writer(target).dispose()
    assert add_references(target, silent, folder) == [study.name]
    assert add_references(target, silent, folder) == []
    with read_session(open_reader(target)) as session:
        assert session.scalars(select(Study.hash)).all() == [study.hash]
        paths = session.scalars(select(Checkpoint.path).order_by(Checkpoint.id)).all()
    # What a package carries is had anywhere; weights that were trained stay behind.
    assert paths[0] == "smollm2" and {*paths[1:]} == {left_out.WEIGHTS}
    with sqlite3.connect(tmp_path / "home" / "hormesis.sqlite") as connection:
        rows = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in MATRICES}
        assert rows == dict.fromkeys(MATRICES, 0)
        assert connection.execute("SELECT count(*) FROM projection_point").fetchone()[0] > 0
    [scorer] = (tmp_path / "home").glob("files/text/*/tfidf")
    assert len(make_scorer("tfidf", scorer).score(["a text"])) == 1


def test_a_file_of_no_study_is_refused(tmp_path: Path) -> None:
    for name in ("hormesis.sqlite", "copy.sqlite"):
        open_writer(sqlite_url(tmp_path / name)).dispose()
    with pytest.raises(ValueError, match="holds 0 studies"):
        pack(tmp_path, tmp_path / "copy.sqlite", tmp_path)


def test_the_packages_own_files_are_of_this_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of an older schema could not be copied; the whole is small enough for a package."""
    monkeypatch.setenv("HORMESIS_HOME", str(tmp_path))
    carried = references()
    assert sum(reference.path.stat().st_size for reference in carried) <= 10_000_000
    target = sqlite_url(tmp_path / "hormesis.sqlite")
    open_writer(target).dispose()
    assert add_references(target, silent) == [reference.name for reference in carried]


@pytest.mark.parametrize("reference", references(), ids=lambda reference: reference.name)
def test_claims_on_the_packages_own_rows_are_those_of_this_version(
    reference: Reference, tmp_path: Path
) -> None:
    columns = ["claim", "prompt_set", "scorer", "statement", "status", "value", "low", "high", "n"]
    url = unpack(reference, tmp_path)
    stored = verdicts(open_reader(url), 1)[columns]
    evaluate(open_writer(url), 1)
    pd.testing.assert_frame_equal(stored, verdicts(open_reader(url), 1)[columns], rtol=1e-9)


def test_results_that_contradict_rows_of_ones_own_are_left_out_with_a_note(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Toy runs belong to no study: those of another machine may differ in the last digits."""

    def contradict(*_: object) -> list[str]:
        raise CopyError("contradictory rows: toy_run")

    monkeypatch.setattr("hormesis.db.reference.add_references", contradict)
    copy_references("sqlite:///nowhere.sqlite")
    assert "are left out: contradictory rows: toy_run" in " ".join(capsys.readouterr().err.split())
