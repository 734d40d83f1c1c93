"""A stage of a study: its declaration, and running it once.

The state of a stage is its `stage_run` row. A stage whose inputs hash to what its finished row holds is
skipped; one that was cut runs again and finds its own files and rows, all written under natural keys.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from sqlalchemy import Row, select

from hormesis.db.contract.left_out import is_left_out
from hormesis.db.contract.stages import Level, stage_level
from hormesis.db.engine import DatabaseProblem
from hormesis.db.manifest import (
    DamagedFile,
    FileProblem,
    Unit,
    explained,
    measured_unit,
    problems_of,
    remove_unit,
    stored_units,
)
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
from hormesis.db.write import read_session
from hormesis.pipeline.execution import provenance
from hormesis.pipeline.execution.arms import ArmPlan
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.foreign import FILES
from hormesis.pipeline.execution.lease import Lease, StageHeld
from hormesis.pipeline.execution.lock import taking_turns
from hormesis.pipeline.execution.progress import Reporter, Stopped
from hormesis.pipeline.execution.shortage import shortage
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


def no_files(context: StudyContext, subject: Subject) -> Iterable[Path]:
    """The stage writes rows alone, or files that only it reads itself."""
    return ()


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
    files: Callable[[StudyContext, Subject], Iterable[Path]] = no_files
    """What it writes for others to read: files, and folders that are written whole."""
    makes_weights: bool = False
    """Whether a checkpoint's weights are among its files, which every stage of the checkpoint reads."""

    @property
    def writes_files(self) -> bool:
        """Whether others read files of it."""
        return self.files is not no_files

    @property
    def level(self) -> Level:
        """What the stage is done for: the study, every arm, or every checkpoint."""
        return stage_level(self.name)


class StageFailed(Exception):
    """A stage ended in an error; the message is one line in plain words."""


def plain_words(error: BaseException, *, folder: Path | None = None, stage_name: str = "") -> str:
    """One line that says what went wrong, for a person who does not read tracebacks (see `shortage`)."""
    line = shortage(error, folder=folder, stage_name=stage_name)
    if line is not None:
        return line
    text = str(error).strip().split("\n")[0] or type(error).__name__
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text[:400]}"


class Mark(Protocol):
    """Changes columns of the row that holds the state of some work."""

    def __call__(self, **columns: Any) -> None:
        """Write these columns."""


