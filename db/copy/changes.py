"""What a copy changes in the values of a row: texts left out, folders of this machine, paths of weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlalchemy import JSON, Column, Table

from hormesis.db.contract import left_out
from hormesis.db.copy.weights import Homes, Place, checkpoint_place, tuned_place
from hormesis.db.schema import Checkpoint, Condition, StageRun
from hormesis.db.schema.base import FOLDERS, LABELS, QUOTES

_FOLDERS = re.compile(
    r"""(?<![\w.:/\\)}\]*|~-])(?:~?/|[A-Za-z]:[/\\])(?:[^\s/\\:'",;()]+[/\\])*(?=[^\s/\\])"""
)
"""The folders of an absolute path, as far as white space; not the slashes of `a/b`, a URL or `{x}/y`."""
VERBATIM = frozenset({"matching", "part_by", "where", "where_not", "positive", "negative"})
"""Keys of a study's configuration under which patterns and values of data stand, which are no paths."""
Row = dict[str, Any]
StandIn = Callable[[int, str], str]
"""Id and text of a row to what stands for the text in a copy without texts; begins with `left_out.TEXT`."""


@dataclass(frozen=True)
class Changes:
    """How the values of every row are changed on their way."""

    homes: Homes
    texts: bool
    """Whether texts come along."""
    stand_ins: Mapping[str, StandIn] = field(default_factory=dict)
    """By `table.column`: what stands for its texts, where numbers hang on more than that they are gone."""

    def apply(self, table: Table, row: Row) -> None:
        """Change a row of the source in place; ids and keys stay."""
        place, units = _place(table, row), row.get("files")
        imported = str((row.get("details") or {}).get("imported") or "")
        for column in _changeable(table):
            value = without_folders(row[column.name], column)
            if not self.texts:
                stand_in = self.stand_ins.get(f"{table.name}.{column.name}")
                value = stand_in(row["id"], value) if stand_in else without_texts(value, column)
            row[column.name] = value
        if place is not None and table.name == Checkpoint.__tablename__:
            row["path"] = self.homes.path(place, imported)
        elif units is not None and table.name == StageRun.__tablename__:
            row["files"] = [self.homes.unit(unit, row["input_hash"]) for unit in units]
        elif place is not None:
            tuned = row["parameters"]["tuned"] | {"path": self.homes.path(place)}
            row["parameters"] = row["parameters"] | {"tuned": tuned}


def _place(table: Table, row: Row) -> Place | None:
    if table.name == Checkpoint.__tablename__:
        return checkpoint_place(row)
    return tuned_place(row["parameters"]) if table.name == Condition.__tablename__ else None


@cache
def _changeable(table: Table) -> tuple[Column[Any], ...]:
    """Columns that may hold texts or folders."""
    return tuple(
        column
        for column in table.columns
        if isinstance(column.type, JSON) or column.info.get(QUOTES) or column.info.get(FOLDERS)
    )


def without_texts(value: Any, column: Column[Any]) -> Any:
    """A value without what a model or a data set said, where its column may hold that."""
    if value is None or not column.info.get(QUOTES):
        return value
    return _unsaid(value, column.info[LABELS]) if isinstance(column.type, JSON) else left_out.TEXT


def _unsaid(value: Any, labels: frozenset[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: part if key in labels else _unsaid(part, labels) for key, part in value.items()}
    if isinstance(value, list):
        return [_unsaid(part, labels) for part in value]
    return left_out.TEXT if isinstance(value, str) else value


def without_folders(value: Any, column: Column[Any]) -> Any:
    """JSON, or a message, without the folders of absolute paths in it; other values as they are."""
    if isinstance(column.type, JSON):
        return _relative(value)
    return _relative(value) if column.info.get(FOLDERS) else value


def _relative(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: part if key in VERBATIM else _relative(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_relative(part) for part in value]
    return _FOLDERS.sub("", value) if isinstance(value, str) else value
