"""`hormesis report`: a study as one HTML file. The dashboard makes it, as a program of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from hormesis.db.location import database_url, with_database


class ReportFailed(ValueError):
    """The report could not be made; the message is one line."""


def write_report(study: str, out: Path | None, *, texts: bool = False) -> Path:
    """Have the report written; gives its path. A study file is taken for the study it describes.

    Raises ReportFailed with the one line the report's own program says, ConfigError for a broken study file.
    """
    name = study
    if study.endswith(".toml"):
        from hormesis.pipeline.sources.optional import without_refused
        from hormesis.pipeline.study.config import load_study

        name = without_refused(load_study(study), ask=False)[0].hash
    command = [sys.executable, "-m", "hormesis.dashboard.report", "--study", name]
    command += ["--out", str(out)] if out is not None else []
    command += ["--texts"] if texts else []
    program = subprocess.run(
        command, capture_output=True, text=True, check=False, env=with_database(database_url())
    )
    if program.returncode:
        lines = [line for line in program.stderr.splitlines() if line.strip()]
        raise ReportFailed((lines[-1] if lines else "the report ended early").removeprefix("hormesis: "))
    return Path(program.stdout.strip().splitlines()[-1])


def report(
    *,
    study: Annotated[str, typer.Argument(help="Name, hash or file of a study in the database.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write; default STUDY-report.html.")
    ] = None,
    texts: Annotated[
        bool, typer.Option("--texts", help="With some generated texts, each closed until clicked.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Write a study as one self-contained HTML file, finished or not."""
    path = write_report(study, out, texts=texts)
    if as_json:
        sys.stdout.write(json.dumps({"file": str(path), "bytes": path.stat().st_size}) + "\n")
    else:
        sys.stderr.write(f"{path}: {path.stat().st_size / 1e6:.1f} MB\n")
