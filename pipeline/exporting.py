"""Writing the database's tables as CSV or Parquet files, in chunks, each file whole or absent."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from db.engine import open_reader
from db.read.export import export_table, exportable_tables

FORMS = ("csv", "parquet")


class ExportError(ValueError):
    """An export that cannot be made; the message is one line."""


def export_tables(database_url: str, folder: Path, form: str, tables: Iterable[str] = ()) -> dict[str, int]:
    """Write `folder/<table>.<form>` for these tables (default: all); gives rows written per table.

    Byte columns (vectors, activations) are left out of CSV and kept in Parquet. Raises ExportError for an
    unknown form or table, DatabaseProblem for a database that cannot be read.
    """
    if form not in FORMS:
        raise ExportError(f"unknown format '{form}' (known: {', '.join(FORMS)})")
    wanted = tuple(tables) or exportable_tables()
    if unknown := set(wanted) - set(exportable_tables()):
        raise ExportError(f"no table '{min(unknown)}' (tables: {', '.join(exportable_tables())})")
    engine = open_reader(database_url)
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for name in wanted:
        target = folder / f"{name}.{form}"
        part = folder / f".{name}.{form}.part"
        chunks = export_table(engine, name, with_bytes=form == "parquet")
        try:
            written[name] = _csv(chunks, part) if form == "csv" else _parquet(chunks, part)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    return written


def _csv(chunks: Iterable[pd.DataFrame], path: Path) -> int:
    rows = 0
    for number, chunk in enumerate(chunks):
        _write_json(chunk)
        chunk.to_csv(path, mode="a" if number else "w", header=not number, index=False)
        rows += len(chunk)
    return rows


def _parquet(chunks: Iterable[pd.DataFrame], path: Path) -> int:
    rows, writer = 0, None
    try:
        for chunk in chunks:
            _write_json(chunk)
            table = pa.Table.from_pandas(chunk, preserve_index=False)
            # The first chunk's types hold for all; a later one that is all null is cast to them.
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table.cast(writer.schema))
            rows += len(chunk)
    finally:
        if writer is not None:
            writer.close()
    return rows


def _write_json(chunk: pd.DataFrame) -> None:
    """Turn the JSON columns of a chunk into text, in place."""
    for column in chunk.columns:
        if chunk[column].map(type).isin([dict, list]).any():
            chunk[column] = [json.dumps(value, sort_keys=True) for value in chunk[column]]
