"""Brings a database to the newest revision by Alembic, and writes new revisions from the schema.

Knows the revisions in `db/migrations/versions`; file names start with the revision, e.g. `0001_first.py`.
`python -m db.migrate new "what changed"` writes the next revision, `python -m db.migrate first` writes the
first one anew (only while no database is in use anywhere).
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, create_engine

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


def upgrade(connection: Connection) -> None:
    """Run every missing revision on an open connection, inside the caller's transaction."""
    from alembic import command

    command.upgrade(_config(connection), "head")


def differences(connection: Connection) -> list[object]:
    """What Alembic would change to make the connection's tables equal the schema; empty when equal."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from db.schema import Base

    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, Base.metadata))


def write_revision(message: str, number: str | None = None) -> Path:
    """Write the revision that leads from the newest one to the schema; returns the file."""
    from alembic import command

    known = revisions()
    number = number or f"{int(known[-1]) + 1 if known else 1:04d}"
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        if known:
            upgrade(connection)
        made = command.revision(_config(connection), message, autogenerate=True, rev_id=number)
    revisions.cache_clear()
    script = made[0] if isinstance(made, list) else made
    if script is None:
        raise ValueError("alembic wrote no revision")
    path = Path(script.path)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "# ###" not in line), encoding="utf-8")
    for action in (["check", "--fix", "-s"], ["format", "-q"]):
        subprocess.run([sys.executable, "-m", "ruff", *action, str(path)], check=False)
    return path


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config


if __name__ == "__main__":
    if sys.argv[1:] == ["first"]:
        for old in (FOLDER / "versions").glob("[0-9]*.py"):
            old.unlink()
        revisions.cache_clear()
        print(write_revision("first tables", "0001"))
    elif len(sys.argv) == 3 and sys.argv[1] == "new":
        print(write_revision(sys.argv[2]))
    else:
        sys.exit('usage: python -m db.migrate first | new "what changed"')
