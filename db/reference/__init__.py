"""Studies whose results the package carries: made with it, copied without texts, and compressed.

`add_references` copies them into a database, where they are studies like any other. A file is the archive of
a folder with the copy of a finished study and the scorer it has trained. It is made by
`hormesis copy HOME COPY.sqlite --study NAME --texts none --activations none` and
`python -m hormesis.db.reference HOME COPY.sqlite`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tarfile import TarFile, TarInfo
from tempfile import TemporaryDirectory

import zstandard

from hormesis.db.address import sqlite_url
from hormesis.db.copy.changes import Changes
from hormesis.db.copy.database import copy_database
from hormesis.db.copy.rows import Report
from hormesis.db.copy.weights import Homes, holds_weights, scorer_places
from hormesis.db.database_status import state_of
from hormesis.db.engine import open_reader
from hormesis.db.files import atomic_file
from hormesis.db.location import home
from hormesis.db.problems import parse_url
from hormesis.db.read import left_out_weights, studies

FOLDER = Path(__file__).parent
ENDING = ".tar.zst"
FIRST = "wikipedia-full"
"""The study that comes first."""
DATABASE = "hormesis.sqlite"
SCORERS = "files/text/*/tfidf"
LEVEL = 19
"""Of compression; as long as a second for a megabyte."""


@dataclass(frozen=True)
class Reference:
    """A study that the package carries, by its name and hash."""

    name: str
    hash: str
    path: Path


def references(folder: Path = FOLDER) -> list[Reference]:
    """The studies of the package, `FIRST` and then by name: files are called `NAME-HASH.tar.zst`."""
    files = sorted(folder.glob(f"*{ENDING}"), key=lambda file: (not file.name.startswith(FIRST), file.name))
    names = [file.name.removesuffix(ENDING).rpartition("-") for file in files]
    return [Reference(name, number, file) for file, (name, _, number) in zip(files, names, strict=True)]


def pack(home: Path, copy: Path, folder: Path = FOLDER) -> Path:
    """Compress the copy of one study of a home, with its scorer.

    Raises ValueError where the copy holds no study, or several.
    """
    rows, of_home = studies(open_reader(sqlite_url(copy))), studies(open_reader(sqlite_url(home / DATABASE)))
    if len(rows) != 1:
        raise ValueError(f"{copy.name} holds {len(rows)} studies; a reference is one")
    name, number = rows["name"].iloc[0], rows["hash"].iloc[0]
    ids = [int(row) for row in of_home.loc[of_home["hash"] == number, "id"]]
    study = int(rows["id"].iloc[0])
    # Without weights nothing is steered live, so no scorer is asked.
    has_weights = len(left_out_weights(open_reader(sqlite_url(copy)), study)) < rows["checkpoints"].iloc[0]
    places = scorer_places(open_reader(sqlite_url(home / DATABASE)), ids) if has_weights else []
    target = folder / f"{name}-{number}{ENDING}"
    with (
        atomic_file(target) as temporary,
        temporary.open("wb") as file,
        zstandard.ZstdCompressor(level=LEVEL).stream_writer(file) as packed,
        TarFile.open(fileobj=packed, mode="w|") as archive,
    ):
        archive.add(copy, DATABASE, filter=_without_owner)
        for path, _ in places:
            if holds_weights(home / path):
                archive.add(home / path, path, filter=_without_owner)
    return target


def _without_owner(member: TarInfo) -> TarInfo:
    """Nothing of the machine that packs."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


def unpack(reference: Reference, folder: Path) -> str:
    """Unpack a study into an empty folder; gives the URL of its database."""
    with (
        reference.path.open("rb") as file,
        zstandard.ZstdDecompressor().stream_reader(file) as packed,
        TarFile.open(fileobj=packed, mode="r|") as archive,
    ):
        # Pythons before 3.11.4 have no filter of what is extracted: files alone, inside the folder.
        for member in archive:
            target, content = (folder / member.name).resolve(), archive.extractfile(member)
            if content is not None and target.is_relative_to(folder.resolve()):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read())
    return sqlite_url(folder / DATABASE)


def add_references(url: str, report: Report, folder: Path = FOLDER) -> list[str]:
    """Copy those studies of the package that a database lacks into it, their files into the home; gives their
    names.

    `report` is told of the rows of each. Raises CopyError and DatabaseProblem as `copy_database` does.
    """
    is_there = state_of(parse_url(url)).kind == "ok"
    present = set(studies(open_reader(url))["hash"]) if is_there else set()
    lacking = [reference for reference in references(folder) if reference.hash not in present]
    for reference in lacking:
        with TemporaryDirectory() as temporary:
            source, homes = unpack(reference, Path(temporary)), Homes((Path(temporary),), home())
            for scorer in Path(temporary).glob(SCORERS):
                homes.copy((scorer.relative_to(temporary).as_posix(), ""))
            ids = [int(number) for number in studies(open_reader(source))["id"]]
            copy_database(source, url, ids, Changes(homes, texts=True), report)
    return [reference.name for reference in lacking]
