"""A copy of studies from database to database: whole or not at all.

A SQLite file that is not there yet is written under a temporary name and renamed; into one that is there, and
into other databases, each study comes in one transaction.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from hormesis.db.address import sqlite_path
from hormesis.db.copy.changes import Changes
from hormesis.db.copy.relations import copied_tables
from hormesis.db.copy.rows import CopyError, Report, RowCopier
from hormesis.db.database_status import state_of
from hormesis.db.engine import open_reader, open_writer, reading
from hormesis.db.files import atomic_file, remove_temporaries
from hormesis.db.problems import DatabaseProblem, explain, name_of, parse_url

MATRICES = frozenset({"activation_block", "direction_profile"})
"""Tables of numbers that maps were made of: most of a study's bytes. Without them a head's statements and its
activations are not shown, and maps stay as they are."""


@dataclass
class Copied:
    """What a copy did: rows by table that were added, rows that were there, studies that grew by it."""

    added: Counter[str] = field(default_factory=Counter)
    present: Counter[str] = field(default_factory=Counter)
    merged: list[int] = field(default_factory=list)
    """Studies (ids in the source) that the target had and that got rows."""


def require_copyable(source_url: str, target_url: str) -> None:
    """Raise CopyError where both are one database, DatabaseProblem for a target that cannot be written to."""
    source, target = parse_url(source_url), parse_url(target_url)
    if _place(source) == _place(target):
        raise CopyError(f"{name_of(target)} is the source itself; name another file or database to copy into")
    state = state_of(target)
    if state.kind not in ("ok", "missing", "empty"):
        raise DatabaseProblem(state.kind, state.sentence)


def _place(url: URL) -> Path | URL:
    path = sqlite_path(url)
    return url if path is None else path.resolve()


def copy_database(
    source_url: str,
    target_url: str,
    studies: Sequence[int],
    changes: Changes,
    report: Report,
    *,
    matrices: bool = True,
) -> Copied:
    """Copy studies (ids in the source), what they refer to, and the toy experiments, which belong to none.

    `matrices`: with activations and profiles of directions. `report` is told of the rows of each study.
    Raises CopyError for contradictory rows, DatabaseProblem for a database that cannot be used or a full
    disk, OSError for weights that cannot be copied.
    """
    require_copyable(source_url, target_url)
    source, copied = open_reader(source_url), Copied()
    with _opened(parse_url(target_url)) as target:
        for ids in [[study] for study in studies] or [[]]:
            _copy(source, target, ids, changes, report, copied, matrices)
    return copied


def _copy(
    source: Engine,
    target: Engine,
    studies: Sequence[int],
    changes: Changes,
    report: Report,
    copied: Copied,
    matrices: bool,
) -> None:
    """Copy one study in one transaction of the target; it is committed once the source was read unchanged."""
    tables = [table for table in copied_tables() if matrices or table.name not in MATRICES]
    with target.connect() as connection:

        def copy_rows(reader: Connection) -> RowCopier:
            connection.rollback()  # of a try that a writer of the source has cut
            copier = RowCopier(reader, connection, studies, changes, tables)
            copier.copy(report)
            return copier

        copier = reading(source, copy_rows)
        try:
            connection.commit()
        except DBAPIError as error:
            raise explain(error, target.url) from error
    copied.added += copier.added
    copied.present += copier.present
    if copier.present["study"] and copier.added.total():
        copied.merged += studies


@contextmanager
def _opened(url: URL) -> Iterator[Engine]:
    """The target's engine; a SQLite file that is not there appears when the block ends well."""
    path = sqlite_path(url)
    if path is None or path.exists():
        with _writer(url) as engine:
            yield engine
        return
    remove_temporaries(path.parent, path.name)
    with atomic_file(path) as temporary:
        try:
            with _writer(URL.create("sqlite", database=str(temporary))) as engine:
                yield engine
            _compact(temporary)
        finally:
            for ending in ("-wal", "-shm"):
                Path(f"{temporary}{ending}").unlink(missing_ok=True)
        if path.exists():
            raise CopyError(f"{path} appeared meanwhile; run again to copy into it")


@contextmanager
def _writer(url: URL) -> Iterator[Engine]:
    engine = open_writer(url)
    try:
        yield engine
    finally:
        engine.dispose()


def _compact(path: Path) -> None:
    """Give a file its least size, and no need of files beside it where it is read."""
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("VACUUM")
    except sqlite3.Error as error:
        raise explain(error, URL.create("sqlite", database=str(path))) from error
