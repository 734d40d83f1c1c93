"""What was written, file by file with size and SHA-256, and whether it is still there as it was written.

A unit is a file or a folder that is written whole. Its sums lie beside it (`NAME.sha256`) or in it
(`SHA256SUMS`), in the format of `sha256sum -c`, so that whoever finds it can tell whether it is damaged; the
rows of the stage that wrote it hold them too, so that a lost unit is known to be lost. A unit without sums
(of an older version) is trusted.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hormesis.db.contract.left_out import is_left_out
from hormesis.db.files import atomic_file, atomic_folder, content_hash, write_json

SUMS = "SHA256SUMS"
ENDING = ".sha256"


class DamagedFile(ValueError):
    """A file is missing or is not what was written; the message is one line that names it."""


@dataclass(frozen=True)
class FileProblem:
    """A file that is `missing` or `damaged`."""

    path: Path
    kind: str

    def __str__(self) -> str:
        return f"{self.path} is {self.kind}"


@dataclass(frozen=True)
class Unit:
    """What a stage wrote, as its row holds it."""

    path: str
    """Relative to the home; absolute for a model that lies elsewhere; or that it was left out of a copy."""
    files: Mapping[str, tuple[int, str]]
    """Name inside a folder ("" for a unit that is a file) to size in bytes and SHA-256."""

    @property
    def is_left_out(self) -> bool:
        """Whether a copy was made without it."""
        return is_left_out(self.path)

    @property
    def lies_elsewhere(self) -> bool:
        """Whether it is a model that was not made here and cannot be made again."""
        return Path(self.path).is_absolute()

    def as_json(self) -> dict[str, Any]:
        """What the column `stage_run.files` lists."""
        return {"path": self.path, "files": {name: [*entry] for name, entry in self.files.items()}}


def stored_units(value: Sequence[Mapping[str, Any]] | None) -> list[Unit]:
    """The units of a value of `stage_run.files`; none for a row of an older version."""
    return [
        Unit(str(unit["path"]), {name: (int(size), str(sha)) for name, (size, sha) in unit["files"].items()})
        for unit in value or ()
    ]


def measured_unit(home: Path, path: Path, patterns: Iterable[str] = ("*",)) -> Unit:
    """A unit as it is now; `patterns`: of files of a folder that is not ours. Raises OSError."""
    resolved, base = path.resolve(), home.resolve()
    place = str(resolved.relative_to(base)) if resolved.is_relative_to(base) else str(resolved)
    return Unit(place, {name: _entry(path / name) for name in _names(path, patterns)})


def _entry(path: Path) -> tuple[int, str]:
    return path.stat().st_size, content_hash(path)


def _names(path: Path, patterns: Iterable[str] = ("*",)) -> list[str]:
    if not path.is_dir():
        return [""]
    files = {file for pattern in patterns for file in path.rglob(pattern) if file.is_file()}
    return sorted(file.relative_to(path).as_posix() for file in files if file.name != SUMS)


def problems_of(home: Path, unit: Unit) -> list[FileProblem]:
    """Files of a unit that are missing or damaged, by the row and by the unit's own sums."""
    problems = []
    for name, (size, sha) in unit.files.items():
        path = home / unit.path / name
        try:
            is_whole = path.stat().st_size == size and content_hash(path) == sha
        except OSError as error:
            problems.append(_unreadable(path, error))
            continue
        if not is_whole:
            problems.append(FileProblem(path, "damaged"))
    # Another study that shares the unit may have made it again, with newer packages or other threads.
    is_made_again = bool(problems) and not unit.lies_elsewhere and is_sealed(home / unit.path)
    return [] if is_made_again else problems


def is_there(home: Path, unit: Unit) -> bool:
    """Whether the files of a unit lie there with their sizes; reads none of them."""
    try:
        return all((home / unit.path / name).stat().st_size == size for name, (size, _) in unit.files.items())
    except OSError:
        return False


