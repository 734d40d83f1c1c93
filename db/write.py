"""Writing rows so that a second run changes nothing: short sessions, upserts by natural key, id lookups.

Knows how SQLite and PostgreSQL say `ON CONFLICT`; knows no table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from sqlalchemy import (
    JSON,
    ColumnElement,
    Engine,
    Table,
    Text,
    and_,
    bindparam,
    cast,
    delete,
    or_,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from hormesis.db.problems import explain
from hormesis.db.schema import Base

CHUNK = 5_000
"""Rows handed to the driver at a time."""
Row = Mapping[str, Any]
Model = type[Base]


@contextmanager
def write_session(engine: Engine) -> Iterator[Session]:
    """A short write transaction: committed at the end, rolled back on any exception.

    Holds the only write lock (SQLite) while open, so compute first and open it last. Objects stay usable
    after the commit. Raises DatabaseProblem where the disk is full, the database locked or not writable;
    constraint violations stay SQLAlchemy's IntegrityError.
    """
    try:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            session.connection()
            yield session
    except DBAPIError as error:
        if _is_mistake(error):
            raise
        raise explain(error, engine.url) from error


@contextmanager
def read_session(engine: Engine) -> Iterator[Session]:
    """A transaction on the writer's engine that takes no write lock; for stages that look before they write.

    Raises DatabaseProblem like `write_session`.
    """
    try:
        with Session(engine.execution_options(deferred=True), expire_on_commit=False) as session:
            yield session
    except DBAPIError as error:
        if _is_mistake(error):
            raise
        raise explain(error, engine.url) from error


def _is_mistake(error: DBAPIError) -> bool:
    """True for errors of the program, which need a traceback, not a sentence."""
    return type(error).__name__ in ("IntegrityError", "ProgrammingError", "DataError", "InterfaceError")


def upsert(session: Session, model: Model, rows: Sequence[Row], *, on: Sequence[str]) -> None:
    """Insert rows, or update those whose natural key `on` (a unique constraint) exists already.

    Every row has the same columns. Ids stay; columns not given stay; a row equal to what is stored is not
    written at all. Raises ValueError for unequal columns, and where two rows have one key: one of them would
    be lost without a word.
    """
    _put(session, model, rows, on=tuple(on), replace=True)


def insert_missing(session: Session, model: Model, rows: Sequence[Row], *, on: Sequence[str]) -> None:
    """Insert the rows whose natural key `on` is not there yet; leave the others as they are.

    Raises ValueError where rows have unequal columns.
    """
    _put(session, model, rows, on=tuple(on), replace=False)


def replace_rows(
    session: Session,
    model: Model,
    rows: Sequence[Row],
    *,
    on: Sequence[str],
    within: Sequence[ColumnElement[bool]],
) -> None:
    """Upsert `rows` by their natural key `on`, and delete the other rows that meet all conditions `within`.

    Ids of rows that stay do not change. Raises ValueError as `upsert` does.
    """
    delete_others(session, model, [_key(row, on) for row in rows], on=on, within=within)
    upsert(session, model, rows, on=on)


def delete_others(
    session: Session,
    model: Model,
    keys: Collection[Any],
    *,
    on: Sequence[str],
    within: Sequence[ColumnElement[bool]],
) -> None:
    """Delete the rows that meet all conditions `within` and whose columns `on` are not among `keys`.

    A key is a value for one column, a tuple for several, as in `ids`. Rows are deleted by their primary keys.
    """
    table, key_set = _table(model), set(keys)
    session.flush()
    primary_key = {f"primary_{column.name}": column for column in table.primary_key}
    query = select(*(table.c[name] for name in on), *(primary_key[name].label(name) for name in primary_key))
    rows = session.execute(query.where(*within)).mappings()
    surplus = [{name: row[name] for name in primary_key} for row in rows if _key(row, on) not in key_set]
    if surplus:
        has_key = and_(*(column == bindparam(name) for name, column in primary_key.items()))
        session.connection().execute(delete(table).where(has_key), surplus)
        session.expire_all()


def ids(
    session: Session, model: Model, *columns: str, where: Sequence[ColumnElement[bool]] = ()
) -> dict[Any, int]:
    """Map natural keys to ids: a value for one column, a tuple for several. `where` narrows the rows."""
    table = _table(model)
    query = select(table.c.id, *(table.c[name] for name in columns)).where(*where)
    rows = session.execute(query)
    if len(columns) == 1:
        return {row[1]: row[0] for row in rows}
    return {tuple(row[1:]): row[0] for row in rows}


def _key(row: Mapping[Any, Any], on: Sequence[str]) -> Any:
    return row[on[0]] if len(on) == 1 else tuple(row[name] for name in on)


def _put(session: Session, model: Model, rows: Sequence[Row], *, on: tuple[str, ...], replace: bool) -> None:
    """Insert rows chunk by chunk; overwrite a row whose key `on` exists where `replace`, else skip it."""
    if not rows:
        return
    table = _table(model)
    columns = tuple(rows[0])
    if any(len(row) != len(columns) or row.keys() != rows[0].keys() for row in rows):
        raise ValueError(f"rows for {table.name} must all have the same columns")
    if missing := set(on) - set(columns):
        raise ValueError(f"rows for {table.name} lack the key column {', '.join(sorted(missing))}")
    if replace and len({_key(row, on) for row in rows}) < len(rows):
        counts = Counter(_key(row, on) for row in rows)
        raise ValueError(f"two rows for {table.name} have the key {counts.most_common(1)[0][0]}")
    session.flush()
    dialect = session.get_bind().dialect.name
    other_columns = tuple(name for name in columns if name not in on)
    for start in range(0, len(rows), CHUNK):
        chunk = [{name: _plain(value) for name, value in row.items()} for row in rows[start : start + CHUNK]]
        statement = _on_conflict(table, dialect, on=on, overwritten=other_columns if replace else ())
        session.execute(statement, chunk)
    # What the session has loaded may now be old.
    session.expire_all()


def _on_conflict(table: Table, dialect: str, *, on: tuple[str, ...], overwritten: tuple[str, ...]) -> Any:
    """INSERT that, where the key `on` exists, sets columns `overwritten` if any differs (none: skips)."""
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement = insert(table)
    if not overwritten:
        return statement.on_conflict_do_nothing(index_elements=list(on))
    any_differs = or_(
        *(
            _comparable(table.c[name]).is_distinct_from(_comparable(statement.excluded[name]))
            for name in overwritten
        )
    )
    new_values = {name: statement.excluded[name] for name in overwritten}
    return statement.on_conflict_do_update(index_elements=list(on), set_=new_values, where=any_differs)


def _comparable(column: Any) -> Any:
    """PostgreSQL has no equality for its json type; as text it does."""
    return cast(column, Text) if isinstance(column.type, JSON) else column


def _plain(value: Any) -> Any:
    """Python numbers in place of numpy's, which sqlite3 would store as bytes without a word."""
    return value.item() if isinstance(value, np.generic) else value


def _table(model: Model) -> Table:
    table = model.__table__
    assert isinstance(table, Table)
    return table
