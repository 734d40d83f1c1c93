"""Where the study's state lies: the home folder and the database's address, from the environment."""

from __future__ import annotations

import os
import re
from pathlib import Path

DATABASE_FILE = "hormesis.sqlite"
_MEANT_AS_URL = re.compile(r"(postgres|sqlite)\w*(\+\w*)?:/")
"""An address with a slash too few, which as a path would make a file of that name."""
READ_ONLY = "HORMESIS_READ_ONLY"
"""Environment variable that is set where the dashboard was opened on a file to be read."""


def home() -> Path:
    """The absolute folder that holds runs: `HORMESIS_HOME`, or `runs` in the present folder."""
    return Path(os.environ.get("HORMESIS_HOME") or "runs").expanduser().absolute()


def database_url(address: str | None = None) -> str:
    """A database's SQLAlchemy URL: of `address`, else of `HORMESIS_DB`, else a SQLite file under the home.

    Whether it can be opened is said where it is: `db.engine`. An address without `://` is taken as the path
    of a SQLite file, or of the folder of runs that holds it.
    """
    if address is not None and "://" not in address and Path(address).is_dir():
        address = str(Path(address) / DATABASE_FILE)
    address = os.environ.get("HORMESIS_DB", "").strip() if address is None else address
    if "://" in address or _MEANT_AS_URL.match(address):
        return address
    path = Path(address).expanduser().absolute() if address else home() / DATABASE_FILE
    # Imported here: the commands that open no database need not wait for its library.
    from hormesis.db.address import sqlite_url

    return sqlite_url(path)


def with_database(url: str) -> dict[str, str]:
    """The environment of a child process that opens this database: no command line shows a password."""
    return os.environ | {"HORMESIS_DB": url}


def require_openable(url: str) -> None:
    """Raise DatabaseProblem, one sentence, for an address of no database that could be opened here."""
    from hormesis.db.problems import parse_url

    parse_url(url)
