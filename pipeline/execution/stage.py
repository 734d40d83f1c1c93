"""A stage of a study: its declaration, and running it once.

The state of a stage is its `stage_run` row. A stage whose inputs hash to what its finished row holds is
skipped; one that was cut runs again and finds its own files and rows, all written under natural keys.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Row, select

from hormesis.db.contract.left_out import is_left_out
from hormesis.db.contract.stages import Level, stage_level
from hormesis.db.engine import DatabaseProblem
from hormesis.db.schema import (
    Checkpoint,
    Condition,
    Example,
    Generation,
    ProbeSet,
    Prompt,
    PromptSet,
    StageRun,
    utc_now,
)
from hormesis.db.write import read_session, write_session
from hormesis.pipeline.execution import provenance
from hormesis.pipeline.execution.arms import ArmPlan
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import Reporter, Stopped
from hormesis.pipeline.study.config import StudyConfig


@dataclass(frozen=True)
class Subject:
    """What a stage works on: the study, an arm with its checkpoint, or an imported checkpoint."""

    name: str
    arm: ArmPlan | None = None
    """None for the study and for imported checkpoints."""
    weights_hash: str = ""
    """Hash of the checkpoint's weights; "" for the study."""
    model: str = ""
    """Folder, file or hub name with its commit of a checkpoint that was not trained here; "" for others."""


STUDY = Subject("study")


def arm_of(subject: Subject) -> ArmPlan:
    """The arm of a subject of an arm's stage."""
    assert subject.arm is not None, f"{subject.name} is no arm"
    return subject.arm


def always(config: StudyConfig, subject: Subject) -> bool:
    """Every study asks for this stage, on each of its subjects."""
    return True


def is_trained_here(config: StudyConfig, subject: Subject) -> bool:
    """Whether the study makes the subject's checkpoint itself."""
    return not subject.model


@dataclass(frozen=True)
class Stage:
    """The declaration of one stage. Its functions are plain module-level ones, so that it can be pickled."""

    name: str
    """As in `db.contract.stages`, which also holds its title, place in the order and level."""
    key: Callable[[StudyContext, Subject], str]
    """Hash of everything the stage depends on; equal hash, equal result."""
    run: Callable[[StudyContext, Subject, Reporter], None]
    """The work: writes rows and files, reports how far it is, and can be cut and run again at any moment."""
    needs: tuple[str, ...] = ()
    """Stages that come before it in the order; where one of the same subject fails, it is not run."""
    when: Callable[[StudyConfig, Subject], bool] = always
    """Whether this study asks for the stage on this subject."""
    reads_rows: bool = False
    """Whether the key digests finished rows, so that it is not known before the stages it needs are done."""
    all_ranks: Callable[[StudyContext, Subject], None] | None = None
    """What the other processes of a distributed run do while the first one runs this stage."""

    @property
    def level(self) -> Level:
        """What the stage is done for: the study, every arm, or every checkpoint."""
        return stage_level(self.name)


class StageFailed(Exception):
    """A stage ended in an error; the message is one line in plain words."""


def plain_words(error: BaseException) -> str:
    """One line that says what went wrong, for a person who does not read tracebacks."""
    if isinstance(error, MemoryError):
        return "out of memory; choose a smaller scale or batch"
    if isinstance(error, OSError) and error.errno == 28:
        return f"the disk is full (while writing {error.filename or 'files'}); free some space and run again"
    text = str(error).strip().split("\n")[0] or type(error).__name__
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"


class Mark(Protocol):
    """Changes columns of the row that holds the state of some work."""

    def __call__(self, **columns: Any) -> None:
        """Write these columns."""


@contextmanager
def marked_row(mark: Mark) -> Iterator[None]:
    """Mark a row as running, and as done, stopped or failed when the block ends.

    Raises Stopped where the block was stopped, by request or Ctrl-C; its other errors as they are.
    """
    mark(status="running", error=None)
    try:
        yield
    # A database that is full or locked may refuse these marks as well; what happened is told all the same.
    except (Stopped, KeyboardInterrupt):
        with suppress(DatabaseProblem):
            mark(status="stopped")
        raise Stopped("stopped by request") from None
    except Exception as error:
        with suppress(DatabaseProblem):
            mark(status="failed", error=plain_words(error))
        raise
    mark(status="done")


