"""Walking a study's graph: what all arms begin with, the arms, then what needs all of them.

The one place that knows order, failure and stop; where the work is done is an executor's part.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from sqlalchemy import select

from hormesis.db.contract.stages import Level
from hormesis.db.schema import Arm, StageRun
from hormesis.db.write import insert_missing, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.graph import Graph, Planned
from hormesis.pipeline.execution.lease import StageHeld, is_free
from hormesis.pipeline.execution.progress import Pace, Stopped
from hormesis.pipeline.execution.stage import (
    STUDY,
    Stage,
    StageFailed,
    Subject,
    plain_words,
    run_stage,
)
from hormesis.pipeline.execution.study import StudyHandle, new_arm_row

Watch = Callable[[int], None]
"""Called about twice a second with the study's id, so that a display can read the rows."""


@dataclass(frozen=True)
class Task:
    """Stages of one subject, one after another; plain values, so that it can be pickled."""

    study: StudyHandle
    subject: Subject
    stages: tuple[Stage, ...]
    before: tuple[Stage, ...] = ()
    """Stages of the whole study that have run, whose files these stages may read."""
    is_patient: bool = True
    """Whether a stage that another process runs is waited for."""

    def inputs(self, stage: Stage) -> list[Planned]:
        """Stages whose files one of the task's may read, in the order in which they run."""
        names = set(stage.needs)
        for earlier in reversed((*self.before, *self.stages)):
            is_weights = stage.level is Level.CHECKPOINT and earlier.makes_weights
            if is_weights and earlier is not stage:
                names.add(earlier.name)
            # What the weights were made from is read only by whoever makes them.
            if earlier.name in names and earlier.level is stage.level and not is_weights:
                names |= set(earlier.needs)
        return [
            (earlier, STUDY if earlier.level is Level.STUDY else self.subject)
            for earlier in (*self.before, *self.stages)
            if earlier.name in names
        ]


@dataclass(frozen=True)
class TaskOutcome:
    """How the stages of a subject ended (`done`, `stopped`, `failed`), or that another process runs one of
    them (`held`); and whether anything had to be run.
    """

    arm: str
    status: str
    message: str = ""
    worked: bool = False
    notes: tuple[str, ...] = ()
    """Lines on files that were missing or damaged and were made again, and on what is to be known."""


