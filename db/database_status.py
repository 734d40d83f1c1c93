"""What a database is: ours and current, or missing, locked, newer, older, foreign, empty or corrupt.

Knows our mark (SQLite's application id) and the table in which Alembic keeps the revision; reads no rows.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, create_engine, text
from sqlalchemy import inspect as look_into
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from hormesis.db import migrate
from hormesis.db.address import has_log, readonly_uri, sqlite_path
from hormesis.db.problems import DatabaseProblem, Kind, explain, name_of, parse_url

APPLICATION_ID = 0x484F524D
"""`HORM` in ASCII: marks a SQLite file as ours."""

_PROBE_SECONDS = 2.0


@dataclass(frozen=True)
class DatabaseState:
    """What a database is, and the sentence that says so to a person (empty where it is `ok`)."""

    kind: Kind
    sentence: str = ""
    revision: str | None = None


def describe(url: str | URL) -> str:
    """One sentence on what lies at `url`, also where all is well. Never raises."""
    state = state_of(url)
    return state.sentence or f"{name_of(url)} is a hormesis database at revision {state.revision}"


def state_of(url: str | URL) -> DatabaseState:
    """Find out what lies at `url`, without creating or changing any file.

    Never raises: a `url` that cannot be opened is a state too.
    """
    try:
        parsed = parse_url(url)
    except DatabaseProblem as refusal:
        return DatabaseState(refusal.kind, str(refusal))
    path = sqlite_path(parsed)
    if path is not None:
        return _state_of_file(path, parsed)
    try:
        engine = create_engine(parsed, poolclass=NullPool)
        with engine.connect() as connection:
            return inspect(connection, parsed)
    except DBAPIError as error:
        problem = explain(error, parsed)
        return DatabaseState("failed", str(problem))


def inspect(connection: Connection, url: URL) -> DatabaseState:
    """The state of an open database, inside the caller's transaction; only SQLite has an application id."""
    table_names = set(look_into(connection).get_table_names())
    application_id = APPLICATION_ID
    if connection.dialect.name == "sqlite":
        application_id = int(connection.exec_driver_sql("PRAGMA application_id").scalar_one())
    revision = None
    if "alembic_version" in table_names:
        revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return _judge(name_of(url), table_names, application_id=application_id, revision=revision)


def _judge(name: str, tables: set[str], *, application_id: int, revision: str | None) -> DatabaseState:
    """The state that follows from the names of all tables, SQLite's application id and Alembic's revision.

    `name`: the database as sentences call it; `revision`: None where Alembic noted none.
    """
    if not tables and application_id in (0, APPLICATION_ID):
        return DatabaseState("empty", f"{name} is an empty database; run a study to fill it")
    if application_id != APPLICATION_ID or revision is None:
        sentence = f"{name} is a database of another program; set HORMESIS_DB to another file"
        return DatabaseState("foreign", sentence)
    revisions = migrate.revisions()
    if revision == revisions[-1]:
        return DatabaseState("ok", "", revision)
    if revision in revisions:
        sentence = f"{name} was made by an older version (revision {revision}); run: hormesis upgrade"
        return DatabaseState("older", sentence, revision)
    if revision < revisions[0]:
        reason = f"{name} was made before the first version (revision {revision}) and cannot be upgraded"
        return DatabaseState("failed", f"{reason}; move it away and run the study again", revision)
    sentence = f"{name} was made by a newer version (revision {revision}); update hormesis to open it"
    return DatabaseState("newer", sentence, revision)


def _state_of_file(path: Path, url: URL) -> DatabaseState:
    """The state of the SQLite file `path`, tried up to three times while a writer comes or goes."""
    try:
        if not path.exists():
            return DatabaseState("missing", f"there is no database at {path}; run a study to make one")
        if path.is_dir():
            return DatabaseState("foreign", f"{path} is a folder, not a database; set HORMESIS_DB to a file")
    except OSError as error:
        return DatabaseState("permission", f"{path} cannot be reached: {error.strerror}")
    for is_last_try in (False, False, True):
        had_log = has_log(path)
        try:
            state = _look(path, immutable=not had_log)
            if state.kind == "ok" and not had_log and not has_log(path) and _is_cut(path):
                return DatabaseState("corrupt", f"{path} is truncated; restore a copy or move it away")
            return state
        except sqlite3.Error as error:
            # A writer that came or went while the file was opened; anything else would fail again.
            if is_last_try or has_log(path) == had_log:
                problem = explain(error, url, _PROBE_SECONDS)
                return DatabaseState(problem.kind, str(problem))
    raise AssertionError("unreachable")


def _is_cut(path: Path) -> bool:
    """Whether a SQLite file is shorter than its header says: its size in pages at byte 28, of a page at 16.

    https://sqlite.org/fileformat2.html, 1.3. Only where no log lies beside it, in which newer pages wait.
    """
    with path.open("rb") as file:
        header = file.read(100)
    page = int.from_bytes(header[16:18], "big")
    page_bytes = 65_536 if page == 1 else page
    return path.stat().st_size < page_bytes * int.from_bytes(header[28:32], "big")


def _look(path: Path, *, immutable: bool) -> DatabaseState:
    """The state of a SQLite file in one try; `immutable` as `readonly_uri` takes it."""
    uri = readonly_uri(path, immutable=immutable)
    connection = sqlite3.connect(uri, uri=True, timeout=_PROBE_SECONDS, isolation_level=None)
    try:
        connection.execute("BEGIN")
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        table_names = {name for (name,) in rows}
        application_id = connection.execute("PRAGMA application_id").fetchone()[0]
        revision = None
        if "alembic_version" in table_names:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            revision = row[0] if row else None
        return _judge(str(path), table_names, application_id=application_id, revision=revision)
    finally:
        connection.close()
