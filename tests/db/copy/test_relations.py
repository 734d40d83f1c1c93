"""The schema says what names rows and whose they are, and of every column whether it quotes."""

from __future__ import annotations

import pytest
from sqlalchemy import JSON, LargeBinary, String, Table

from hormesis.db.copy.relations import copied_tables, id_lists, natural_key, owner, references
from hormesis.db.schema import Base
from hormesis.db.schema.base import ANNOUNCED, FOLLOWS, QUOTES, STATE

TABLES = list(Base.metadata.tables.values())
ROOTS = {"study", "scorer", "example_list", "toy_experiment"}


def test_every_string_json_and_bytes_says_whether_it_quotes() -> None:
    undeclared = [
        str(column)
        for table in TABLES
        for column in table.columns
        if isinstance(getattr(column.type, "impl", column.type), String | JSON | LargeBinary)
        and QUOTES not in column.info
    ]
    assert not undeclared, "use Label, Name, Quote, Message, Json, Blob or quoting()"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_names_its_rows_and_belongs_somewhere(table: Table) -> None:
    key = natural_key(table)
    assert key and not any(column.nullable for column in key)
    assert [column.name for column in key] != ["id"]
    assert (owner(table) is None) == (table.name in ROOTS)
    assert not table.info or table.info in (FOLLOWS, STATE, ANNOUNCED)


def test_tables_come_after_those_whose_ids_they_hold() -> None:
    before: set[str] = set()
    for table in copied_tables():
        owners = {owners.name for _, owners in references(table)}
        assert owners | {listed.name for _, listed in id_lists(table)} <= before
        before.add(table.name)
    assert before == set(Base.metadata.tables)
