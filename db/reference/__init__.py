"""Studies whose results the package carries: made with it, copied without texts, and compressed.

`add_references` copies them into a database, where they are studies like any other. A file is made from a
finished study by `hormesis copy HOME FILE.sqlite --study NAME --texts none --activations none` and
`python -m hormesis.db.reference FILE.sqlite`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import zstandard

from hormesis.db.address import sqlite_url
from hormesis.db.copy.changes import Changes
from hormesis.db.copy.database import copy_database
from hormesis.db.copy.rows import Report
from hormesis.db.copy.weights import Homes
from hormesis.db.database_status import state_of
from hormesis.db.engine import open_reader
from hormesis.db.files import atomic_file
from hormesis.db.problems import parse_url
from hormesis.db.read import studies

FOLDER = Path(__file__).parent
ENDING = ".sqlite.zst"
FIRST = "wikipedia-full"
"""The study that comes first."""
LEVEL = 19
"""Of compression; as long as a second for a megabyte."""


@dataclass(frozen=True)
class Reference:
    """A study that the package carries, by its name and hash."""

    name: str
    hash: str
    path: Path


def references(folder: Path = FOLDER) -> list[Reference]:
    """The studies of the package, `FIRST` and then by name: files are called `NAME-HASH.sqlite.zst`."""
    files = sorted(folder.glob(f"*{ENDING}"), key=lambda file: (not file.name.startswith(FIRST), file.name))
    names = [file.name.removesuffix(ENDING).rpartition("-") for file in files]
    return [Reference(name, number, file) for file, (name, _, number) in zip(files, names, strict=True)]


def pack(file: Path, folder: Path = FOLDER) -> Path:
    """Compress a SQLite file of one study into the folder. Raises ValueError where it holds none or more."""
    rows = studies(open_reader(sqlite_url(file)))
    if len(rows) != 1:
        raise ValueError(f"{file.name} holds {len(rows)} studies; a reference is one")
    target = folder / f"{rows['name'].iloc[0]}-{rows['hash'].iloc[0]}{ENDING}"
    with file.open("rb") as source, atomic_file(target) as temporary, temporary.open("wb") as packed:
        zstandard.ZstdCompressor(level=LEVEL).copy_stream(source, packed)
    return target


def add_references(url: str, report: Report, folder: Path = FOLDER) -> list[str]:
    """Copy those studies of the package that a database lacks into it; gives their names.

    `report` is told of the rows of each. Raises CopyError and DatabaseProblem as `copy_database` does.
    """
    is_there = state_of(parse_url(url)).kind == "ok"
    present = set(studies(open_reader(url))["hash"]) if is_there else set()
    lacking = [reference for reference in references(folder) if reference.hash not in present]
    for reference in lacking:
        with TemporaryDirectory() as home:
            file = Path(home) / "hormesis.sqlite"
            with reference.path.open("rb") as packed, file.open("wb") as unpacked:
                zstandard.ZstdDecompressor().copy_stream(packed, unpacked)
            source = sqlite_url(file)
            ids = [int(number) for number in studies(open_reader(source))["id"]]
            copy_database(source, url, ids, Changes(Homes((), Path(home)), texts=True), report)
    return [reference.name for reference in lacking]
