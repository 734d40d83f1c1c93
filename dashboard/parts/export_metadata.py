"""What every exported file says of itself: study, hashes, revisions, when it was made, how many rows.

Reads rows once, when a file is asked for; knows nothing of file formats.
"""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import pandas as pd

from hormesis.dashboard.base.records import records
from hormesis.dashboard.rows.context import Context
from hormesis.db import read
from hormesis.db.engine import open_reader

PROGRAM = "hormesis"


def program() -> str:
    """Name and version of this program."""
    try:
        return f"{PROGRAM} {metadata.version(PROGRAM)}"
    except metadata.PackageNotFoundError:
        return PROGRAM


def last_run(stages: pd.DataFrame) -> dict[str, Any]:
    """Git revision and packages of the stage that reported last; empty where none has."""
    reported = stages[stages["heartbeat"].notna()]
    if reported.empty:
        return {}
    row = reported.sort_values("heartbeat").iloc[-1]
    run: dict[str, Any] = {}
    if isinstance(row["git_revision"], str):
        run["git revision"] = row["git_revision"]
    if isinstance(row["packages"], dict):
        run["packages"] = row["packages"]
    return run


def study_facts(context: Context, scorers: pd.DataFrame, stages: pd.DataFrame) -> dict[str, str]:
    """Study, hash, data revisions, scorers (rows) with revision, git revision, packages: name to text."""
    entries = {"study": str(context.study["name"]), "study hash": str(context.study["hash"])}
    entries |= {f"data {name}": str(value) for name, value in sorted((context.revisions or {}).items())}
    entries |= {f"scorer {row[0]}": str(row[1]) for row in records(scorers[["name", "revision"]])}
    ran = last_run(stages)
    entries |= {"git revision": str(ran["git revision"])} if "git revision" in ran else {}
    packages = ran.get("packages") or {}
    entries |= {"packages": ", ".join(f"{name} {value}" for name, value in sorted(packages.items()))}
    return {name: value for name, value in entries.items() if value}


def stamp(context: Context | None, view: str, count: int | None) -> dict[str, str]:
    """The facts of one exported file (`count`: its rows), in the order they are written.

    Without a study where none is on show. Asks the database afresh: files are made outside a page's run.
    """
    entries = {"program": program(), "view": view}
    if context is not None:
        engine = open_reader(context.url)
        try:
            scorers, stages = (
                read.scorers(engine, context.study_id),
                read.stage_runs(engine, context.study_id),
            )
        finally:
            engine.dispose()
        entries |= study_facts(context, scorers, stages)
    entries["made"] = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    if count is not None:
        entries["rows"] = str(count)
    return entries
