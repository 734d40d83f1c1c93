"""Every table and view as DataFrames in chunks, for files; bytes columns are left out unless asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from sqlalchemy import Column, Connection, Engine, LargeBinary, select, tuple_

from hormesis.db.engine import reading
from hormesis.db.read.frame import Query, frame_on, kinds_of
from hormesis.db.read.views import view, views
from hormesis.db.schema import Base
from hormesis.db.schema.base import QUOTE
from hormesis.db.schema.dictionary import Field, field_of

CHUNK = 50_000


@dataclass(frozen=True, eq=False)
class Selection:
    """The rows of a table or view, in no order: their select, their key, and columns that may be empty."""

    query: Query
    key: tuple[Column[Any], ...]
    optional: frozenset[str] = frozenset()

    @property
    def kinds(self) -> dict[str, str]:
        """Column name to pandas type."""
        return kinds_of(self.query)

    @property
    def fields(self) -> list[Field]:
        """What each column means, in the order of the columns."""
        fields = [
            field_of(base, str(column.key))
            for column in self.query.selected_columns
            for base in column.base_columns
            if isinstance(base, Column)
        ]
        return [
            replace(field, is_nullable=True) if field.name in self.optional else field for field in fields
        ]


def exportable_tables() -> tuple[str, ...]:
    """Names of the tables in an order in which each comes after those it refers to."""
    return tuple(table.name for table in Base.metadata.sorted_tables)


def selection(name: str, *, with_bytes: bool = True) -> Selection:
    """Columns of a table (of bytes only `with_bytes`) or view. Raises ValueError for an unknown name."""
    if name in views():
        named_view = view(name)
        return Selection(named_view.query, tuple(named_view.table.primary_key.columns), named_view.optional)
    if name not in Base.metadata.tables:
        raise ValueError(
            f"there is no table '{name}' (tables: {', '.join((*exportable_tables(), *views()))})"
        )
    table = Base.metadata.tables[name]
    columns = [c for c in table.columns if with_bytes or not isinstance(c.type, LargeBinary)]
    return Selection(select(*columns), tuple(table.primary_key.columns))


def holds_texts(name: str) -> bool:
    """Whether a table or view holds statements, prompts, generations or tokens, which may hurt."""
    return any(
        base.info == QUOTE
        for column in selection(name).query.selected_columns
        for base in column.base_columns
    )


def export_table(
    engine: Engine, name: str, chunk: int = CHUNK, *, with_bytes: bool = False
) -> Iterator[pd.DataFrame]:
    """Yield a table's or view's rows by primary key, at most `chunk` at a time; none yields one empty frame.

    Each chunk is a query of its own that begins after the last key, so a long export holds no lock and
    keeps no snapshot open. JSON columns come as dicts. Raises ValueError for an unknown table.
    """
    source = selection(name, with_bytes=with_bytes)
    last_key: tuple[Any, ...] | None = None
    while True:
        query = _after(source, last_key, chunk)

        def read(connection: Connection, query: Query = query) -> pd.DataFrame:
            return frame_on(connection, query)

        rows = reading(engine, read)
        if len(rows) or last_key is None:
            yield rows
        if len(rows) < chunk:
            return
        last_key = tuple(rows[column.name].iloc[-1].item() for column in source.key)


def _after(rows_of: Selection, last: tuple[Any, ...] | None, chunk: int) -> Query:
    """The next `chunk` rows by primary key, behind the key values `last`; None begins with the first row."""
    query, key = rows_of.query.order_by(*rows_of.key).limit(chunk), rows_of.key
    if last is not None:
        query = query.where(tuple_(*key) > last if len(key) > 1 else key[0] > last[0])
    return query
