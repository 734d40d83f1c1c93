"""CSV as every export has it: each text is quoted and null is nothing at all, so that the two are told apart.

Moments are UTC, to the millisecond, without a zone, which spreadsheets take for moments.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
from pyarrow import csv

_MOMENT = pa.timestamp("ms")


def csv_schema(schema: pa.Schema) -> pa.Schema:
    """The types of a CSV file's columns."""
    types = [_MOMENT if pa.types.is_timestamp(field.type) else field.type for field in schema]
    return pa.schema(list(zip(schema.names, types, strict=True)))


def write_csv(tables: Iterable[pa.Table], schema: pa.Schema, target: Path | BinaryIO) -> int:
    """Write rows as UTF-8 CSV to a file, or behind what an open one holds; returns their number."""
    plain = csv_schema(schema)
    n_rows = 0
    with csv.CSVWriter(target, plain) as writer:
        for table in tables:
            # Not safe: a spreadsheet's moments have no microseconds.
            writer.write_table(table.cast(plain, safe=False))
            n_rows += len(table)
    return n_rows
