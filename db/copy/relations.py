"""How rows belong together, as the schema's keys say it: what names a row, who owns it, which are a study's.

A foreign key with `ON DELETE CASCADE` says that a row belongs to another, one without that it refers to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, Table, UniqueConstraint, or_, select, true

from hormesis.db.schema import Base, Study
from hormesis.db.schema.base import IDS_OF, LIST_HASH

Columns = tuple[Column[Any], ...]


def copied_tables() -> list[Table]:
    """Every table of the schema, each after those whose ids it holds."""
    for table in Base.metadata.tables.values():
        for _, listed in id_lists(table):
            table.add_is_dependent_on(listed)
    return Base.metadata.sorted_tables


@cache
def natural_key(table: Table) -> Columns:
    """What names a row whatever its id: the table's one unique constraint, or else its primary key."""
    unique = [constraint for constraint in table.constraints if isinstance(constraint, UniqueConstraint)]
    assert len(unique) <= 1, f"{table.name} has two natural keys"
    return tuple(unique[0].columns) if unique else tuple(table.primary_key.columns)


@cache
def references(table: Table) -> tuple[tuple[str, Table], ...]:
    """Names of the columns that hold ids of rows, each with the table of those rows."""
    pairs = ((column.name, parent(column)) for column in table.columns)
    return tuple((name, owners) for name, owners in pairs if owners is not None)


@cache
def id_lists(table: Table) -> tuple[tuple[str, Table], ...]:
    """Names of the columns that hold ids of many rows as bytes, each with the table of those rows."""
    lists = ((column.name, column.info.get(IDS_OF)) for column in table.columns)
    return tuple((name, Base.metadata.tables[listed]) for name, listed in lists if listed is not None)


@cache
def list_hashes(table: Table) -> tuple[str, ...]:
    """Names of the columns that may hold the hash of such a list."""
    return tuple(column.name for column in table.columns if LIST_HASH in column.info)


def parent(column: Column[Any]) -> Table | None:
    """The table whose id a column holds; None for one that holds no id."""
    key = next(iter(column.foreign_keys), None)
    return None if key is None else key.column.table


def owner(table: Table) -> Column[Any] | None:
    """The first column by which a row belongs to another row; None for what belongs to none."""
    return next((column for column in table.columns if not column.nullable and _owns(column)), None)


def _owns(column: Column[Any]) -> bool:
    return any(key.ondelete == "CASCADE" for key in column.foreign_keys)


def rows_of(table: Table, studies: Sequence[int]) -> Select[Any]:
    """Rows of a table that belong to these studies or that they refer to, and those that belong to no study,
    in the order of their keys.
    """
    return select(table).where(_belongs(table, studies)).order_by(*table.primary_key.columns)


def _belongs(table: Table, studies: Sequence[int]) -> ColumnElement[bool]:
    if table.name == Study.__tablename__:
        return table.c.id.in_(studies)
    column = owner(table)
    if column is not None:
        owners = parent(column)
        assert owners is not None
        return column.in_(select(owners.c.id).where(_belongs(owners, studies)))
    references = [
        table.c.id.in_(select(reference).where(_belongs(reference.table, studies)))
        for reference in _references_to(table)
    ]
    return or_(*references) if references else true()


def _references_to(table: Table) -> Iterator[Column[Any]]:
    for other in Base.metadata.tables.values():
        yield from (column for column in other.columns if parent(column) is table and not _owns(column))