class StageRow:
    """The `stage_run` row of a stage on a subject, and whether its inputs are those of now."""

    def __init__(self, context: StudyContext, stage: Stage, subject: Subject) -> None:
        self._engine = context.engine
        self._columns = {"study_id": context.study_id, "stage": stage.name, "subject": subject.name}
        self.key = stage.key(context, subject)

    def _read(self) -> Row[str, str, float] | None:
        query = select(StageRun.status, StageRun.input_hash, StageRun.seconds).filter_by(**self._columns)
        with read_session(self._engine) as session:
            return session.execute(query).first()

    @property
    def is_done(self) -> bool:
        """Whether this stage finished before with the same inputs."""
        row = self._read()
        return row is not None and (row.status, row.input_hash) == ("done", self.key)

    @property
    def seconds(self) -> float:
        """Working seconds that earlier runs spent on the same inputs."""
        row = self._read()
        return float(row.seconds or 0.0) if row is not None and row.input_hash == self.key else 0.0

    def write(self, **columns: Any) -> None:
        """Change columns of the row; it is made on first sight."""
        with write_session(self._engine) as session:
            row = session.scalar(select(StageRun).filter_by(**self._columns))
            if row is None:
                row = StageRun(**self._columns, packages={}, seconds=0.0)
                session.add(row)
            for name, value in columns.items():
                setattr(row, name, value)


def is_done(context: StudyContext, stage: Stage, subject: Subject) -> bool:
    """Whether this stage finished before with the same inputs."""
    return StageRow(context, stage, subject).is_done


def announce(context: StudyContext, stage: Stage, subject: Subject) -> None:
    """Show a stage as waiting, unless it is done already."""
    row = StageRow(context, stage, subject)
    if not row.is_done:
        row.write(input_hash=row.key, status="waiting", error=None, seconds=row.seconds)


def _lacks_texts(context: StudyContext, subject: Subject) -> bool:
    """Whether the prompts, the statements or what the subject said were left out of the database."""
    prompts = select(Prompt.text).join(PromptSet).where(PromptSet.study_id == context.study_id)
    statements = select(Example.text).join(ProbeSet).where(ProbeSet.study_id == context.study_id)
    generations = (
        select(Generation.text)
        .join(Condition, Generation.condition_id == Condition.id)
        .join(Checkpoint, Condition.checkpoint_id == Checkpoint.id)
        .where(Checkpoint.study_id == context.study_id, Checkpoint.name == subject.name)
    )
    with read_session(context.engine) as session:
        return any(
            is_left_out(session.scalar(query.limit(1))) for query in (prompts, statements, generations)
        )


AT_END = {
    "stopped": {"message": "stopped by request; run again to go on"},
    "done": {"message": ""},
}


def run_stage(
    context: StudyContext,
    stage: Stage,
    subject: Subject,
    *,
    gather: Callable[[Stage, Subject], None] | None = None,
) -> bool:
    """Run a stage unless it is done; True where it ran.

    `gather` is called first for a stage in which all processes of a distributed run take part.
    `seconds_before`: of work on the same inputs in earlier runs. Raises Stopped where the person asked for a
    stop, StageFailed (one line) where the work failed.
    """
    row = StageRow(context, stage, subject)
    if row.is_done:
        return False
    if stage.level is not Level.STUDY and _lacks_texts(context, subject):
        raise StageFailed(
            f"{stage.name} of {subject.name} is not done, and texts were left out of this database; "
            "run the study where its texts are"
        )
    seconds_before, started = row.seconds, time.monotonic()

    def mark(**columns: Any) -> None:
        columns |= AT_END.get(columns.get("status", ""), {})
        if columns.get("status") == "done":
            columns["finished"] = utc_now()
        row.write(heartbeat=utc_now(), seconds=seconds_before + time.monotonic() - started, **columns)

    def sink(done: float, total: float, *, unit: str, message: str) -> None:
        mark(done=done, total=total, unit=unit, message=message)

    row.write(
        input_hash=row.key,
        status="running",
        started=utc_now(),
        finished=None,
        message="",
        done=0.0,
        total=0.0,
        host=provenance.host(),
        pid=os.getpid(),
        packages=provenance.packages(),
        git_revision=provenance.git_revision(),
    )
    try:
        with marked_row(mark):
            reporter = Reporter(sink, context.should_stop)
            reporter.check()
            if gather is not None and stage.all_ranks is not None:
                gather(stage, subject)
            stage.run(context, subject, reporter)
    except Stopped:
        raise
    except Exception as error:
        raise StageFailed(f"{stage.name} of {subject.name}: {plain_words(error)}") from error
    return True
