"""Running one stage: skip what is done, mark what runs, keep what failed and why.

The state of a stage is its `stage_run` row. A stage whose inputs hash to what its finished row holds is
skipped; one that was cut runs again and finds its own files and rows, all written under natural keys.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from db.engine import DatabaseProblem
from db.schema import StageRun, utc_now
from db.write import read_session, write_session
from pipeline import provenance
from pipeline.context import StudyContext
from pipeline.progress import Reporter, Stopped


class StageFailed(Exception):
    """A stage ended in an error; the message is one line in plain words."""


@dataclass(frozen=True)
class Stage:
    """One stage on one subject (an arm, a checkpoint, or `study`)."""

    name: str
    subject: str
    input_hash: str


def plain_words(error: BaseException) -> str:
    """One line that says what went wrong, for a person who does not read tracebacks."""
    if isinstance(error, MemoryError):
        return "out of memory; choose a smaller scale or batch"
    if isinstance(error, OSError) and error.errno == 28:
        return f"the disk is full (while writing {error.filename or 'files'}); free some space and run again"
    text = str(error).strip().split("\n")[0] or type(error).__name__
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"


def _row(context: StudyContext, stage: Stage, values: dict[str, Any]) -> None:
    with write_session(context.engine) as session:
        row = session.scalar(
            select(StageRun).where(
                StageRun.study_id == context.study_id,
                StageRun.stage == stage.name,
                StageRun.subject == stage.subject,
            )
        )
        if row is None:
            row = StageRun(
                study_id=context.study_id, stage=stage.name, subject=stage.subject, packages={}, seconds=0.0
            )
            session.add(row)
        for name, value in values.items():
            setattr(row, name, value)


def is_done(context: StudyContext, stage: Stage) -> bool:
    """Whether this stage finished before with the same inputs."""
    query = select(StageRun.input_hash, StageRun.status).where(
        StageRun.study_id == context.study_id,
        StageRun.stage == stage.name,
        StageRun.subject == stage.subject,
    )
    with read_session(context.engine) as session:
        found = session.execute(query).first()
    return found is not None and found.status == "done" and found.input_hash == stage.input_hash


def _seconds_so_far(context: StudyContext, stage: Stage) -> float:
    query = select(StageRun.seconds).where(
        StageRun.study_id == context.study_id,
        StageRun.stage == stage.name,
        StageRun.subject == stage.subject,
        StageRun.input_hash == stage.input_hash,
    )
    with read_session(context.engine) as session:
        return float(session.scalar(query) or 0.0)


def announce(context: StudyContext, stage: Stage) -> None:
    """Show a stage as waiting, unless it is done already."""
    if not is_done(context, stage):
        seconds = _seconds_so_far(context, stage)
        values = {"input_hash": stage.input_hash, "status": "waiting", "error": None, "seconds": seconds}
        _row(context, stage, values)


def run_stage(context: StudyContext, stage: Stage, work: Callable[[Reporter], None]) -> bool:
    """Run `work` unless it is done; True where it ran.

    Raises Stopped where the person asked for a stop, StageFailed (one line) where the work failed.
    """
    if is_done(context, stage):
        return False
    before, started = _seconds_so_far(context, stage), time.monotonic()

    def mark(**values: Any) -> None:
        seconds = before + time.monotonic() - started
        _row(context, stage, {"heartbeat": utc_now(), "seconds": seconds, **values})

    def sink(done: float, total: float, unit: str, message: str) -> None:
        mark(done=done, total=total, unit=unit, message=message)

    mark(
        input_hash=stage.input_hash,
        status="running",
        error=None,
        started=utc_now(),
        finished=None,
        message="",
        host=provenance.host(),
        pid=os.getpid(),
        packages=provenance.packages(),
        git_revision=provenance.git_revision(),
    )
    try:
        reporter = Reporter(sink, context.should_stop)
        reporter.check()
        work(reporter)
    except Stopped:
        mark(status="stopped", message="stopped by request; run again to go on")
        raise
    except KeyboardInterrupt:
        mark(status="stopped", message="stopped by request; run again to go on")
        raise Stopped("stopped by request") from None
    except Exception as error:
        # A database that is full or locked may refuse this mark as well; the failure is told all the same.
        with suppress(DatabaseProblem):
            mark(status="failed", error=plain_words(error))
        raise StageFailed(f"{stage.name} of {stage.subject}: {plain_words(error)}") from error
    mark(status="done", finished=utc_now(), message="")
    return True
