"""The command `hormesis verify`: every file that studies wrote, compared with what their rows list."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hormesis.db.location import database_url, home
from hormesis.pipeline.commands.console.terminal import Terminal
from hormesis.pipeline.commands.verdicts import study_of

if TYPE_CHECKING:
    from sqlalchemy import Row


KINDS = ("whole", "missing", "damaged")


@dataclass
class Verified:
    """What became of the files of one study, or of those in the home that no row lists."""

    name: str
    files: Counter[str] = field(default_factory=Counter)
    """How many are `whole`, `missing` or `damaged`."""
    left_out: int = 0
    """Units that a copy was made without."""
    unverified: list[str] = field(default_factory=list)
    """Finished stages of an older version, which list no files."""
    problems: list[str] = field(default_factory=list)
    """A line for each file that is missing or damaged."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**vars(self), "files": {kind: self.files[kind] for kind in KINDS}}


def verify(
    study: Annotated[
        str | None, typer.Argument(help="Name of a study, or the start of its hash; default: all.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Read every file that studies wrote and compare it with what was written; changes nothing.

    Exit code 2 where a file is missing or damaged: `hormesis run` makes it again.
    """
    url = database_url()
    parts = verified_studies(url, home(), None if study is None else study_of(url, study)[0])
    if as_json:
        sys.stdout.write(json.dumps([part.as_json() for part in parts], indent=1) + "\n")
    else:
        for part in parts:
            _print(part)
    raise typer.Exit(2 if any(part.problems for part in parts) else 0)


def verified_studies(url: str, folder: Path, study_id: int | None = None) -> list[Verified]:
    """Studies of a database with their files under the home `folder`; without an id all, and the home's rest.

    Raises DatabaseProblem where the database cannot be read.
    """
    # Imported here, or every command would wait for the database's library.
    from sqlalchemy import select

    from hormesis.db.engine import open_reader, reading
    from hormesis.db.schema import StageRun, Study

    columns = (Study.id, Study.name, StageRun.stage, StageRun.subject, StageRun.files)
    query = select(*columns).join(StageRun, StageRun.study_id == Study.id).where(StageRun.status == "done")
    query = query.order_by(Study.id, StageRun.id)
    rows = reading(
        open_reader(url),
        lambda connection: connection.execute(
            query if study_id is None else query.where(Study.id == study_id)
        ).all(),
    )
    studies: dict[int, Verified] = {}
    listed: set[Path] = set()
    for row in rows:
        listed |= _verify_stage(studies.setdefault(row.id, Verified(row.name)), row, folder)
    rest = [] if study_id is not None else [_verify_rest(folder, listed)]
    return [*studies.values(), *(part for part in rest if part.files or part.problems)]


def _verify_stage(part: Verified, row: Row[Any], folder: Path) -> set[Path]:
    """Read the files that a row lists; gives the units."""
    from hormesis.db.manifest import explained, problems_of, stored_units
    from hormesis.pipeline.stages import GRAPH

    stages_with_files = {stage.name for stage in GRAPH.stages if stage.writes_files}
    if row.files is None and row.stage in stages_with_files:
        part.unverified.append(f"{row.stage} of {row.subject}")
    units = stored_units(row.files)
    for unit in units:
        if unit.is_left_out:
            part.left_out += 1
            continue
        problems = problems_of(folder, unit)
        part.files["whole"] += len(unit.files) - len(problems)
        for problem in problems:
            part.files[problem.kind] += 1
            part.problems.append(f"{row.stage} of {row.subject}: {explained(problem, unit.lies_elsewhere)}")
    return {folder / unit.path for unit in units}


def _verify_rest(folder: Path, listed: set[Path]) -> Verified:
    """Files with sums of their own that no row of the database lists: parts of unfinished stages, caches,
    rows of the hub.
    """
    from hormesis.db.manifest import explained, first_problem, sealed_units

    part = Verified("other files of the home")
    fetched = sealed_units(folder / "sources")
    for unit in [*sealed_units(folder / "files"), *fetched]:
        if unit not in listed:
            problem = first_problem(unit)
            part.files["whole" if problem is None else problem.kind] += 1
            if problem is not None:
                advice = f"{problem}: delete its folder, and run the study again" if unit in fetched else ""
                part.problems.append(advice or explained(problem))
    return part


def _print(part: Verified) -> None:
    out = Terminal(stderr=False)
    counts = [f"{part.files['whole']:,} files as they were written"]
    counts += [f"{part.files[kind]:,} {kind}" for kind in ("missing", "damaged") if part.files[kind]]
    counts += [f"{part.left_out:,} left out of this copy"] if part.left_out else []
    counts += [f"{len(part.unverified):,} stages of an older version list none"] if part.unverified else []
    out.say(f"{part.name}: {', '.join(counts)}")
    for line in part.problems:
        out.say(f"  {line}")
