"""What can be wrong with a database, each said in one sentence.

Turns driver errors into sentences a person can act on; opens nothing itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Literal

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

DRIVERS = ("sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg")
"""What the tests open; SQLAlchemy's `postgresql` is psycopg 3."""
BUSY_SECONDS = 30.0
"""How long a connection waits for another writer before it gives up."""


Kind = Literal[
    "ok", "missing", "locked", "newer", "older", "foreign", "empty", "corrupt", "permission", "full", "failed"
]


class DatabaseProblem(ValueError):
    """The database cannot be used; the message is one sentence for the person.

    `kind` is `missing`, `locked`, `newer`, `older`, `foreign`, `empty`, `corrupt`, `permission`, `full`
    or `failed`.
    """

    def __init__(self, kind: Kind, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind

    def __reduce__(self) -> tuple[type[DatabaseProblem], tuple[Kind, str]]:
        """Both parts, so that a worker process can send it to its parent."""
        return type(self), (self.kind, str(self))


class DatabaseWarning(UserWarning):
    """The database works, but lies where it should not; the message is one sentence."""


def parse_url(url: str | URL) -> URL:
    """Parse an address; every database is opened by what this returns.

    Raises DatabaseProblem (`failed`), one sentence, where it is no SQLAlchemy URL, of another kind than
    SQLite and PostgreSQL (psycopg 3), whose driver is not installed, or a SQLite one that names no file.
    """
    try:
        parsed = make_url(url)
        if parsed.drivername in DRIVERS:
            parsed.get_dialect().import_dbapi()
    except ImportError:
        raise DatabaseProblem(
            "failed",
            f"{name_of(parsed)} needs the driver of PostgreSQL; install it by: "
            'pip install "hormesis[postgresql]"',
        ) from None
    except (ArgumentError, ValueError):
        masked = re.sub(r"password=[^&]*", "password=***", re.sub(r"/.*@", "//***@", str(url)))
        raise DatabaseProblem(
            "failed",
            f"'{masked}' is not a database URL; write sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME "
            "(in a password %40 for @, %3A for :, %2F for /)",
        ) from None
    if parsed.drivername not in DRIVERS:
        raise DatabaseProblem(
            "failed",
            f"'{parsed.drivername}' is not a kind of database that can be opened; write sqlite:///PATH or "
            "postgresql://USER@HOST/NAME",
        )
    if parsed.get_backend_name() == "sqlite":
        _require_file(parsed)
    return parsed


def _require_file(url: URL) -> None:
    """Raise DatabaseProblem for a SQLite URL that names no file, or names one in a way easily misread."""
    if url.host:
        advice = f"names no file; write sqlite:///{url.host}, with three slashes"
    elif not url.database or url.database == ":memory:":
        advice = "is a database in memory, which no other process can read; write sqlite:///PATH"
    elif url.query and not url.database.startswith("file:"):
        advice = "has options, which are not used; a '?' in the name of a file is written %3F"
    else:
        return
    raise DatabaseProblem("failed", f"'{url}' {advice}")


def name_of(url: str | URL) -> str:
    """How the database is called in messages: the file, or the URL without its password."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        return parsed.database
    secret = {name: "***" for name in parsed.query if "password" in name}
    return parsed.update_query_dict(secret).render_as_string(hide_password=True)


def json_reader(url: str | URL) -> Callable[[str], Any]:
    """Reads JSON columns. What it cannot read was written whole, so the file lost something since.

    Raises DatabaseProblem (`corrupt`) that names the database.
    """
    name = name_of(url)

    def read(text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            sentence = f"{name} is truncated or corrupt; restore a copy or move it away and run again"
            raise DatabaseProblem("corrupt", sentence) from None

    return read


_SENTENCES: tuple[tuple[str, Kind, str], ...] = (
    (
        "disk is full",
        "full",
        "the disk is full: nothing more can be written to {name}; free space and run again",
    ),
    ("quota", "full", "the disk quota is used up: nothing more can be written to {name}"),
    (
        "is locked",
        "locked",
        "{name} was locked by another writer for more than {wait:.0f} s; stop it or wait",
    ),
    ("locking protocol", "locked", "{name} was locked by another writer for too long; try again"),
    ("not a database", "foreign", "{name} is not a SQLite database; set HORMESIS_DB to another file"),
    ("malformed", "corrupt", "{name} is truncated or corrupt; restore a copy or move it away and run again"),
    ("disk i/o error", "corrupt", "{name} cannot be read or written: the disk reports an error"),
    ("readonly", "permission", "{name} cannot be written: no permission for the file or its folder"),
    ("read-only", "permission", "{name} cannot be written: no permission for the file or its folder"),
    ("unable to open", "permission", "{name} cannot be opened: no permission for the file or its folder"),
    ("no such table", "older", "{name} lacks a table this version needs; run: hormesis upgrade"),
    ("no space left", "full", "the disk of {name} is full: nothing more can be written; free space"),
    ("lock timeout", "locked", "{name} was locked by another writer for more than {wait:.0f} s; try again"),
    ("permission denied", "permission", "{name} cannot be read or written: this user lacks the permission"),
    ("read-only transaction", "permission", "{name} cannot be written: it takes no writes"),
    ("authentication failed", "permission", "{name} does not take this user and password"),
    ("no password supplied", "permission", "{name} asks for a password; write it into the URL or ~/.pgpass"),
    ("connection refused", "failed", "{name} cannot be reached: nothing answers there; is the server up?"),
    ("timeout expired", "failed", "{name} cannot be reached: no answer in time"),
    ("name resolution", "failed", "{name} cannot be reached: its host is not known"),
    ("name or service not known", "failed", "{name} cannot be reached: its host is not known"),
    ('fatal: database "', "failed", "{name} does not exist on that server; make it there by: createdb"),
    ('fatal: role "', "permission", "the server of {name} does not know this user"),
    ('relation "', "older", "{name} lacks a table this version needs; run: hormesis upgrade"),
    ("too many clients", "locked", "{name} takes no more connections; raise its max_connections"),
    ("connection slots", "locked", "{name} takes no more connections; raise its max_connections"),
    ("deadlock", "locked", "{name} found writers waiting for each other and stopped this one; run again"),
    ("starting up", "locked", "{name} is starting; try again in a moment"),
    ("terminating connection", "failed", "the connection to {name} was ended by the server; run again"),
    ("server closed the connection", "failed", "the connection to {name} was lost; run again"),
    ("connection is lost", "failed", "the connection to {name} was lost; run again"),
)


def explain(error: BaseException, url: str | URL, wait: float = BUSY_SECONDS) -> DatabaseProblem:
    """One sentence for a driver error met while using `url`."""
    original = error.orig if isinstance(error, DBAPIError) and error.orig else error
    text = " ".join(str(original).split())
    name = name_of(url)
    for sign, kind, sentence in _SENTENCES:
        if sign in text.lower():
            return DatabaseProblem(kind, sentence.format(name=name, wait=wait))
    return DatabaseProblem("failed", f"the database {name} failed: {text or type(original).__name__}")
