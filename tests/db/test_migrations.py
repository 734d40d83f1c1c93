"""A new database, and one made by the first version, come to the tables of the schema, now and later."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text

from hormesis.db import migrate
from hormesis.db.engine import DatabaseProblem, open_reader, open_writer, reading
from hormesis.db.read import database_state, studies
from hormesis.db.schema import Base
from tests.fixtures.database_files import LATER, NEXT, make, make_old, own_revisions, url_of


def differences(connection: Connection) -> list[Any]:
    """What Alembic would change to make the connection's tables equal the schema."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, Base.metadata))


def words(path: Path) -> dict[str, list[str]]:
    """SQLite's own words for every table and index, in any order: also what a reflection skips (rowid)."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    connection.close()
    return {name: sorted(part.strip(" ,") for part in sql.splitlines()) for name, sql in rows}


def reflected(connection: Connection) -> dict[str, Any]:
    """Columns, keys, indexes and constraints of every table."""
    inspector = inspect(connection)

    def of(table: str) -> dict[str, list[str]]:
        details = {
            "columns": [column | {"type": repr(column["type"])} for column in inspector.get_columns(table)],
            "primary key": [inspector.get_pk_constraint(table)],
            "foreign keys": inspector.get_foreign_keys(table),
            "indexes": inspector.get_indexes(table),
            "unique": inspector.get_unique_constraints(table),
        }
        return {kind: sorted(map(repr, entries)) for kind, entries in details.items()}

    return {table: of(table) for table in inspector.get_table_names()}


def contents(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    connection = sqlite3.connect(path)
    rows = {
        name: connection.execute(f'SELECT * FROM "{name}"').fetchall()
        for name in (*(table.name for table in Base.metadata.sorted_tables), "alembic_version")
    }
    connection.close()
    return rows


def first_columns(
    path: Path, columns: dict[str, list[str]] | None = None
) -> dict[str, tuple[list[str], list[tuple[Any, ...]]]]:
    """Columns and rows of every table of a file, or of these columns; without Alembic's own table."""
    connection = sqlite3.connect(path)
    if columns is None:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'alembic%'"
        tables = [name for (name,) in connection.execute(query)]
        columns = {
            table: [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')] for table in tables
        }
    rows = {}
    for table, names in columns.items():
        listed = ", ".join(f'"{name}"' for name in names)
        rows[table] = (names, connection.execute(f'SELECT {listed} FROM "{table}"').fetchall())
    connection.close()
    return rows


def test_a_database_of_the_first_version_is_brought_to_the_schema_and_keeps_its_rows(tmp_path: Path) -> None:
    old, new = tmp_path / "old.sqlite", tmp_path / "new.sqlite"
    make_old(old)
    rows = first_columns(old)
    assert all(of_table for table, (_, of_table) in rows.items())
    engine = open_writer(url_of(old))
    fresh = open_writer(url_of(new))
    with engine.connect() as left, fresh.connect() as right:
        assert reflected(left) == reflected(right)
        assert len(reflected(left)) == len(Base.metadata.tables) + 1
        assert differences(left) == differences(right) == []
    for opened in (engine, fresh):
        opened.dispose()
    assert len(studies(open_reader(url_of(old)))) == 1
    columns_before = {table: columns for table, (columns, _) in rows.items()}
    assert first_columns(old, columns_before) == rows
    # Tables that no revision has touched are the very ones.
    touched = {
        "projection",
        "condition",
        "capability_score",
        "scorer",
        "stage_run",
        "attack_trial",
        "verdict",
        "head_summary",
        "arm",
    }
    untouched = set(rows) - touched
    assert {table: words(old)[table] for table in untouched} == {
        table: words(new)[table] for table in untouched
    }


def test_rows_that_other_rows_take_the_place_of_are_dropped(tmp_path: Path) -> None:
    """Single random directions and rates of suffixes, which `hormesis run` computes anew in other rows; and
    expected maxima of one sample a prompt, which are the mean.
    """
    old = tmp_path / "old.sqlite"
    make_old(old)
    connection = sqlite3.connect(old)
    columns = [row[1] for row in connection.execute("PRAGMA table_info(summary)")]
    stored = connection.execute("SELECT * FROM summary").fetchall()
    row = dict(zip(columns, stored[0], strict=True))
    others = ({"method": "random-direction", "name": "toxicity"}, {"name": "suffix_gcg_success"},
              {"name": "suffixed"}, {"name": "expected_max_toxicity"})  # fmt: skip
    for number, other in enumerate(others, start=1):
        changed = row | {"id": 1000 + number, "key": f"other {number}", **other}
        places = ", ".join("?" * len(changed))
        connection.execute(f"INSERT INTO summary VALUES ({places})", list(changed.values()))
    connection.commit()
    connection.close()
    engine = open_writer(url_of(old))
    with engine.connect() as opened:
        names = opened.execute(text("SELECT name FROM summary ORDER BY id")).scalars().all()
    engine.dispose()
    assert {"suffixed", row["name"]} <= set(names)
    assert not {"suffix_gcg_success", "expected_max_toxicity"} & set(names)
    assert len(names) == len(stored) + 1


def test_the_comparisons_would_notice(tmp_path: Path) -> None:
    make_old(tmp_path / "a.sqlite")
    make(tmp_path / "b.sqlite")
    with create_engine(url_of(tmp_path / "a.sqlite")).begin() as connection:
        connection.execute(text("ALTER TABLE study DROP COLUMN scale"))
        assert differences(connection)
        with create_engine(url_of(tmp_path / "b.sqlite")).connect() as other:
            assert reflected(connection) != reflected(other)


def test_a_later_revision_reaches_fresh_and_old_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh, old, after = (tmp_path / f"{name}.sqlite" for name in ("fresh", "old", "after"))
    make(fresh)
    make_old(old)
    open_writer(url_of(old)).dispose()
    rows = {path: contents(path) for path in (fresh, old)}
    own_revisions(tmp_path / "migrations", monkeypatch, LATER)
    for path in (fresh, old):
        with pytest.raises(DatabaseProblem, match=r"older version .* run: hormesis upgrade"):
            open_reader(url_of(path))
        assert database_state(url_of(path)).kind == "older"
        open_writer(url_of(path)).dispose()
        assert database_state(url_of(path)).revision == NEXT
        reader = open_reader(url_of(path))
        assert reading(reader, lambda c: c.execute(text("SELECT note FROM study")).all()) == [(None,)]
        expected = rows[path] | {
            "study": [(*row, None) for row in rows[path]["study"]],
            "alembic_version": [(NEXT,)],
        }
        assert contents(path) == expected
    open_writer(url_of(after)).dispose()
    assert database_state(url_of(after)).revision == NEXT


def test_a_written_revision_leads_from_an_older_file_to_the_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = own_revisions(tmp_path / "migrations", monkeypatch)
    old = tmp_path / "old.sqlite"
    make_old(old)
    connection = sqlite3.connect(old)
    connection.execute("ALTER TABLE stage_run DROP COLUMN pid")
    connection.execute("DROP TABLE attack_point")
    connection.commit()
    connection.close()
    before = old.read_bytes()
    path = migrate.write_revision("a process and points", old)
    assert path.parent == versions
    assert path.name == f"{NEXT}_a_process_and_points.py"
    assert old.read_bytes() == before
    engine = open_writer(url_of(old))
    with engine.connect() as connection:
        assert differences(connection) == []
    engine.dispose()


def test_cheap_revisions_are_alembics() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.FOLDER))
    script = ScriptDirectory.from_config(config)
    assert tuple(reversed([r.revision for r in script.walk_revisions()])) == migrate.revisions()
    assert script.get_heads() == [migrate.head()]


def test_names_fit_postgresql() -> None:
    """Its names end at 63 characters; the migrations write them out, so nothing would shorten them."""
    for table in Base.metadata.sorted_tables:
        for item in (table, *table.constraints, *table.indexes):
            assert len(str(item.name)) <= 63, item.name


def test_the_package_carries_its_migrations() -> None:
    assert (Path(migrate.__file__).parent / "migrations" / "script.py.mako").is_file()
    assert (migrate.FOLDER / "env.py").is_file()
