"""What every table and column means, and in which unit.

From the docstrings of the models and, for what stands in several tables, from `dictionary.toml` beside them.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import tomllib
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Boolean, Column, DateTime, Float, Integer, LargeBinary, Table

from hormesis.db.schema.base import Base

WORDS = Path(__file__).with_name("dictionary.toml")
_TYPES = (
    (Boolean, "true or false"),
    (Integer, "integer"),
    (Float, "number"),
    (DateTime, "moment, UTC"),
    (JSON, "JSON"),
    (LargeBinary, "bytes"),
)


@dataclass(frozen=True)
class Field:
    """One column as a data dictionary lists it; `unit` and `key` are empty where there is none."""

    name: str
    type: str
    unit: str
    key: str
    is_nullable: bool
    meaning: str


def field_of(column: Column[Any], name: str = "") -> Field:
    """The entry of a column, under another `name` where a view gives it one.

    `meaning` is empty where neither the model nor `dictionary.toml` has any, `unit` where a number lacks one.
    """
    return Field(
        name or column.name,
        type_of(column),
        _unit(column),
        _key(column),
        is_nullable=bool(column.nullable),
        meaning=_meaning(column),
    )


def table_meaning(table: Table) -> str:
    """What a row of the table is: the docstring of its model, without line breaks."""
    return " ".join((_models()[table.name].__doc__ or "").split())


def type_of(column: Column[Any]) -> str:
    """The type in words: integer, number, text, true or false, moment, JSON or bytes."""
    kind = getattr(column.type, "impl", column.type)
    return next((word for of, word in _TYPES if isinstance(kind, of)), "text")


@cache
def words() -> dict[str, dict[str, str]]:
    """`meaning` and `unit` by `table.column` or by `column`, as the file has them."""
    return tomllib.loads(WORDS.read_text(encoding="utf-8"))


def _meaning(column: Column[Any]) -> str:
    docstrings = _docstrings(_models()[column.table.name])
    if column.name in docstrings:
        return docstrings[column.name]
    target = next(iter(column.foreign_keys), None)
    return _word("meaning", column) or (f"The row of `{target.column.table.name}`." if target else "")


def _unit(column: Column[Any]) -> str:
    is_number = type_of(column) in ("integer", "number")
    is_id = column.foreign_keys or (column.primary_key and column.name == "id")
    return _word("unit", column) if is_number and not is_id else ""


def _word(of: str, column: Column[Any]) -> str:
    return words()[of].get(f"{column.table.name}.{column.name}") or words()[of].get(column.name, "")


def _key(column: Column[Any]) -> str:
    parts = ["primary"] if column.primary_key else []
    parts += [f"to `{key.column.table.name}.{key.column.name}`" for key in column.foreign_keys]
    return ", ".join(parts)


@cache
def _models() -> dict[str, type[Base]]:
    return {mapper.class_.__tablename__: mapper.class_ for mapper in Base.registry.mappers}


@cache
def _docstrings(model: type[Base]) -> dict[str, str]:
    """Column to docstring, of those below the attributes of a model and of the classes it inherits from."""
    docstrings: dict[str, str] = {}
    for ancestor in reversed(model.__mro__):
        if not issubclass(ancestor, Base):
            continue
        (declared,) = ast.parse(textwrap.dedent(inspect.getsource(ancestor))).body
        body = declared.body if isinstance(declared, ast.ClassDef) else []
        for statement, below in pairwise(body):
            if isinstance(statement, ast.AnnAssign) and isinstance(below, ast.Expr):
                text = ast.literal_eval(below.value)
                docstrings[ast.unparse(statement.target)] = " ".join(str(text).split())
    return docstrings