@contextmanager
def marked_row(mark: Mark, words: Callable[[BaseException], str] = plain_words) -> Iterator[None]:
    """Mark a row as running, and as done, stopped or failed (for which it has `words`) when the block ends.

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
            mark(status="failed", error=words(error))
        raise
    mark(status="done")


_StoredRow: TypeAlias = Row[str, str, datetime, list[dict[str, Any]] | None]
"""Status, input hash, moment of the end, and files."""


class StageRow:
    """The `stage_run` row of a stage on a subject, and whether its inputs are those of now."""

    def __init__(self, context: StudyContext, stage: Stage, subject: Subject) -> None:
        self._engine, self._home = context.engine, context.home
        self._columns = {"study_id": context.study_id, "stage": stage.name, "subject": subject.name}
        self.key = stage.key(context, subject)
        self.lease = Lease(context.engine, (context.study_id, stage.name, subject.name))
        self._written = partial(stage.files, context, subject)
        self._model = subject.model

    def _read(self) -> _StoredRow | None:
        columns = (StageRun.status, StageRun.input_hash, StageRun.finished, StageRun.files)
        with read_session(self._engine) as session:
            return session.execute(select(*columns).filter_by(**self._columns)).first()

    def _finished_row(self) -> _StoredRow | None:
        row = self._read()
        return row if row is not None and (row.status, row.input_hash) == ("done", self.key) else None

    @property
    def finished(self) -> datetime | None:
        """When this stage finished with the same inputs; None where it did not."""
        row = self._finished_row()
        return None if row is None else row.finished

    @property
    def has_finished(self) -> bool:
        """Whether this stage finished before with the same inputs, whatever became of its files."""
        return self._finished_row() is not None

    @property
    def is_done(self) -> bool:
        """Whether this stage finished before with the same inputs, and its files are as it wrote them."""
        return self.has_finished and not self.problems()

    def problems(self, *, as_input: bool = False) -> list[tuple[Unit, FileProblem]]:
        """Files of the finished stage that are missing or damaged.

        `as_input`: another stage is about to read them, so what a copy left out or an older version did not
        list must be there too. Weights that were left out are not made again: who reads them is told so.
        """
        row = self._finished_row()
        if row is None:
            return []
        units = stored_units(row.files)
        problems = [
            (unit, problem)
            for unit in units
            if not unit.is_left_out
            for problem in problems_of(self._home, unit)
        ]
        are_listed = row.files is not None and not any(unit.is_left_out for unit in units)
        if as_input and not are_listed and not self._weights_are_left_out():
            absent = (path for path in self._written() if not path.exists())
            problems += [(Unit(str(path), {}), FileProblem(path, "missing")) for path in absent]
        return problems

    def _weights_are_left_out(self) -> bool:
        query = select(Checkpoint.path).where(
            Checkpoint.study_id == self._columns["study_id"], Checkpoint.name == self._columns["subject"]
        )
        with read_session(self._engine) as session:
            return is_left_out(session.scalar(query))

    def require_remakeable(self, problems: Iterable[tuple[Unit, FileProblem]]) -> None:
        """Raise DamagedFile for a model that was not made here."""
        for unit, problem in problems:
            if unit.lies_elsewhere and Path(unit.path).resolve() == Path(self._model).resolve():
                raise DamagedFile(explained(problem, lies_elsewhere=True))

    def remove(self, problems: Iterable[tuple[Unit, FileProblem]]) -> list[str]:
        """Remove what is damaged, so that nobody takes it for whole; a line for each unit that was lost."""
        lost: dict[str, list[FileProblem]] = {}
        for unit, problem in problems:
            lost.setdefault(unit.path, []).append(problem)
            if not unit.lies_elsewhere:
                remove_unit(self._home / unit.path)
        return [
            f"{first}{f' (and {len(others)} more files beside it)' if others else ''}"
            for first, *others in lost.values()
        ]


def is_done(context: StudyContext, stage: Stage, subject: Subject) -> bool:
    """Whether this stage finished before with the same inputs."""
    return StageRow(context, stage, subject).is_done


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


Inputs = Callable[[Stage], Iterable[tuple[Stage, Subject]]]
"""From a stage to the finished ones whose files it may read."""


def no_inputs(stage: Stage) -> Iterable[tuple[Stage, Subject]]:
    """The stage reads no files of others."""
    return ()


def run_stage(
    context: StudyContext,
    stage: Stage,
    subject: Subject,
    *,
    gather: Callable[[Stage, Subject], None] | None = None,
    inputs: Inputs = no_inputs,
    is_input: bool = False,
    is_patient: bool = True,
    note: Callable[[str], None] = lambda line: None,
) -> bool:
    """Run a stage unless it is done; True where it ran.

    `gather` is called first for a stage in which all processes of a distributed run take part. Files of
    `inputs` that are missing or damaged are made again before; `is_input`: this stage is one, so that its own
    are read too. `note` gets a line for each unit that was lost, and what the stage has to say. Raises
    Stopped where the person asked for a stop, StageFailed (one line) where the work failed, and StageHeld
    where another process runs the stage, unless `is_patient`: then it is waited for.
    """
    row = StageRow(context, stage, subject)
    finished = row.finished
    if finished is not None and not row.problems(as_input=is_input):
        return False
    if stage.level is not Level.STUDY and _lacks_texts(context, subject):
        raise StageFailed(
            f"{stage.name} of {subject.name} is not done, and texts were left out of this database; "
            "run the study where its texts are"
        )
    problems = row.problems(as_input=True)
    try:
        row.require_remakeable(problems)
    except DamagedFile as error:
        raise StageFailed(f"{stage.name} of {subject.name}: {error}") from error
    reporter = Reporter(lambda *_, **__: None, context.should_stop)
    for earlier, of_subject in inputs(stage):
        input_row = StageRow(context, earlier, of_subject)
        if not input_row.has_finished or input_row.problems(as_input=True):
            # Workers side by side find the same file damaged: one makes it again, the others wait for that.
            with taking_turns(context.home, f"{earlier.name}-{input_row.key}-again", reporter.check):
                run_stage(
                    context, earlier, of_subject, gather=gather, inputs=inputs, is_input=True, note=note
                )
    columns = {
        "error": None,
        "finished": None,
        "message": "",
        "done": 0.0,
        "total": 0.0,
        "packages": provenance.packages(),
        "git_revision": provenance.git_revision(),
    }
    seconds = row.lease.acquire(
        columns, key=row.key, finished=finished, check=reporter.check, is_patient=is_patient
    )
    if seconds is None:
        return False
    with row.lease.beating():
        _run(
            context,
            stage,
            subject,
            row=row,
            seconds_before=seconds,
            problems=problems,
            gather=gather,
            note=note,
        )
    return True


def _run(
    context: StudyContext,
    stage: Stage,
    subject: Subject,
    *,
    row: StageRow,
    seconds_before: float,
    problems: Iterable[tuple[Unit, FileProblem]],
    gather: Callable[[Stage, Subject], None] | None,
    note: Callable[[str], None],
) -> None:
    """Run a stage and keep its state in its row.

    `seconds_before`: of work on the same inputs earlier; `problems`: its files that are lost.
    """
    started = time.monotonic()

    def mark(**columns: Any) -> None:
        columns |= AT_END.get(columns.get("status", ""), {})
        if columns.get("status") == "done":
            columns["finished"] = utc_now()
        row.lease.write(heartbeat=utc_now(), seconds=seconds_before + time.monotonic() - started, **columns)

    def sink(done: float, total: float, *, unit: str, message: str) -> None:
        mark(done=done, total=total, unit=unit, message=message)

    words = partial(plain_words, folder=context.home, stage_name=stage.name)
    try:
        with marked_row(mark, words):
            reporter = Reporter(sink, context.should_stop, note)
            reporter.check()
            for line in row.remove(problems):
                note(f"{line}: {stage.name} of {subject.name} ran again")
            if gather is not None and stage.all_ranks is not None:
                gather(stage, subject)
            stage.run(context, subject, reporter)
            files = [
                measured_unit(context.home, path, FILES if path == Path(subject.model) else ("*",)).as_json()
                for path in stage.files(context, subject)
            ]
            row.lease.write(files=files)
    except (Stopped, StageHeld):
        raise
    except Exception as error:
        raise StageFailed(f"{stage.name} of {subject.name}: {words(error)}") from error
