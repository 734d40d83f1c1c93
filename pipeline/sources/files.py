"""Local files as a source: one file or a pattern of files.

Knows where the files are and that they are what the study asks for; formats are `tables`, meanings `rows`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from hormesis.db.files import content_hash
from hormesis.pipeline.sources.record import Record, RowCount, SourceError
from hormesis.pipeline.sources.rows import check_columns, records, source_columns
from hormesis.pipeline.sources.tables import (
    PLAIN,
    Layout,
    PlacedRows,
    check_layout,
    columns_of,
    delimiter_of,
    format_of,
    read_rows,
)
from hormesis.pipeline.study.source_config import SourceConfig


def find_files(location: str) -> list[Path]:
    """The files of a path or pattern, sorted. Raises SourceError where there is none."""
    path = Path(location)
    if path.is_file():
        return [path]
    if path.is_dir():
        raise SourceError(f"{location}: is a folder; name a file or a pattern such as '{path.name}/*.jsonl'")
    base, pattern = _split_pattern(path)
    if pattern is None:
        raise SourceError(
            f"{location}: no such file; relative paths start at the data folder (--data, HORMESIS_DATA) or, "
            "in a study file of your own, at its folder"
        )
    files = sorted(file for file in base.glob(pattern) if file.is_file())
    if not files:
        raise SourceError(f"{location}: no file matches this pattern")
    return files


def _split_pattern(path: Path) -> tuple[Path, str | None]:
    """The part of a path that exists, and the pattern below it; a folder may be called `[1]`."""
    base = path
    while not base.exists() and base != base.parent:
        base = base.parent
    pattern = str(path.relative_to(base))
    return base, pattern if any(sign in pattern for sign in "*?[") else None


def check_table(path: Path, columns: Sequence[str], layout: Layout = PLAIN) -> None:
    """See that a file can be read and holds the columns. Raises SourceError."""
    try:
        check_layout(path, layout)
        if path.stat().st_size == 0:
            raise SourceError(f"{path.name}: the file is empty")
        check_columns(path.name, columns, columns_of(path, layout))
    except OSError as error:
        raise SourceError(f"{path.name}: cannot be read ({error.strerror or error})") from None


def table_rows(path: Path, columns: Sequence[str]) -> PlacedRows:
    """Rows of a file that a section of the study names, read as those of every source; each with its place.

    Raises SourceError where there is no file, none of the columns, or not one row.
    """
    if not path.is_file():
        raise SourceError(f"no file '{path.name}'")
    check_table(path, columns)
    return read_rows(path, columns)


class FileSource:
    """Records of local files. Opening checks that they exist, can be read and hold the columns."""

    def __init__(self, cfg: SourceConfig) -> None:
        """Check each file's ending, size and columns; rows are read later."""
        self._cfg = cfg
        self._columns = source_columns(cfg)
        self._layout = Layout(cfg.delimiter, cfg.encoding)
        self._files = find_files(cfg.location)
        self.title = cfg.title
        for path in self._files:
            check_table(path, self._columns, self._layout)

    @property
    def revision(self) -> str:
        """sha256 of the content; of several files, of their names and hashes together."""
        if len(self._files) == 1:
            return content_hash(self._files[0])
        listing = "\n".join(f"{path.name} {content_hash(path)}" for path in self._files)
        return hashlib.sha256(listing.encode()).hexdigest()

    def _rows(self) -> PlacedRows:
        for path in self._files:
            yield from read_rows(path, self._columns, self._layout)

    def __iter__(self) -> Iterator[Record]:
        return self.read(RowCount())

    def read(self, count: RowCount) -> Iterator[Record]:
        """Records, counted."""
        count.note = self._delimiter_note()
        return records(self._rows(), self._cfg, count)

    def _delimiter_note(self) -> str:
        """What was told from the header of a .csv file, where it is not the comma."""
        tables = [path for path in self._files if format_of(path) == "csv" and self._layout.delimiter is None]
        delimiters = {delimiter_of(path, self._layout.encoding) for path in tables} - {","}
        names = [{"\t": "tab"}.get(delimiter, f"'{delimiter}'") for delimiter in sorted(delimiters)]
        return f"columns separated by {' or '.join(names)}, as in the header" if names else ""
