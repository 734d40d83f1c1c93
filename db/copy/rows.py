"""Copying the rows of studies from one open transaction into another, under their natural keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import (
    Column,
    Connection,
    CursorResult,
    Executable,
    LargeBinary,
    Table,
    func,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.exc import DBAPIError

from hormesis.db.blocks import decode_int64, encode_int64
from hormesis.db.contract.left_out import WEIGHTS, is_left_out
from hormesis.db.copy.changes import Changes, Row, without_folders
from hormesis.db.copy.relations import (
    id_lists,
    list_hashes,
    natural_key,
    owner,
    parent,
    references,
    rows_of,
)
from hormesis.db.digest import example_list_hash
from hormesis.db.problems import explain
from hormesis.db.schema import Study
from hormesis.db.schema.base import ANNOUNCED, COMPARED, FOLLOWS, QUOTES, STATE

CHUNK = 2_000
"""Rows read and written at a time; a tenth of it where a row may hold a matrix."""
Report = Callable[[int, int], None]
"""Called with the number of rows done and of all rows."""


class CopyError(ValueError):
    """A copy that cannot be made; the message is one line for the person."""


class RowCopier:
    """Copies what belongs to `studies` (ids in the source), table by table; the caller commits.

    Rows that the target has already are compared: `db.schema.base` says what becomes of those that differ.
    New rows get the next free ids, in the order they had.
    """

    def __init__(
        self,
        source: Connection,
        target: Connection,
        studies: Sequence[int],
        changes: Changes,
        tables: Sequence[Table],
    ) -> None:
        """`tables`: those that are copied, in the order of `copied_tables`."""
        self._source, self._target, self._studies, self._changes = source, target, studies, changes
        self._tables = tables
        self._ids: dict[Table, dict[int, int | None]] = {}
        """Ids in the source to ids in the target; None where what belongs to the row is left behind."""
        self._first_new: dict[Table, int] = {}
        self._next: dict[Table, int] = {}
        self._list_hashes: dict[str, str] = {}
        self.added: Counter[str] = Counter()
        """Rows by table; `present`: those that the target had."""
        self.present: Counter[str] = Counter()

    def copy(self, report: Report) -> None:
        """Copy the tables.

        Raises CopyError where a row of the target has the key and other values, DatabaseProblem where the
        target cannot be written to.
        """
        total, done = sum(map(self._count, self._tables)), 0
        for table in self._tables:
            self._ids[table], self._first_new[table] = {}, self._free_id(table)
            self._next[table] = self._first_new[table]
            has_bytes = any(isinstance(column.type, LargeBinary) for column in table.columns)
            query = rows_of(table, self._studies)
            query = query.execution_options(yield_per=CHUNK // 10 if has_bytes else CHUNK)
            for rows in self._source.execute(query).mappings().partitions():
                self._copy_rows(table, [dict(row) for row in rows])
                done += len(rows)
                report(done, total)
            self._set_sequence(table)

    def _on_target(self, statement: Executable, rows: Sequence[Row] = ()) -> CursorResult[Any]:
        """Raises DatabaseProblem, so that no problem of the target is taken for one of the source."""
        try:
            return self._target.execute(statement, rows) if rows else self._target.execute(statement)
        except DBAPIError as error:
            raise explain(error, self._target.engine.url) from error

    def _count(self, table: Table) -> int:
        rows = rows_of(table, self._studies).order_by(None).subquery()
        return int(self._source.scalar(select(func.count()).select_from(rows)) or 0)

    def _free_id(self, table: Table) -> int:
        return 1 + int(self._on_target(select(func.max(table.c.id))).scalar() or 0) if "id" in table.c else 0

    def _copy_rows(self, table: Table, rows: list[Row]) -> None:
        """Insert those of `rows` (as the source has them) that the target does not have."""
        translated_rows = [row for row in rows if self._translate(table, row)]
        stored_rows = self._stored(table, translated_rows)
        new_rows = []
        for row in translated_rows:
            stored = stored_rows.get(_key_of(table, row))
            if stored is not None:
                self._reconcile(table, stored, row)
                new_id = None if table.info == FOLLOWS else stored.get("id")
            else:
                new_id = self._new_id(table) if "id" in row else None
                new_rows.append(row | {"id": new_id} if "id" in row else row)
            if "id" in row:
                self._ids[table][row["id"]] = new_id
        if new_rows:
            self._on_target(insert(table), new_rows)
        self.added[table.name] += len(new_rows)
        self.present[table.name] += len(rows) - len(new_rows)

    def _new_id(self, table: Table) -> int:
        self._next[table] += 1
        return self._next[table] - 1

    def _translate(self, table: Table, row: Row) -> bool:
        """Change a row into the target's in place, all but its own id; False where its owner stays behind."""
        self._changes.apply(table, row)
        for name, owners in references(table):
            if row[name] is not None:
                row[name] = self._ids[owners].get(row[name])
                if row[name] is None:
                    return False
        for name, examples in id_lists(table):
            ids = self._ids[examples]
            # Of a statement that is no longer there no id is known; none is below 1.
            translated = [ids.get(number) or -number for number in decode_int64(row[name]).tolist()]
            row[name] = encode_int64(np.array(translated, dtype=np.int64))
            self._list_hashes[row["hash"]] = example_list_hash(translated)
        for name in list_hashes(table):
            row[name] = self._list_hashes.get(row[name], row[name])
        return True

    def _stored(self, table: Table, rows: Sequence[Row]) -> dict[tuple[Any, ...], Row]:
        """Rows of the target with the keys of `rows`; what belongs to a new row is not looked for."""
        column = owner(table)
        owners = None if column is None else parent(column)
        if column is not None and owners is not None:
            rows = [row for row in rows if row[column.name] < self._first_new[owners]]
        if not rows or ("id" in table.c and self._first_new[table] == 1):
            return {}
        has_key = tuple_(*natural_key(table)).in_([_key_of(table, row) for row in rows])
        stored_rows = map(dict, self._on_target(select(table).where(has_key)).mappings())
        return {_key_of(table, stored): stored for stored in stored_rows}

    def _reconcile(self, table: Table, stored: Row, row: Row) -> None:
        """What becomes of a row that the target has already. Raises CopyError for a contradiction."""
        if table.info == FOLLOWS:
            return
        if table.info == STATE:
            is_further = stored["status"] != "done" and row["status"] == "done"
            if is_further or (stored["status"] == row["status"] == "done" and _lacks_files(stored, row)):
                self._write(table, stored, row)
            return
        if table.info == ANNOUNCED and (gaps := _gaps(stored) ^ _gaps(row)):
            if gaps & _gaps(stored):
                self._write(table, stored, row)
            return
        for column in table.columns:
            if column.name != "id" and not _is_alike(column, stored[column.name], row[column.name]):
                values = f"{stored[column.name]!r} there, {row[column.name]!r} in the source"
                is_short = not column.info.get(QUOTES) and len(values) < 120
                raise CopyError(
                    f"contradictory rows: {table.name} of {self._words(table, stored)}: {column.name} is "
                    + (values if is_short else "another one in the source")
                )
        if registered := {name: row[name] for name in row if _lacks_weights(stored[name], row[name])}:
            self._write(table, stored, registered)

    def _write(self, table: Table, stored: Row, row: Row) -> None:
        values = {name: value for name, value in row.items() if name != "id"}
        self._on_target(update(table).where(table.c.id == stored["id"]).values(values))

    def _words(self, table: Table, row: Row) -> str:
        """The natural key of a row of the target inside its study, with names for ids."""
        parts = []
        for column in natural_key(table):
            owners, value = parent(column), row[column.name]
            if owners is None:
                parts.append(str(value))
            elif owners.name != Study.__tablename__:
                owner_row = self._on_target(select(owners).where(owners.c.id == value)).mappings().one()
                parts.append(self._words(owners, dict(owner_row)))
        return " / ".join(parts)

    def _set_sequence(self, table: Table) -> None:
        """PostgreSQL's counter does not see ids that were given."""
        if self._target.dialect.name == "postgresql" and self._next[table] > self._first_new[table]:
            sequence = func.pg_get_serial_sequence(table.name, "id")
            self._on_target(select(func.setval(sequence, self._next[table] - 1)))