def _unreadable(path: Path, error: Exception) -> FileProblem:
    is_missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
    return FileProblem(path, "missing" if is_missing else "damaged")


def sums_file(path: Path) -> Path:
    """Where the sums of a unit lie."""
    return path / SUMS if path.is_dir() else path.with_name(path.name + ENDING)


def seal(path: Path) -> None:
    """Write the sums of a unit that is there, over any that it has."""
    lines = [f"{content_hash(path / name)}  {name or path.name}\n" for name in _names(path)]
    with atomic_file(sums_file(path)) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.writelines(lines)


def is_sealed(path: Path) -> bool:
    """Whether a unit has sums, and every file is there as they say."""
    return sums_file(path).is_file() and first_problem(path) is None


def is_intact(path: Path) -> bool:
    """Whether a unit is there, and as its sums say where it has any."""
    return path.exists() and first_problem(path) is None


def first_problem(path: Path) -> FileProblem | None:
    """The first file that is missing or damaged by the unit's own sums; None where all are whole."""
    if not path.exists():
        return FileProblem(path, "missing")
    sums = sums_file(path)
    if not sums.is_file():
        return None
    folder = sums.parent
    try:
        lines = sums.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    entries = [line.partition("  ") for line in lines]
    for sha, _, name in entries:
        try:
            if content_hash(folder / name) != sha:
                return FileProblem(folder / name, "damaged")
        except ValueError:  # a name with a null byte
            return FileProblem(sums, "damaged")
        except OSError as error:
            return _unreadable(folder / name, error)
    return None if entries else FileProblem(sums, "damaged")


def sealed_units(folder: Path) -> list[Path]:
    """Every unit below a folder that has sums of its own."""
    folders = [sums.parent for sums in folder.rglob(SUMS)]
    return sorted([*folders, *(sums.with_suffix("") for sums in folder.rglob(f"*{ENDING}"))])


def require_intact(path: Path, units: Iterable[Unit] = (), home: Path = Path()) -> Path:
    """The path of a unit that is as it was written: by the rows' `units`, else by its own sums.

    Raises DamagedFile with a line that names the file.
    """
    target = path.resolve()
    for unit in units:
        if not unit.is_left_out and (home / unit.path).resolve() == target:
            for problem in problems_of(home, unit):
                raise DamagedFile(explained(problem, unit.lies_elsewhere))
            return path
    own_problem = first_problem(path)
    # What is not there at all is told by whoever opens it.
    if own_problem is not None and path.exists():
        raise DamagedFile(explained(own_problem))
    return path


def explained(problem: FileProblem, lies_elsewhere: bool = False) -> str:
    """A line that says what is wrong with a file and what to do."""
    if lies_elsewhere:
        return (
            f"{problem.path} is {'missing' if problem.kind == 'missing' else 'not the file'} that was "
            "imported: put it back, or import the model again under another name"
        )
    return f"{problem}: run the study again, which makes it anew (hormesis verify checks all files)"


@contextmanager
def sealed_folder(target: Path) -> Iterator[Path]:
    """As `db.files.atomic_folder`, with sums of all files in it."""
    with atomic_folder(target) as temporary:
        yield temporary
        seal(temporary)


@contextmanager
def sealed_file(target: Path) -> Iterator[Path]:
    """As `db.files.atomic_file`, with the file's sum beside it."""
    with atomic_file(target) as temporary:
        yield temporary
        target.with_name(target.name + ENDING).unlink(missing_ok=True)  # of the file that was there
    seal(target)


def write_sealed_json(target: Path, value: Any) -> None:
    """As `db.files.write_json`, with the file's sum beside it."""
    target.with_name(target.name + ENDING).unlink(missing_ok=True)
    write_json(target, value)
    seal(target)


def remove_unit(path: Path) -> None:
    """Remove a unit and its sums, where they are there."""
    if path.is_dir():
        shutil.rmtree(path)
        return
    for file in (path, path.with_name(path.name + ENDING)):
        file.unlink(missing_ok=True)
