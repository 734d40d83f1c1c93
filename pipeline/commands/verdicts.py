"""The command `hormesis verdicts`: every claim on a study of the database, as a table or JSON."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from hormesis.db.location import database_url
from hormesis.pipeline.commands.console.terminal import Terminal

COLOURS = {
    "supported": "green",
    "not supported": "red",
    "undecided": "yellow",
    "cannot be told": "magenta",
    "no data yet": "dim",
}


class UnknownStudy(ValueError):
    """A study is named that the database does not hold; one line."""


def study_of(url: str, study: str | None) -> tuple[int, str]:
    """Id and name of the study with this name or start of its hash; of several, or unnamed, the newest.

    Raises UnknownStudy, and DatabaseProblem where there is no readable database.
    """
    # Imported here, or every command would wait for the database's library.
    from sqlalchemy import select

    from hormesis.db.engine import DatabaseProblem, open_reader, reading
    from hormesis.db.schema import Study

    query = select(Study.id, Study.name, Study.hash).order_by(Study.created.desc(), Study.id.desc())
    try:
        studies = reading(open_reader(url), lambda connection: connection.execute(query).all())
    except DatabaseProblem as problem:
        if problem.kind != "empty":
            raise
        studies = []
    fitting = [row for row in studies if study is None or row.name == study or row.hash.startswith(study)]
    if not fitting:
        names = ", ".join(sorted({str(row.name) for row in studies})) or "none; start one: hormesis run forum"
        raise UnknownStudy(f"no study '{study or ''}' in the database (there: {names})")
    return int(fitting[0].id), str(fitting[0].name)


def verdicts(
    study: Annotated[
        str | None, typer.Argument(help="Name of a study, or the start of its hash; default: the newest.")
    ] = None,
    scorer: Annotated[str | None, typer.Option("--scorer", help="Show only this scorer.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Put every declared claim to a study's rows, store the verdicts and print them."""
    from hormesis.db.engine import open_writer
    from hormesis.pipeline.claims.evaluate import evaluate

    url = database_url()
    study_id, name = study_of(url, study)
    rows = [row for row in evaluate(open_writer(url), study_id) if scorer is None or row["scorer"] == scorer]
    if not rows:
        raise UnknownStudy(f"no verdict by a scorer '{scorer}' in study {name}")
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=1, default=str) + "\n")
        return
    _print(name, rows)


def _print(study: str, rows: list[dict[str, Any]]) -> None:
    """Two lines a verdict, prompt set by prompt set, for a narrow terminal; `study` is its name."""
    out = Terminal(stderr=False)
    for prompt_set, scorer in sorted({(row["prompt_set"] or "", row["scorer"] or "") for row in rows}):
        basis = f"{prompt_set}, scorer {scorer or 'any'}" if prompt_set else "any prompts"
        out.say((study, "bold"), f": {basis}")
        for row in rows:
            if (row["prompt_set"] or "", row["scorer"] or "") == (prompt_set, scorer):
                _print_claim(out, row)
    out.say(
        "Holm's p corrects within the paper's claims and within the readers', for each scorer. Sees: smallest"
    )
    out.say("true effect found with a power of 80 % at that level; room: the largest that the scale allows.")
    out.say("†: secondary notes on the paper, never our result.")


def _print_claim(out: Terminal, row: dict[str, Any]) -> None:
    """Two lines on one verdict: its claim, then its effect with interval and p, or why there is none."""
    colour = COLOURS[row["status"]]
    out.say("  ", (f"{row['status']:<14}", colour), f" {row['claim']:<18} {row['statement']}")
    detail = row["detail"]
    if row["value"] is not None:
        detail = (
            f"{_number(row['value'])} [{_number(row['low'])}, {_number(row['high'])}] {row['unit']}, "
            f"n {row['n']:,}, {row['n_seeds']} seeds, p {_number(row['p'])} (Holm {_number(row['p_holm'])}), "
            f"sees {_number(row['detectable'])}, room {_number(row['room'])}; {detail}"
        )
    paper = f"; paper: {row['paper']}" if row["paper"] else ""
    out.say((f"    {detail}{paper}", "dim"))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