def _key_of(table: Table, row: Row) -> tuple[Any, ...]:
    return tuple(row[column.name] for column in natural_key(table))


def _gaps(row: Row) -> set[str]:
    """Columns that are not known yet."""
    return {name for name, value in row.items() if value is None or value == {}}


def _is_alike(column: Column[Any], stored: Any, value: Any) -> bool:
    """Whether a stored value says what the value says; what was left out of one of them says nothing."""
    if column.info.get(COMPARED) is False:
        return True
    return _agree(without_folders(stored, column), value)


def _agree(first: Any, second: Any) -> bool:
    if first == second or is_left_out(first) or is_left_out(second):
        return True
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return first.keys() == second.keys() and all(_agree(first[key], second[key]) for key in first)
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        return all(map(_agree, first, second))
    return False


def _lacks_files(stored: Row, row: Row) -> bool:
    """Whether files that were left out of a row of `stage_run` have come along with the other."""
    if "files" not in row or stored["input_hash"] != row["input_hash"]:
        return False
    left_out = [sum(is_left_out(unit["path"]) for unit in units["files"] or ()) for units in (stored, row)]
    return left_out[1] < left_out[0]


def _lacks_weights(stored: Any, value: Any) -> bool:
    """Whether weights that were left out of a stored value have come along with the value."""
    if isinstance(stored, Mapping) and isinstance(value, Mapping):
        return any(_lacks_weights(stored[key], value.get(key)) for key in stored)
    return stored == WEIGHTS and isinstance(value, str) and value != WEIGHTS
