"""The command `hormesis copy`: studies from one database into another, or pieces of one study together."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from hormesis.db.location import database_url, home
from hormesis.pipeline.commands.console.terminal import Terminal, Words
from hormesis.pipeline.commands.verdicts import study_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from hormesis.db.copy.changes import StandIn

console = Terminal()


class Which(StrEnum):
    """Whether something comes along."""

    ALL = "all"
    NONE = "none"


def copy(
    *,
    source: Annotated[str, typer.Argument(metavar="SRC", help="File, folder of runs, or SQLAlchemy URL.")],
    target: Annotated[
        str, typer.Argument(metavar="DST", help="The same; a file that is not there yet is made.")
    ],
    study: Annotated[
        str | None, typer.Option("--study", help="Only this one, by name or the start of its hash.")
    ] = None,
    texts: Annotated[
        Which, typer.Option("--texts", help="none: nothing that a model or a data set said goes into DST.")
    ] = Which.ALL,
    activations: Annotated[
        Which,
        typer.Option(
            "--activations", help="none: without activations, most of the bytes; maps stay as they are."
        ),
    ] = Which.ALL,
    weights: Annotated[
        bool, typer.Option("--weights", help="With the folders of checkpoints, beside DST.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Copy studies into another database, with all their numbers.

    Pieces of one study, arms run apart, are put together: rows that are there stay, others are added, and
    rows that contradict each other are refused. Then `hormesis run STUDY` does the stages that need all arms.
    Copying again changes nothing. A copy holds no path of this machine.
    """
    # Imported here, or every command would wait for the database's library.
    from hormesis.db.address import sqlite_path
    from hormesis.db.copy.changes import Changes
    from hormesis.db.copy.database import copy_database, require_copyable
    from hormesis.db.copy.weights import Homes, copy_weights, leaves_scorers
    from hormesis.db.engine import open_reader
    from hormesis.db.problems import name_of, parse_url
    from hormesis.db.read import studies as all_studies

    source_url, target_url = database_url(source), database_url(target)
    require_copyable(source_url, target_url)
    engine = open_reader(source_url)
    studies = all_studies(engine).sort_values("id")
    if study is not None:
        studies = studies[studies["id"] == study_of(source_url, study)[0]]
    ids, names = [int(number) for number in studies["id"]], [str(name) for name in studies["name"]]
    with_texts, with_activations = texts is Which.ALL, activations is Which.ALL
    if with_texts and _is_there_without_texts(target_url, list(studies["hash"])):
        console.say(f"{name_of(target_url)} has this study without texts, so they are left out")
        with_texts = False
    source_file, file = (sqlite_path(parse_url(url)) for url in (source_url, target_url))
    homes = Homes(
        (home() if source_file is None else source_file.parent, home()),
        home() if file is None else file.parent,
    )
    began = time.monotonic()
    try:
        with _progress(quiet=as_json) as bar:
            if weights:
                copy_weights(engine, ids, homes, bar("weights", "folders"))
            changes = Changes(homes, with_texts, {} if with_texts else _stand_ins(engine))
            copied = copy_database(
                source_url, target_url, ids, changes, bar("rows", "rows"), matrices=with_activations
            )
    except KeyboardInterrupt:
        console.say("stopped; the study under way is not in the copy, the same command goes on")
        raise typer.Exit(130) from None
    size, seconds = None if file is None else file.stat().st_size, time.monotonic() - began
    merged = [name for number, name in zip(ids, names, strict=True) if number in copied.merged]
    if as_json:
        rows = {"added": dict(copied.added), "present": dict(copied.present)}
        record = {"studies": names, "merged": merged, "bytes": size, "seconds": seconds, **rows}
        sys.stdout.write(json.dumps(record, indent=1) + "\n")
        return
    parts = {"texts": with_texts, "activations": with_activations, "weights": weights}
    left_out = [name for name, comes_along in parts.items() if not comes_along]
    console.say(
        f"{name_of(target_url)}: {', '.join(names) or 'no study'}, "
        f"{copied.added.total():,} rows added, {copied.present.total():,} were there"
        + ("" if size is None else f", {size / 1e6:.1f} MB")
        + f", {seconds:.1f} s"
        + (f"; without {', '.join(left_out)}" if left_out else "")
    )
    if weights and leaves_scorers(engine, ids, homes):
        console.say(
            "the study's own scorer keeps words of its text, as older versions made it, and stays behind"
        )
    for name in merged:
        console.say(
            f"{name} was there and got rows; what is told of all its arms is made anew by: hormesis run"
        )


def copy_references(url: str) -> None:
    """Copy the studies that came with the package into a database that lacks them, and say which."""
    from hormesis.db.copy.rows import CopyError
    from hormesis.db.reference import add_references

    try:
        with _progress(quiet=False) as bar:
            names = add_references(url, bar("reference studies", "rows"))
    except CopyError as error:  # what is here stays, and the demo goes on with it
        console.say(("note", "yellow"), f" results that came with hormesis are left out: {error}")
        return
    if names:
        console.say(f"results that came with hormesis: {', '.join(names)}")


def _is_there_without_texts(url: str, hashes: list[str]) -> bool:
    """Whether the target has one of these studies already, but not its texts."""
    from hormesis.db.database_status import state_of
    from hormesis.db.engine import open_reader
    from hormesis.db.read import left_out_texts
    from hormesis.db.read import studies as all_studies

    if state_of(url).kind != "ok":
        return False
    engine = open_reader(url)
    studies = all_studies(engine)
    ids = studies[studies["hash"].isin(hashes)]["id"]
    return any(len(left_out_texts(engine, int(number))) for number in ids)


def _stand_ins(engine: Engine) -> dict[str, StandIn]:
    from hormesis.pipeline.text.stand_ins import stand_ins

    return stand_ins(engine)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[str, str], Callable[[int, int], None]]]:
    """Makes bars by what is copied and its unit; each is moved by how much is done, and of how much."""
    from hormesis.pipeline.commands.console.display import Rate

    progress = Progress(
        Words(),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=quiet,
    )

    def bar(name: str, unit: str) -> Callable[[int, int], None]:
        task = progress.add_task(name, total=None, unit=unit)
        return lambda done, total: progress.update(task, completed=done, total=total)

    with progress:
        yield bar
