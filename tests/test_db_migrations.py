"""Revisions and schema say the same, and names fit every database."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from db import migrate
from db.schema import Base


def test_migrations_and_schema_are_equal() -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        migrate.upgrade(connection)
        assert migrate.differences(connection) == []


def test_the_comparison_would_notice() -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        migrate.upgrade(connection)
        connection.execute(text("ALTER TABLE study DROP COLUMN scale"))
        assert migrate.differences(connection)


def test_migrations_make_the_very_tables_of_the_schema() -> None:
    """SQLite's own words are equal too, so nothing that the comparison skips is lost (e.g. rowid)."""
    migrated, direct = create_engine("sqlite://"), create_engine("sqlite://")
    with migrated.begin() as connection:
        migrate.upgrade(connection)
    Base.metadata.create_all(direct)
    tables = []
    for engine in (migrated, direct):
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")).all()
        found = {name: sorted(part.strip(" ,") for part in sql.splitlines()) for name, sql in rows}
        found.pop("alembic_version", None)
        tables.append(found)
    assert tables[0] == tables[1]


def test_cheap_revisions_are_alembics() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.FOLDER))
    script = ScriptDirectory.from_config(config)
    assert tuple(reversed([r.revision for r in script.walk_revisions()])) == migrate.revisions()
    assert script.get_heads() == [migrate.head()]


def test_every_revision_can_be_undone() -> None:
    from alembic import command

    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        migrate.upgrade(connection)
        command.downgrade(migrate._config(connection), "base")
        assert set(inspect(connection).get_table_names()) <= {"alembic_version"}


def test_names_fit_postgresql() -> None:
    """Its names end at 63 characters; the migrations write them out, so nothing would shorten them."""
    for table in Base.metadata.sorted_tables:
        for named in (table, *table.constraints, *table.indexes):
            assert len(str(named.name)) <= 63, named.name


def test_the_package_carries_its_migrations() -> None:
    assert (Path(migrate.__file__).parent / "migrations" / "script.py.mako").is_file()
    assert (migrate.FOLDER / "env.py").is_file()
