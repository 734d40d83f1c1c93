"""Rows of local files: txt, json, jsonl, csv, tsv, parquet.

Knows the formats; knows nothing of what the columns mean. Every reader yields (place, row) with bounded
memory: line by line, or one batch of a parquet row group.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hormesis.pipeline.sources.json_arrays import DECODER, json_rows
from hormesis.pipeline.sources.lines import text_lines
from hormesis.pipeline.sources.record import SourceError
from hormesis.pipeline.sources.rows import Row, column_names

PlacedRows = Iterator[tuple[str, Row]]
FORMATS = ("txt", "json", "jsonl", "csv", "tsv", "parquet")
DELIMITERS = ",;\t|"
"""Those that the header of a .csv file is searched for."""
_PEEK = 100
_BATCH = 1024
# A field of a document corpus may be longer than the csv module's default of 131,072 characters.
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))


@dataclass(frozen=True)
class Layout:
    """How a text file is written, beside what its ending says."""

    delimiter: str | None = None
    """Between columns of a csv or tsv file; None: a tab for .tsv, for .csv what its header holds."""
    encoding: str = "utf-8"


PLAIN = Layout()


def format_of(path: Path) -> str:
    """One of FORMATS by the file's ending, compression aside. Raises SourceError for an unknown ending."""
    endings = [suffix.lstrip(".").lower() for suffix in path.suffixes]
    is_packed = bool(endings) and endings[-1] in ("gz", "zst")
    ending = (endings[-2] if len(endings) > 1 else "") if is_packed else (endings[-1] if endings else "")
    ending = {"ndjson": "jsonl", "pq": "parquet"}.get(ending, ending)
    if ending not in FORMATS:
        raise SourceError(
            f"{path.name}: unknown ending; known are .{', .'.join(FORMATS)}, also with .gz or .zst"
        )
    if ending == "parquet" and is_packed:
        raise SourceError(f"{path.name}: parquet is compressed inside; unpack the file first")
    return ending


def check_layout(path: Path, layout: Layout) -> None:
    """Raise SourceError where the study says of a file what its format has not."""
    kind = format_of(path)
    if layout.delimiter is not None and kind not in ("csv", "tsv"):
        raise SourceError(f"{path.name}: a delimiter is given, and a .{kind} file has none")
    if layout.encoding != "utf-8" and kind == "parquet":
        raise SourceError(f"{path.name}: an encoding is given, and text in parquet is always UTF-8")


def read_rows(path: Path, columns: Sequence[str], layout: Layout = PLAIN) -> PlacedRows:
    """All rows of a file. `columns` spares parquet the other columns."""
    kind = format_of(path)
    if kind == "txt":
        return _txt_rows(path, layout.encoding)
    if kind == "json":
        return json_rows(path, layout.encoding)
    if kind == "jsonl":
        return _jsonl_rows(path, layout.encoding)
    if kind == "parquet":
        return _parquet_rows(path, columns)
    return _csv_rows(path, layout.delimiter or delimiter_of(path, layout.encoding), layout.encoding)


def delimiter_of(path: Path, encoding: str = "utf-8") -> str:
    """What separates the columns of a csv or tsv file: a tab for .tsv, for .csv as its header shows."""
    if format_of(path) == "tsv":
        return "\t"
    header = next((line for _, line in text_lines(path, encoding) if line.strip()), "")
    try:
        return csv.Sniffer().sniff(header, delimiters=DELIMITERS).delimiter
    except csv.Error:  # one column
        return ","


def columns_of(path: Path, layout: Layout = PLAIN) -> list[str]:
    """Names of a file's columns, nested ones dotted, without reading it all.

    JSON: of the first 100 rows together. Raises SourceError for a file that is empty or broken.
    """
    kind = format_of(path)
    if kind == "parquet":
        file = _parquet(path)
        if file.metadata.num_rows == 0:
            raise SourceError(f"{path.name}: the file has no rows")
        return _schema_names(file.schema_arrow)
    names: dict[str, None] = {}
    for _, row in islice(read_rows(path, (), layout), _PEEK):
        names.update(dict.fromkeys(column_names(row)))
    if not names:
        raise SourceError(f"{path.name}: the file is empty")
    return list(names)


def _txt_rows(path: Path, encoding: str) -> PlacedRows:
    for number, line in text_lines(path, encoding):
        if line.strip():
            yield f"{path.name}, line {number}", {"text": line}


def _jsonl_rows(path: Path, encoding: str) -> PlacedRows:
    for number, line in text_lines(path, encoding):
        if not line.strip():
            continue
        row_name = f"{path.name}, line {number}"
        try:
            row = DECODER.decode(line)
        except (json.JSONDecodeError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deep"
            raise SourceError(f"{row_name}: not valid JSON ({reason})") from None
        if not isinstance(row, dict):
            raise SourceError(f"{row_name}: holds {type(row).__name__}, where each line should be an object")
        yield row_name, row


def _csv_rows(path: Path, delimiter: str, encoding: str) -> PlacedRows:
    """Rows by column name, each with file and line; the first line that is not empty is the header."""
    lines = (line + "\n" for _, line in text_lines(path, encoding))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    has_rows = False
    try:
        for fields in reader:
            if not fields:
                continue
            row_name = f"{path.name}, line {reader.line_num}"
            if header is None:
                header = [name.strip() for name in fields]
                if len(set(header)) < len(header):
                    raise SourceError(f"{row_name}: a column name stands twice in the header")
                continue
            has_rows = True
            if len(fields) != len(header):
                raise SourceError(f"{row_name}: {len(fields)} fields where the header has {len(header)}")
            yield row_name, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise SourceError(f"{path.name}, line {reader.line_num}: not valid CSV ({error})") from None
    if header is not None and not has_rows:
        raise SourceError(f"{path.name}: a header and no rows (columns: {', '.join(header)})")


def _parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0][:120]
        raise SourceError(f"{path.name}: not a readable parquet file ({reason})") from None


def _schema_names(schema: pa.Schema) -> list[str]:
    """Column names, those inside structs dotted, each outer one before its inner ones."""
    names: list[str] = []

    def add(prefix: str, kind: pa.DataType) -> None:
        names.append(prefix)
        if pa.types.is_struct(kind):
            for index in range(kind.num_fields):
                add(f"{prefix}.{kind.field(index).name}", kind.field(index).type)

    for field in schema:
        add(field.name, field.type)
    return names


def _parquet_rows(path: Path, columns: Sequence[str]) -> PlacedRows:
    file = _parquet(path)
    number = 0
    try:
        for batch in file.iter_batches(batch_size=_BATCH, columns=list(columns) or None, use_threads=False):
            for row in batch.to_pylist():
                number += 1
                yield f"{path.name}, row {number}", row
    except UnicodeDecodeError:
        raise SourceError(f"{path.name}, after row {number}: not UTF-8 text") from None
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0][:120]
        raise SourceError(f"{path.name}, after row {number}: broken parquet data ({reason})") from None
    finally:
        file.close()
