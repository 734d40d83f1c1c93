"""Opens the database: one engine that writes, and engines that only read.

Knows SQLite's pragmas, locks and write-ahead log; knows no table. A reader never creates or changes a file
and never holds the writer up; a writer creates the database and upgrades it to the newest revision.
"""

from __future__ import annotations

import sqlite3
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from hormesis.db import migrate
from hormesis.db.address import has_log, network_type, readonly_uri, signature, sqlite_path
from hormesis.db.database_status import APPLICATION_ID, inspect, state_of
from hormesis.db.problems import (
    BUSY_SECONDS,
    DatabaseProblem,
    DatabaseWarning,
    explain,
    json_reader,
    name_of,
    parse_url,
)

__all__ = ["DatabaseProblem", "DatabaseWarning", "open_reader", "open_writer", "reading"]

T = TypeVar("T")
_SERVER_ARGUMENTS = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10}
"""Seconds after which a server that is not there, or has gone without a word, is given up (libpq)."""
_ATTEMPTS = 8
_PASSING = ("malformed", "unable to open", "readonly", "read-only", "locking protocol", "disk i/o", "no such")
"""Errors that a writer causes by appearing or leaving while a reader opens the file; gone at the next try."""


def open_writer(url: str | URL, wait: float = BUSY_SECONDS) -> Engine:
    """An engine whose every transaction is a `BEGIN IMMEDIATE` (SQLite), on an up-to-date database.

    Creates the database, its folder and its tables where they are missing; upgrades an older one. A
    connection of option `deferred=True` begins a plain transaction instead and so only reads. `wait` is how
    long to wait for another writer, in seconds.

    Raises DatabaseProblem for a newer, foreign or corrupt database, for one that may not be written, and
    where the file system cannot hold a write-ahead log. Warns (DatabaseWarning) on network file systems.
    """
    parsed = parse_url(url)
    path = sqlite_path(parsed)
    if path is not None:
        _prepare(path, parsed)
    engine = _writing_engine(parsed, wait)
    try:
        with engine.begin() as connection:
            _make_current(connection, parsed)
    except DBAPIError as error:
        engine.dispose()
        raise explain(error, parsed, wait) from error
    except DatabaseProblem:
        engine.dispose()
        raise
    return engine


def _make_current(connection: Connection, url: URL) -> None:
    """Create or upgrade the tables inside the open transaction; two writers take turns here."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({APPLICATION_ID})")
    state = inspect(connection, url)
    if state.kind == "empty":
        migrate.create(connection)
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
    elif state.kind == "older":
        migrate.upgrade(connection)
    elif state.kind != "ok":
        raise DatabaseProblem(state.kind, state.sentence)


def _prepare(path: Path, url: URL) -> None:
    """Refuse a SQLite file that must not be written; make its folder; warn of a network file system."""
    if path.exists():
        state = state_of(url)
        if state.kind not in ("ok", "older", "empty", "locked"):
            raise DatabaseProblem(state.kind, state.sentence)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseProblem(
            "permission", f"the folder {path.parent} cannot be made: {error.strerror}"
        ) from None
    file_system = network_type(path.parent)
    if file_system:
        warnings.warn(
            f"{path} lies on a network file system ({file_system}), where SQLite's write-ahead log is unsafe "
            "with more than one machine; set HORMESIS_DB to a local path or to another database",
            DatabaseWarning,
            stacklevel=3,
        )


def _writing_engine(url: URL, wait: float) -> Engine:
    """The writer's engine; `wait`: seconds for another writer."""
    if url.get_backend_name() != "sqlite":
        # A server takes about a hundred connections in all: one stays open, others close after their use.
        server = create_engine(
            url, pool_pre_ping=True, pool_size=1, max_overflow=60, connect_args=_SERVER_ARGUMENTS
        )
        event.listen(server, "before_cursor_execute", _replace_null, retval=True)

        @event.listens_for(server, "connect")
        def _limit_wait(connection: Any, _: Any) -> None:
            connection.autocommit = True
            connection.execute(f"SET lock_timeout = {round(wait * 1000)}")
            connection.autocommit = False

        return server
    sqlite_arguments = {"isolation_level": None, "timeout": wait, "check_same_thread": False}
    # A pooled connection serves one thread at a time, and keeps the write-ahead log open between writes.
    engine = create_engine(
        url,
        connect_args=sqlite_arguments,
        pool_size=4,
        max_overflow=60,
        json_deserializer=json_reader(url),
    )

    @event.listens_for(engine, "connect")
    def _set_pragmas(connection: Any, _: Any) -> None:
        connection.execute(f"PRAGMA busy_timeout = {round(wait * 1000)}")
        _use_log(connection, url)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        deferred = connection.get_execution_options().get("deferred", False)
        connection.exec_driver_sql("BEGIN" if deferred else "BEGIN IMMEDIATE")

    return engine


