"""Copies of a seeded study: every table and value, ids apart; merged, repeated, refused, cut."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from hormesis.db.copy.changes import Changes
from hormesis.db.copy.database import Copied, copy_database
from hormesis.db.copy.rows import CopyError
from hormesis.db.copy.weights import Homes
from hormesis.db.engine import DatabaseProblem
from hormesis.db.schema import Base
from hormesis.db.schema.base import FOLLOWS
from tests.fixtures.database_files import make_old, snapshot, stamp_revision, url_of
from tests.fixtures.named_rows import named_rows
from tests.fixtures.shared_worlds import copy_database as copy_file

PLACES = ("checkpoint.path",)
"""Left out: the seeded checkpoints have no weights."""


def copied(
    source: Path, target: Path, report: Callable[[int, int], None] = lambda done, total: None
) -> Copied:
    changes = Changes(Homes((source.parent,), target.parent), texts=True)
    return copy_database(url_of(source), url_of(target), [1], changes, report)


def change(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    for statement in statements:
        connection.execute(statement)
    connection.close()


def pieces(database: Path, folder: Path) -> list[Path]:
    """The study as two machines have it that ran one seed each."""
    paths = [folder / f"seed-{seed}.sqlite" for seed in (0, 1)]
    for seed, path in enumerate(paths):
        copy_file(database, path)
        change(path, f"DELETE FROM arm WHERE seed != {seed}")
        change(path, f"DELETE FROM stage_run WHERE subject NOT LIKE '%-s{seed}'", "DELETE FROM projection")
    return paths


def test_every_table_comes_along_with_every_value(tiny_database: Path, tmp_path: Path) -> None:
    target, reports = tmp_path / "new" / "copy.sqlite", []
    result = copied(tiny_database, target, lambda done, total: reports.append((done, total)))
    original, copy = (named_rows(url_of(path), without=PLACES) for path in (tiny_database, target))
    assert {name for name, rows in original.items() if rows} == set(Base.metadata.tables)
    assert copy == original
    total = sum(map(len, original.values()))
    assert reports[-1] == (total, total) and result.added.total() == total and not result.merged
    assert [path.name for path in target.parent.iterdir()] == ["copy.sqlite"]
    assert target.stat().st_size <= tiny_database.stat().st_size


def test_ids_follow_their_rows_into_a_database_with_others(tiny_database: Path, tmp_path: Path) -> None:
    target = tmp_path / "shared.sqlite"
    copy_file(tiny_database, target)
    change(target, "UPDATE study SET hash = 'another', name = 'another'")
    before = named_rows(url_of(target), without=PLACES)
    assert copied(tiny_database, target).merged == []
    original, shared = (named_rows(url_of(path), without=PLACES) for path in (tiny_database, target))
    for name, rows in shared.items():
        assert rows == before[name] | original[name], name


def test_a_second_copy_changes_nothing(tiny_database: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.sqlite"
    copied(tiny_database, target)
    before = named_rows(url_of(target))
    second = copied(tiny_database, target)
    assert second.added.total() == 0 and second.merged == [] and named_rows(url_of(target)) == before


def test_pieces_of_a_study_are_put_together(tiny_database: Path, tmp_path: Path) -> None:
    first, second = pieces(tiny_database, tmp_path)
    assert copied(second, first).merged == [1]
    original, merged = (named_rows(url_of(path), without=PLACES) for path in (tiny_database, first))
    follows = {table.name for table in Base.metadata.tables.values() if table.info == FOLLOWS}
    for name in set(original) - follows - {"projection_point"}:
        assert merged[name] == original[name], name
    assert not merged["projection"], "maps of a part of the arms are not taken for maps of all"


def test_what_one_piece_announced_another_knows(tiny_database: Path, tmp_path: Path) -> None:
    first, second = pieces(tiny_database, tmp_path)
    announced = (
        "INSERT INTO arm (study_id, name, kind, share, seed, repeats, composition)"
        " VALUES (1, 'toxic-25-s1', 'toxic', 0.25, 1, 1.0, '{}')"
    )
    waiting = "UPDATE stage_run SET status = 'running', input_hash = 'x' WHERE stage = 'mix'"
    change(first, announced, "UPDATE study SET data_revisions = '{}'", waiting)
    for order in ((first, second), (second, first)):
        target = tmp_path / f"{order[0].stem}-first.sqlite"
        for piece in order:
            copied(piece, target)
        rows, original = (named_rows(url_of(path)) for path in (target, tiny_database))
        assert rows["arm"] == original["arm"]
        assert rows["study"].values() and all(row["data_revisions"] for row in rows["study"].values())
        by_status = {key[2]: row["status"] for key, row in rows["stage_run"].items() if key[1] == "mix"}
        assert {name for name, status in by_status.items() if status == "running"} == {
            name for name in by_status if name.endswith("-s0")
        }


def test_a_contradiction_is_one_line_and_changes_nothing(tiny_database: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.sqlite"
    copied(tiny_database, target)
    change(target, "DELETE FROM capability_score", "DELETE FROM toy_point")
    before = named_rows(url_of(target))
    for statement, line in (
        (
            "UPDATE metric SET value = 99.5 WHERE id = (SELECT min(id) FROM metric)",
            r"contradictory rows: metric of toxic-0-s0 / .*: value is .* there, 99\.5 in the source",
        ),
        (
            "UPDATE generation SET text = 'another' WHERE id = 5",
            r"contradictory rows: generation of toxic-.* / none / forum-.* / \d+ / 0: text is another one in",
        ),
    ):
        other = tmp_path / "other.sqlite"
        copy_file(tiny_database, other)
        change(other, statement, "DELETE FROM capability_summary")
        with pytest.raises(CopyError, match=line):
            copied(other, target)
        assert named_rows(url_of(target)) == before


def test_places_times_and_rates_contradict_nothing(tiny_database: Path, tmp_path: Path) -> None:
    target, other = tmp_path / "copy.sqlite", tmp_path / "other.sqlite"
    copied(tiny_database, target)
    copy_file(tiny_database, other)
    change(
        other,
        "UPDATE study SET created = '2025-01-01 00:00:00'",
        "UPDATE checkpoint SET path = '/elsewhere/model'",
        "UPDATE train_point SET tokens_per_second = 1.0",
        "UPDATE stage_run SET host = 'other', seconds = 2.0",
        "UPDATE verdict SET detail = 'of other arms'",
    )
    assert copied(other, target).added.total() == 0


def test_a_copy_that_is_cut_leaves_nothing(tiny_database: Path, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    target, existing = tmp_path / "copy.sqlite", tmp_path / "existing.sqlite"
    copy_file(tiny_database, existing)
    change(existing, "UPDATE study SET hash = 'another'")
    before = named_rows(url_of(existing))
    for path in (target, existing):
        with pytest.raises(KeyboardInterrupt):
            copied(tiny_database, path, interrupt)
    assert [path.name for path in tmp_path.iterdir() if "-" not in path.name] == ["existing.sqlite"]
    assert named_rows(url_of(existing)) == before
    # What a killed process left is swept by the next copy to the same name.
    for ending in ("", "-wal"):
        (tmp_path / f".copy.sqlite.999999999.tmp{ending}").touch()
    (tmp_path / ".mine.tmp").touch()
    copied(tiny_database, target)
    assert {path.name for path in tmp_path.iterdir() if "existing" not in path.name} == {
        "copy.sqlite",
        ".mine.tmp",
    }


def test_a_full_disk_is_one_line_about_the_target(tiny_database: Path, tmp_path: Path) -> None:
    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA max_page_count = 90")

    event.listen(Engine, "connect", limit)
    try:
        with pytest.raises(
            DatabaseProblem, match=r"the disk is full: nothing more can be written to .*copy"
        ) as full:
            copied(tiny_database, tmp_path / "copy.sqlite")
    finally:
        event.remove(Engine, "connect", limit)
    assert full.value.kind == "full" and not list(tmp_path.iterdir())


def test_databases_that_cannot_be_copied_into_stay_as_they_are(tiny_database: Path, tmp_path: Path) -> None:
    old, new, other = (tmp_path / f"{name}.sqlite" for name in ("old", "new", "other"))
    make_old(old)
    copy_file(tiny_database, new)
    stamp_revision(new, "9999")
    other.write_text("a letter to somebody, which is no database at all", encoding="utf-8")
    before = snapshot(tmp_path)
    for path, sentence in (
        (old, "hormesis upgrade"),
        (new, "newer version"),
        (other, "not a SQLite database"),
    ):
        with pytest.raises(DatabaseProblem, match=sentence):
            copied(tiny_database, path)
    with pytest.raises(CopyError, match="is the source itself"):
        copied(tiny_database, tiny_database)
    assert snapshot(tmp_path) == before
