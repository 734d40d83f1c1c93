"""Runs a query and gives a DataFrame whose column types follow the query's, not the rows that came back.

Knows pandas' types: whole numbers that may be missing are `Int64`, moments are UTC, JSON stays a dict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import pandas as pd
from sqlalchemy import (
    JSON,
    Boolean,
    Connection,
    DateTime,
    Engine,
    Float,
    FromClause,
    Integer,
    Join,
    LargeBinary,
    Select,
    String,
)

from hormesis.db.engine import reading

Query: TypeAlias = Select[*tuple[Any, ...]]


def frame(engine: Engine, query: Query) -> pd.DataFrame:
    """Run `query` and return its rows.

    Raises DatabaseProblem, one sentence, where the database has gone, is locked or is corrupt.
    """
    return reading(engine, lambda connection: frame_on(connection, query))


def frame_on(connection: Connection, query: Query) -> pd.DataFrame:
    """Like `frame`, on an open connection: for several queries that must see the same state."""
    rows = connection.execute(query).fetchall()
    kinds = kinds_of(query)
    return typed(list(zip(*rows, strict=True)), kinds)


def kinds_of(query: Query) -> dict[str, str]:
    """Name to pandas type of each column of a query; those of an outer join may be empty."""
    joined = {table for part in query.get_final_froms() for table in _outer_joined(part)}
    dtypes = {}
    for column in query.selected_columns:
        table_column = next(iter(getattr(column, "base_columns", ())), column)
        table = getattr(getattr(column, "element", column), "table", None)
        may_be_empty = table in joined or getattr(table_column, "nullable", None) in (True, None)
        dtypes[str(column.key)] = _kind(column.type, nullable=may_be_empty)
    return dtypes


def _outer_joined(part: FromClause, *, outer: bool = False) -> Iterator[FromClause]:
    """Tables and subqueries whose columns are empty where an outer join finds no row."""
    if isinstance(part, Join):
        yield from _outer_joined(part.left, outer=outer or part.full)
        yield from _outer_joined(part.right, outer=outer or part.isouter or part.full)
    elif outer:
        yield part


def typed(columns: list[tuple[Any, ...]], dtypes: dict[str, str]) -> pd.DataFrame:
    """A DataFrame of `columns`, tuples of values in the order of `dtypes`; no columns give an empty one."""
    values: Iterable[tuple[Any, ...]] = columns or [()] * len(dtypes)
    # Arrays, not Series: joining the indexes of many Series took longer than most queries.
    return pd.DataFrame(
        {
            name: pd.Series(list(column), dtype=dtype).array
            for (name, dtype), column in zip(dtypes.items(), values, strict=True)
        }
    )


def _kind(kind: Any, *, nullable: bool) -> str:
    """The pandas type for an SQL type."""
    if isinstance(kind, Boolean):
        return "boolean" if nullable else "bool"
    if isinstance(kind, Integer):
        return "Int64" if nullable else "int64"
    if isinstance(kind, Float):
        return "float64"
    implied = getattr(kind, "impl", kind)
    if isinstance(implied, DateTime):
        return "datetime64[us, UTC]"
    if isinstance(kind, JSON | LargeBinary):
        return "object"
    if isinstance(kind, String):
        return "str"
    return "object"
