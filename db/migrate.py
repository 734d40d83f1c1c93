"""Makes a database's tables, brings an older one to the newest revision by Alembic, writes new revisions.

Revisions lie in `db/migrations/versions`; file names start with the revision, e.g. `0002_first_tables.py`.
`python -m hormesis.db.migrate "what changed" OLD.sqlite` writes the next one: what leads from a SQLite file
made by the version before to the schema of today.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, String, create_engine

if TYPE_CHECKING:
    from alembic.config import Config

FOLDER = Path(__file__).parent / "migrations"


@cache
def revisions() -> tuple[str, ...]:
    """Every revision this version knows, oldest first. Reads file names only, so it costs no import."""
    return tuple(sorted(path.name.split("_")[0] for path in (FOLDER / "versions").glob("[0-9]*.py")))


def head() -> str:
    """The newest revision."""
    return revisions()[-1]


def create(connection: Connection) -> None:
    """Make every table of the schema and mark the newest revision, inside the caller's transaction."""
    from alembic import command

    from hormesis.db.schema import Base

    Base.metadata.create_all(connection)
    command.stamp(_config(connection), "head")


def upgrade(connection: Connection) -> None:
    """Run every missing revision on an open connection, inside the caller's transaction."""
    from alembic import command

    command.upgrade(_config(connection), "head")
    if connection.dialect.name == "postgresql":
        _collate(connection)


def _collate(connection: Connection) -> None:
    """Give PostgreSQL's string columns the schema's order; revisions, made from SQLite files, name none."""
    from hormesis.db.schema import Base

    quote = connection.dialect.identifier_preparer.quote
    for table in Base.metadata.sorted_tables:
        strings = [column for column in table.columns if isinstance(column.type, String)]
        types = [f"{quote(c.name)} TYPE {c.type.compile(connection.dialect)}" for c in strings]
        if types:
            alterations = ", ".join(f"ALTER COLUMN {words}" for words in types)
            connection.exec_driver_sql(f"ALTER TABLE {quote(table.name)} {alterations}")


def write_revision(message: str, old: Path) -> Path:
    """Write the revision that leads from the SQLite file `old` to the schema; returns the new file.

    Works on a copy of `old` in memory, so the file stays as it is. `message`: what changed, in words.
    """
    from alembic import command

    new_revision = f"{int(head()) + 1:04d}"
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        old_connection = sqlite3.connect(f"{old.absolute().as_uri()}?mode=ro", uri=True)
        old_connection.backup(connection.connection.driver_connection)  # type: ignore[arg-type]
        old_connection.close()
        upgrade(connection)
        scripts = command.revision(_config(connection), message, autogenerate=True, rev_id=new_revision)
    revisions.cache_clear()
    script = scripts[0] if isinstance(scripts, list) else scripts
    if script is None:
        raise ValueError("alembic wrote no revision")
    path = Path(script.path)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "# ###" not in line), encoding="utf-8")
    for ruff_arguments in (["check", "--fix", "-s"], ["format", "-q"]):
        subprocess.run([sys.executable, "-m", "ruff", *ruff_arguments, str(path)], check=False)
    return path


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit('usage: python -m hormesis.db.migrate "what changed" OLD.sqlite')
    print(write_revision(sys.argv[1], Path(sys.argv[2])))
