"""Every table as DataFrames in chunks, for CSV and Parquet; bytes columns are left out unless asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Engine, LargeBinary, Table, select, tuple_

from hormesis.db.engine import reading
from hormesis.db.read.frame import Query, frame_on
from hormesis.db.schema import Base

CHUNK = 50_000
TEXTS = frozenset({"text", "prompt", "prefix", "continuation", "output", "chosen", "rejected"})
"""Names of columns that hold what people or models wrote."""


def exportable_tables() -> tuple[str, ...]:
    """Names of the tables in an order in which each comes after those it refers to."""
    return tuple(table.name for table in Base.metadata.sorted_tables)


def holds_texts(name: str) -> bool:
    """Whether a table holds statements, prompts or generations, which may hurt."""
    columns = Base.metadata.tables[name].columns
    return any(column.name in TEXTS for column in columns)


def export_table(
    engine: Engine, name: str, chunk: int = CHUNK, *, with_bytes: bool = False
) -> Iterator[pd.DataFrame]:
    """Yield a table's rows by primary key, at most `chunk` at a time; an empty table yields one empty frame.

    Each chunk is a query of its own that begins after the last key, so a long export holds no lock and
    keeps no snapshot open. JSON columns come as dicts. Raises ValueError for an unknown table.
    """
    if name not in Base.metadata.tables:
        raise ValueError(f"there is no table '{name}' (tables: {', '.join(exportable_tables())})")
    table = Base.metadata.tables[name]
    keys = [column.name for column in table.primary_key.columns]
    last: tuple[Any, ...] | None = None
    while True:
        query = _after(table, last, chunk, with_bytes=with_bytes)

        def read(connection: Connection, query: Query = query) -> pd.DataFrame:
            return frame_on(connection, query)

        rows = reading(engine, read)
        if len(rows) or last is None:
            yield rows
        if len(rows) < chunk:
            return
        last = tuple(rows[key].iloc[-1].item() for key in keys)


def _after(table: Table, last: tuple[Any, ...] | None, chunk: int, *, with_bytes: bool) -> Query:
    columns = [c for c in table.columns if with_bytes or not isinstance(c.type, LargeBinary)]
    keys = list(table.primary_key.columns)
    query = select(*columns).order_by(*keys).limit(chunk)
    if last is not None:
        query = query.where(tuple_(*keys) > last if len(keys) > 1 else keys[0] > last[0])
    return query
