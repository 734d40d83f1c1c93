"""Writing the database's tables as CSV, Parquet or HTML files, each file whole or absent.

Beside them `provenance.json` says which studies, revisions and program they came from; a Parquet file carries
the same as its metadata, under the key `hormesis`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Engine, select

from hormesis.db.engine import open_reader
from hormesis.db.files import atomic_file
from hormesis.db.migrate import revisions
from hormesis.db.read import studies, study
from hormesis.db.read.export import export_table, exportable_tables, holds_texts
from hormesis.db.read.frame import frame
from hormesis.db.schema import Scorer

FORMS = ("csv", "parquet", "html")
PROVENANCE = "provenance.json"
MOST_HTML_ROWS = 5_000
"""Rows of a table that an HTML page holds; CSV and Parquet hold all."""
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


class ExportError(ValueError):
    """An export that cannot be made; the message is one line."""


def export_tables(
    database_url: str, folder: Path, form: str, *, tables: Iterable[str] = ()
) -> dict[str, int]:
    """Write `folder/<table>.<form>` for these tables; gives rows written per table.

    By default all of them; as HTML those without texts, which may hurt and must be asked for by name. Byte
    columns (vectors, activations) are kept in Parquet only. Raises ExportError for an unknown form or table,
    DatabaseProblem for a database that cannot be read.
    """
    if form not in FORMS:
        raise ExportError(f"unknown format '{form}' (known: {', '.join(FORMS)})")
    exportable = exportable_tables()
    usual = tuple(name for name in exportable if form != "html" or not holds_texts(name))
    table_names = tuple(tables) or usual
    if unknown := set(table_names) - set(exportable):
        raise ExportError(f"no table '{min(unknown)}' (tables: {', '.join(exportable)})")
    engine = open_reader(database_url)
    record = provenance(engine)
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for name in table_names:
        chunks = export_table(engine, name, with_bytes=form == "parquet")
        with atomic_file(folder / f"{name}.{form}") as temporary:
            written[name] = _write(form, chunks, temporary, name=name, record=record)
    record_text = json.dumps(record | {"format": form, "rows": written}, indent=1)
    with atomic_file(folder / PROVENANCE) as temporary:
        temporary.write_text(record_text + "\n", encoding="utf-8")
    return written


def provenance(engine: Engine) -> dict[str, Any]:
    """Program, revision of the schema, time, and every study and scorer with its hash and revisions."""
    study_table = studies(engine)
    details = [study(engine, int(number)).iloc[0] for number in study_table["id"]]
    scorers = frame(engine, select(Scorer.name, Scorer.revision).order_by(Scorer.id))
    return {
        "program": f"hormesis {metadata.version('hormesis')}",
        "schema": revisions()[-1],
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "studies": [
            {"name": row["name"], "hash": row["hash"], "data_revisions": row["data_revisions"]}
            for row in details
        ],
        "scorers": scorers.to_dict("records"),
    }


def _write(
    form: str, chunks: Iterable[pd.DataFrame], path: Path, *, name: str, record: dict[str, Any]
) -> int:
    if form == "csv":
        return _csv(chunks, path)
    return _parquet(chunks, path, record) if form == "parquet" else _html(chunks, path, name, record=record)


def _csv(chunks: Iterable[pd.DataFrame], path: Path) -> int:
    rows = 0
    for number, chunk in enumerate(chunks):
        _write_json(chunk)
        chunk.to_csv(path, mode="a" if number else "w", header=not number, index=False)
        rows += len(chunk)
    return rows


def _parquet(chunks: Iterable[pd.DataFrame], path: Path, record: dict[str, Any]) -> int:
    rows, writer = 0, None
    file_metadata = {b"hormesis": json.dumps(record).encode()}
    try:
        for chunk in chunks:
            _write_json(chunk)
            table = pa.Table.from_pandas(chunk, preserve_index=False)
            if writer is None:
                schema = table.schema.with_metadata({**(table.schema.metadata or {}), **file_metadata})
                writer = pq.ParquetWriter(path, schema, compression="zstd")
            # The first chunk's types hold for all; a later one that is all null is cast to them.
            writer.write_table(table.cast(writer.schema))
            rows += len(chunk)
    finally:
        if writer is not None:
            writer.close()
    return rows


def _html(chunks: Iterable[pd.DataFrame], path: Path, name: str, *, record: dict[str, Any]) -> int:
    rows, head = 0, None
    for chunk in chunks:
        _write_json(chunk)
        rows += len(chunk)
        head = chunk.head(MOST_HTML_ROWS) if head is None else head
    head = pd.DataFrame() if head is None else head
    names = ", ".join(f"{study['name']} ({study['hash']})" for study in record["studies"]) or "none"
    cut = f" The first {len(head):,} are shown." if rows > len(head) else ""
    note = f"n = {rows:,} rows.{cut} Studies: {names}. Made {record['made']} by {record['program']}."
    table = head.to_html(index=False, border=0, na_rep="")
    page = _PAGE.format(title=f"Table {name}", note=escape(note), table=table)
    path.write_text(page, encoding="utf-8")
    return rows


def _write_json(chunk: pd.DataFrame) -> None:
    """Turn the JSON columns of a chunk into text, in place."""
    for column in chunk.columns:
        if chunk[column].dtype == object and any(isinstance(value, dict | list) for value in chunk[column]):
            chunk[column] = [json.dumps(value, sort_keys=True) for value in chunk[column]]
