"""Runs a query and gives a DataFrame whose column types follow the query's, not the rows that came back.

Knows pandas' types: whole numbers that may be missing are `Int64`, moments are UTC, JSON stays a dict.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import pandas as pd
from sqlalchemy import (
    JSON,
    Boolean,
    Connection,
    DateTime,
    Engine,
    Float,
    Integer,
    LargeBinary,
    Select,
    String,
)

from hormesis.db.engine import reading

Query: TypeAlias = Select[*tuple[Any, ...]]


def frame(engine: Engine, query: Query, optional: Iterable[str] = ()) -> pd.DataFrame:
    """Run `query` and return its rows. `optional` names columns that an outer join may leave empty.

    Raises DatabaseProblem, one sentence, where the database has gone, is locked or is corrupt.
    """
    return reading(engine, lambda connection: frame_on(connection, query, optional))


def frame_on(connection: Connection, query: Query, optional: Iterable[str] = ()) -> pd.DataFrame:
    """Like `frame`, on an open connection: for several queries that must see the same state."""
    rows = connection.execute(query).fetchall()
    kinds = kinds_of(query, optional)
    return typed(list(zip(*rows, strict=True)), kinds)


def kinds_of(query: Query, optional: Iterable[str] = ()) -> dict[str, str]:
    """Column name to pandas type of a query's result."""
    missing = set(optional)
    kinds = {}
    for column in query.selected_columns:
        name = str(column.key)
        original = next(iter(getattr(column, "base_columns", ())), column)
        nullable = name in missing or getattr(original, "nullable", None) in (True, None)
        kinds[name] = _kind(column.type, nullable=nullable)
    return kinds


def typed(columns: list[tuple[Any, ...]], dtypes: dict[str, str]) -> pd.DataFrame:
    """Make a typed DataFrame of columns of values; with no values at all, an empty one of the same types."""
    values: Iterable[tuple[Any, ...]] = columns or [()] * len(dtypes)
    # Arrays, not Series: joining the indexes of many Series took longer than most queries.
    return pd.DataFrame(
        {
            name: pd.Series(list(column), dtype=dtype).array
            for (name, dtype), column in zip(dtypes.items(), values, strict=True)
        }
    )


def _kind(kind: Any, *, nullable: bool) -> str:
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