@dataclass
class Outcome:
    """How a walk ended."""

    study_id: int
    arms: list[TaskOutcome] = field(default_factory=list)
    stopped: bool = False
    failures: list[str] = field(default_factory=list)
    worked: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 when all is done, 2 where something failed, 130 where the person stopped it."""
        return 130 if self.stopped else 2 if self.failures else 0

    def add(self, result: TaskOutcome) -> None:
        """Take in how the stages of one subject ended."""
        self.worked |= result.worked
        self.stopped |= result.status == "stopped"
        # A worker that dies takes several tasks of the study along, which all say so in the same words.
        is_told = result.message in self.failures
        self.failures += [result.message] if result.status == "failed" and not is_told else []
        self.notes += result.notes


class Executor(Protocol):
    """Where tasks are run: in this process, in a pool of processes, by all processes of a cluster."""

    def run(self, tasks: Sequence[Task], look: Callable[[], None]) -> Iterator[tuple[Task, TaskOutcome]]:
        """Run tasks, in any order, and give each with its outcome as it ends.

        `look` is called about twice a second meanwhile, where anybody is there to look. Nothing is raised for
        a task, but where processes cannot go on without each other: StageFailed, Stopped.
        """

    @property
    def stopping(self) -> bool:
        """Whether the person asked for a stop."""


def run_task(
    task: Task,
    should_stop: Callable[[], bool],
    gather: Callable[[Stage, Subject], None] | None = None,
) -> TaskOutcome:
    """Run the stages of a task that are not done (`gather`: see `run_stage`); never raises."""
    name, has_run, notes = task.subject.name, False, list[str]()
    try:
        context = task.study.open(should_stop)
        for stage in task.stages:
            has_run |= run_stage(
                context,
                stage,
                task.subject,
                gather=gather,
                inputs=task.inputs,
                is_patient=task.is_patient,
                note=notes.append,
            )
    except StageHeld as error:
        return TaskOutcome(name, "held", str(error), worked=has_run, notes=tuple(notes))
    except Stopped:
        return TaskOutcome(name, "stopped", worked=True, notes=tuple(notes))
    except StageFailed as error:
        return TaskOutcome(name, "failed", str(error), worked=True, notes=tuple(notes))
    except Exception as error:  # before or between stages, e.g. a locked database
        message = f"{name}: {plain_words(error)}"
        return TaskOutcome(name, "failed", message, worked=has_run, notes=tuple(notes))
    return TaskOutcome(name, "done", worked=has_run, notes=tuple(notes))


def announce_all(context: StudyContext, planned: Iterable[Planned]) -> None:
    """Rows of arms, and of the stages whose inputs are known beforehand, as waiting.

    A stage that is done, or that another process runs, keeps its row.
    """
    pairs = list(planned)
    keys = {
        (stage.name, subject.name): stage.key(context, subject)
        for stage, subject in pairs
        if not stage.reads_rows
    }
    arms = {subject.arm.name: subject.arm for _, subject in pairs if subject.arm is not None}
    new_arms = [new_arm_row(context, arm) for arm in arms.values()]
    absent = {"status": "waiting", "packages": {}, "study_id": context.study_id}
    with write_session(context.engine) as session:
        insert_missing(session, Arm, new_arms, on=("study_id", "name"))
        query = select(StageRun).filter_by(study_id=context.study_id)
        if len(arms) == 1:  # of an arm that runs apart; rows of other arms need not wait
            query = query.where(StageRun.subject.in_({subject for _, subject in keys}))
        for row in session.scalars(query.order_by(StageRun.id).with_for_update()):
            key = keys.pop((row.stage, row.subject), None)
            # Where files of a finished stage are lost, that is told when it runs again.
            if key is None or (row.status, row.input_hash) == ("done", key) or not is_free(row):
                continue
            row.seconds = row.seconds if row.input_hash == key else 0.0
            row.input_hash, row.status, row.error = key, "waiting", None
        new_rows = [
            absent | {"stage": stage, "subject": subject, "input_hash": key}
            for (stage, subject), key in keys.items()
        ]
        insert_missing(session, StageRun, new_rows, on=("study_id", "stage", "subject"))


def walk(
    study: StudyHandle,
    graph: Graph,
    executor: Executor,
    *,
    subjects: Callable[[StudyContext], Iterable[Subject]],
    after_arms: Iterable[Stage],
    watch: Watch = lambda study_id: None,
) -> Outcome:
    """Run what is not done of a study's graph.

    `subjects` is called when the stages before the arms are done. `after_arms` are stages of the whole study,
    run side by side where they do not need each other; `watch` gets its id while work goes on. A subject that
    fails does not stop the others. Nothing is raised for work that fails or is stopped: the outcome says so.
    """
    outcome, context = Outcome(study.study_id), study.open(lambda: executor.stopping)

    def look() -> None:
        watch(study.study_id)

    def run_joint(*tasks: tuple[Stage, ...]) -> bool:
        joint_tasks = [Task(study, STUDY, stages) for stages in tasks]
        task_outcomes = [task_outcome for _, task_outcome in executor.run(joint_tasks, look)]
        for task_outcome in task_outcomes:
            outcome.add(task_outcome)
        look()
        return all(task_outcome.status == "done" for task_outcome in task_outcomes)

    if not run_joint(graph.before_arms(context.config)):
        return outcome
    before = graph.before_arms(context.config)
    tasks = [
        Task(study, subject, graph.of_subject(context.config, subject), before, is_patient=False)
        for subject in subjects(context)
    ]
    held_tasks, unsummarised, pace = list[Task](), deque[Subject](), Pace()

    def look_and_summarise() -> None:
        look()
        # With many arms each summary takes longer; the study's end makes all of them anew.
        if unsummarised:
            pace.run(lambda: _after_each(context, graph, unsummarised.popleft(), outcome.failures))

    # What other processes run is waited for when there is nothing else to do.
    while tasks and not (outcome.stopped or executor.stopping):
        for task, task_outcome in executor.run(tasks, look_and_summarise):
            outcome.add(task_outcome)
            if task_outcome.status == "held":
                held_tasks.append(replace(task, is_patient=True))
                continue
            outcome.arms.append(task_outcome)
            if task_outcome.status == "done":
                unsummarised.append(task.subject)
            look_and_summarise()
        tasks, held_tasks = held_tasks, []
    outcome.stopped |= executor.stopping
    for stages in _side_by_side(after_arms):
        if not outcome.stopped:
            run_joint(*((stage,) for stage in stages))
    return outcome


def _side_by_side(stages: Iterable[Stage]) -> Iterator[tuple[Stage, ...]]:
    """Stages in batches, in order; those of a batch do not need each other."""
    batch: tuple[Stage, ...] = ()
    for stage in stages:
        if any(earlier.name in stage.needs for earlier in batch):
            yield batch
            batch = ()
        batch += (stage,)
    if batch:
        yield batch


def _after_each(context: StudyContext, graph: Graph, subject: Subject, failures: list[str]) -> None:
    """Write what is told of a subject that is done; adds to `failures`."""
    try:
        for function in graph.after_each:
            function(context, subject)
    except Exception as error:  # must not end the arms that still run
        failures.append(f"summary of {subject.name}: {plain_words(error)}")
