"""Tables as files of one type per column, whatever the rows: CSV, Parquet and HTML.

Types and notes come from the schema, so an empty table has them too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from hormesis.db.csv_files import write_csv
from hormesis.db.read.export import Selection
from hormesis.db.schema.dictionary import Field

MOST_HTML_ROWS = 5_000
"""Rows of a table that an HTML page holds; CSV and Parquet hold all."""
_TYPES = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "true or false": pa.bool_(),
    "moment, UTC": pa.timestamp("us", tz="UTC"),
    "bytes": pa.binary(),
    "text": pa.string(),
    "JSON": pa.string(),
}
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="color-scheme" content="light dark">
<style>body{{font:14px/1.45 system-ui,sans-serif;margin:2rem}}table{{border-collapse:collapse}}
th,td{{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #8885;vertical-align:top;max-width:40rem;
overflow-wrap:anywhere}}th{{position:sticky;top:0;background:Canvas}}p{{opacity:.75}}</style></head>
<body><h1>{title}</h1><p>{note}</p>
{table}
</body></html>
"""
Write = Callable[[Iterable[pa.Table], pa.Schema, Path], int]


def arrow_schema(rows_of: Selection, notes: Mapping[str, str]) -> pa.Schema:
    """Arrow types of a table's columns, each with its meaning, unit and key; `notes` are about the table."""
    columns = [pa.field(field.name, _TYPES[field.type], metadata=_notes(field)) for field in rows_of.fields]
    return pa.schema(columns, metadata=dict(notes))


def schema_of(columns: Mapping[str, type], notes: Mapping[str, str]) -> pa.Schema:
    """Of columns by name that are no table's: str, float or int; `notes` are about all of them."""
    types = {str: pa.string(), float: pa.float64(), int: pa.int64()}
    return pa.schema([(name, types[kind]) for name, kind in columns.items()], metadata=dict(notes))


def _notes(field: Field) -> dict[str, str]:
    entries = {name: value for name, value in asdict(field).items() if name not in ("name", "is_nullable")}
    return {name: value for name, value in entries.items() if value} | {
        "nullable": "yes" if field.is_nullable else "no"
    }


def arrow_tables(chunks: Iterable[pd.DataFrame], schema: pa.Schema) -> Iterator[pa.Table]:
    """Chunks of rows in the types of the schema; JSON columns become text with sorted keys."""
    is_json = [field.name for field in schema if (field.metadata or {}).get(b"type") == b"JSON"]
    for chunk in chunks:
        texts = {name: [json.dumps(value, sort_keys=True) for value in chunk[name]] for name in is_json}
        yield pa.Table.from_pandas(chunk.assign(**texts), schema=schema, preserve_index=False)


def write_parquet(tables: Iterable[pa.Table], schema: pa.Schema, path: Path) -> int:
    """Write rows as Parquet (zstd), with the notes of table and columns; returns their number."""
    n_rows, writer = 0, None
    try:
        for table in tables:
            # The first table's schema is this one and what tells pandas of integers that may be missing.
            writer = writer or parquet.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table.cast(writer.schema))
            n_rows += len(table)
    finally:
        if writer is not None:
            writer.close()
    return n_rows


def write_html(tables: Iterable[pa.Table], schema: pa.Schema, path: Path) -> int:
    """Write the first rows as one page; `tables` are chunks of rows; returns the number of all rows."""
    rows, first_rows = 0, schema.empty_table()
    for number, table in enumerate(tables):
        first_rows = first_rows if number else table.slice(0, MOST_HTML_ROWS)
        rows += len(table)
    notes = {name.decode(): value.decode() for name, value in (schema.metadata or {}).items()}
    record: dict[str, Any] = json.loads(notes["hormesis"])
    names = ", ".join(f"{study['name']} ({study['hash']})" for study in record["studies"]) or "none"
    cut_words = f" The first {len(first_rows):,} are shown." if rows > len(first_rows) else ""
    origin = f"Made {record['made']} by {record['program']}."
    note = f"{notes['description']} n = {rows:,} rows.{cut_words} – is null. Studies: {names}. {origin}"
    table = first_rows.to_pandas(types_mapper=pd.ArrowDtype).to_html(index=False, border=0, na_rep="–")
    title = f"Table {notes['table']}"
    page = _PAGE.format(title=title, note=escape(note), table=table)
    path.write_text(page, encoding="utf-8")
    return rows


WRITERS: dict[str, Write] = {"csv": write_csv, "parquet": write_parquet, "html": write_html}
