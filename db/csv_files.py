"""CSV as every export has it: each text is quoted and null is nothing at all, so that the two are told apart.

A text that a spreadsheet would take for a formula gets an apostrophe before it, which shows it as text; that
changes the cell, so read Parquet where every text must be as it was stored. Moments are UTC,
to the millisecond, without a zone, which spreadsheets take for moments.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
from pyarrow import compute, csv

FORMULA = r"^[=+\-@\t\r\n＝＋－＠]"
"""How a text begins that spreadsheets take for a formula (OWASP, CSV injection)."""
_MOMENT = pa.timestamp("ms")


def csv_schema(schema: pa.Schema) -> pa.Schema:
    """The types of a CSV file's columns."""
    types = [_MOMENT if pa.types.is_timestamp(field.type) else field.type for field in schema]
    return pa.schema(list(zip(schema.names, types, strict=True)))


def as_text(value: str) -> str:
    """The text as no spreadsheet takes it for a formula."""
    return re.sub(FORMULA, r"'\g<0>", value)


def _without_formulas(table: pa.Table) -> pa.Table:
    """The rows with `as_text` of every text."""
    columns = [
        compute.replace_substring_regex(column, pattern=FORMULA, replacement=r"'\0")
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        else column
        for column in table.columns
    ]
    return pa.table(columns, schema=table.schema)


def write_csv(tables: Iterable[pa.Table], schema: pa.Schema, target: Path | BinaryIO) -> int:
    """Write rows as UTF-8 CSV to a file, or behind what an open one holds; returns their number."""
    plain = csv_schema(schema)
    n_rows = 0
    with csv.CSVWriter(target, plain) as writer:
        for table in tables:
            # Not safe: a spreadsheet's moments have no microseconds.
            writer.write_table(_without_formulas(table.cast(plain, safe=False)))
            n_rows += len(table)
    return n_rows