def _replace_null(_: object, __: object, statement: str, parameters: Any, *___: object) -> tuple[str, Any]:
    """Null characters, which a model may write and PostgreSQL does not take, become U+FFFD."""
    return statement, without_null(parameters)


def without_null(value: Any) -> Any:
    """Parameters of a statement with U+FFFD for each null character."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, dict):
        return {name: without_null(part) for name, part in value.items()}
    return type(value)(map(without_null, value)) if type(value) in (list, tuple) else value


def _use_log(connection: Any, url: URL) -> None:
    """Switch sqlite3's `connection` to the write-ahead log; retries while a reader closes its index."""
    for attempt in range(_ATTEMPTS):
        try:
            journal_mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            break
        except sqlite3.OperationalError as error:
            # Switching asks for the file alone and ignores the busy timeout; a second process may do it too.
            if attempt + 1 == _ATTEMPTS or not _is_passing(error, "is locked"):
                raise
            time.sleep(0.02 * 2**attempt)
    if journal_mode != "wal":
        raise DatabaseProblem(
            "failed",
            f"{name_of(url)} lies on a file system that cannot hold SQLite's write-ahead log (it answers "
            f"'{journal_mode}'); set HORMESIS_DB to a local path or to another database",
        )


def unopened_engine() -> Engine:
    """An engine that is never connected, for what holds one and reads no row."""
    return create_engine("sqlite://")


def open_reader(url: str | URL, wait: float = BUSY_SECONDS) -> Engine:
    """An engine that only reads: each connection is fresh and sees what is committed when it opens.

    While no write-ahead log lies beside a SQLite file it is opened as immutable, else it joins the writer
    without touching its index; in neither case is a file made or changed. Use `reading` for queries: it
    repeats those that a writer's coming or going has cut.

    Raises DatabaseProblem where the database is missing, locked, older, newer, foreign, empty or corrupt.
    """
    parsed = parse_url(url)
    path = sqlite_path(parsed)
    state = state_of(parsed)
    if state.kind != "ok":
        raise DatabaseProblem(state.kind, state.sentence)
    return reading_engine(parsed, path, wait)


def reading_engine(url: URL, path: Path | None, wait: float = BUSY_SECONDS) -> Engine:
    """The reader's engine without any check of what the database is.

    `path`: the SQLite file, None for another kind of database; `wait`: seconds for a lock.
    """
    if path is None:
        return create_engine(
            url,
            poolclass=NullPool,
            # Several queries of one connection see the same state, as in SQLite.
            isolation_level="REPEATABLE READ",
            connect_args=_SERVER_ARGUMENTS,
            execution_options={"postgresql_readonly": True},
        )
    file = path

    def connect() -> sqlite3.Connection:
        signature_before = signature(file)
        uri = readonly_uri(file, immutable=not has_log(file))
        connection = sqlite3.connect(uri, uri=True, timeout=wait, isolation_level=None, factory=_Remembering)
        connection.before = signature_before
        connection.execute("PRAGMA query_only = ON")
        return connection

    engine = create_engine(url, creator=connect, poolclass=NullPool, json_deserializer=json_reader(url))

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


class _Remembering(sqlite3.Connection):
    """A connection that remembers how its file looked when it was opened."""

    before: tuple[int, int, int, int]


def reading(engine: Engine, work: Callable[[Connection], T]) -> T:
    """Run `work` on a fresh connection and return its result; repeat it where a writer came in between.

    `work` must only read and must not keep the connection. Raises DatabaseProblem, one sentence.
    """
    path = sqlite_path(engine.url)
    for attempt in range(_ATTEMPTS):
        is_last_try = attempt + 1 == _ATTEMPTS
        try:
            with engine.connect() as connection:
                result = work(connection)
                if is_last_try or path is None or _is_unchanged(connection, path):
                    return result
        except (DBAPIError, sqlite3.Error) as error:
            if is_last_try or not _is_passing(error):
                raise _say(error, engine.url, path) from error
        time.sleep(0.005 * 2**attempt)
    raise AssertionError("unreachable")


def _is_unchanged(connection: Connection, path: Path) -> bool:
    """False where an immutable connection may have mixed pages from before and after a write."""
    raw = connection.connection.driver_connection
    if not isinstance(raw, _Remembering) or raw.before[3]:
        return True
    return signature(path) == raw.before


def _is_passing(error: BaseException, *also: str) -> bool:
    text = str(error).lower()
    return any(sign in text for sign in (*_PASSING, *also))


def _say(error: BaseException, url: URL, path: Path | None) -> DatabaseProblem:
    if path is not None and not path.exists():
        return DatabaseProblem("missing", f"there is no database at {path}; run a study to make one")
    return explain(error, url)
