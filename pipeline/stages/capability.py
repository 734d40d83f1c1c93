"""Stage `capability`: what each chosen condition of a checkpoint can still do.

Every item's outcome is kept as a file beside the rows, so that a condition is paired with the unsteered
checkpoint and arms are summarised over seeds. Off unless the study file names tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hormesis.db.files import atomic_file
from hormesis.db.schema import CapabilityScore, Metric
from hormesis.db.write import delete_others, upsert, write_session
from hormesis.pipeline.capability.harness import run_harness
from hormesis.pipeline.capability.items import Task, tasks_of
from hormesis.pipeline.capability.scoring import Scored, estimate_of, score_sources, score_task
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.inputs import HARDNESS_VERSION
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.execution.provenance import digest
from hormesis.pipeline.execution.stage import Stage, Subject
from hormesis.pipeline.execution.study import checkpoint_row
from hormesis.pipeline.methods import DetoxCondition, Ready, open_condition
from hormesis.pipeline.stages.attacked_conditions import chosen_conditions, wants
from hormesis.pipeline.stages.condition import metric_row
from hormesis.pipeline.statistics import Estimate, ratio_interval
from hormesis.pipeline.study.config import StudyConfig

BATCH = 64


def measure_capability(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    """Write capability scores and metrics. Raises CapabilityError where a task cannot be run."""
    checkpoint = checkpoint_row(context, subject.name)
    config = context.config.capability
    folder = context.folder("capability", capability_key(context, subject))
    conditions = chosen_conditions(context, checkpoint, config)
    tasks = tasks_of(config)
    total = len(conditions) * (len(tasks) + ("cross_entropy" in config.tasks) + bool(config.harness))
    done = 0
    base: dict[tuple[str, str, str], Scored] = {}
    for condition in conditions:
        path = folder / f"{condition.key.replace('/', '_')}.npz"
        scores = _kept(path)
        if scores is None:
            ready = open_condition(context, checkpoint, condition)
            scores = []
            for step in _steps(ready, context, tasks, reporter):
                reporter.say(f"capability of {condition.key}")
                reporter.report(done, total, "tasks")
                scores += step()
                done += 1
            _keep(path, scores)
        known = {(one.task, one.part, one.measure): one for one in scores}
        base = known if condition.key == "none" else base
        _write(context, checkpoint, condition, scores, base)
        if config.harness:
            _write_harness(context, checkpoint, condition, reporter)
    _forget_others(context, checkpoint, [one.id for one in conditions if one.id is not None])
    reporter.report(total, max(1, total), "tasks")


def _steps(
    ready: Ready, context: StudyContext, tasks: Sequence[Task], reporter: Reporter
) -> list[Callable[[], list[Scored]]]:
    def check(done: int, total: int) -> None:
        reporter.check()

    steps: list[Callable[[], list[Scored]]] = [
        lambda task=task: list(score_task(ready, task, BATCH, check))  # type: ignore[misc]
        for task in tasks
    ]
    if "cross_entropy" in context.config.capability.tasks:
        steps.append(lambda: list(score_sources(ready, context.config, BATCH, check)))
    return steps


def _keep(path: Path, scores: Sequence[Scored]) -> None:
    """Items' outcomes of one condition, whole or not at all."""
    arrays: dict[str, Any] = {}
    for place, one in enumerate(scores):
        arrays[f"top{place}"], arrays[f"bottom{place}"] = one.top, one.bottom
        chance = "" if one.chance is None else repr(one.chance)
        arrays[f"name{place}"] = np.array([one.task, one.part, one.measure, one.unit, one.data, chance])
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def _kept(path: Path) -> list[Scored] | None:
    if not path.is_file():
        return None
    with np.load(path) as kept:
        count = sum(name.startswith("name") for name in kept)
        found = []
        for place in range(count):
            task, part, measure, unit, data, chance = (str(one) for one in kept[f"name{place}"])
            found.append(
                Scored(
                    task,
                    part,
                    measure,
                    unit,
                    data,
                    float(chance) if chance else None,
                    kept[f"top{place}"],
                    kept[f"bottom{place}"],
                )
            )
    return found


def _write(
    context: StudyContext,
    checkpoint: int,
    condition: DetoxCondition,
    scores: Sequence[Scored],
    base: dict[tuple[str, str, str], Scored],
) -> None:
    assert condition.id is not None
    draws = context.config.evaluation.bootstrap
    rows, metrics = [], []
    for one in scores:
        estimate = estimate_of(one, draws)
        other = base.get((one.task, one.part, one.measure))
        change: Estimate | None = None
        if condition.key != "none" and other is not None and len(other.top) == len(one.top):
            change = ratio_interval(one.top - other.top, one.bottom, draws=draws, unit="items")
        rows.append(
            {
                "checkpoint_id": checkpoint,
                "condition_id": condition.id,
                "task": one.task,
                "part": one.part,
                "measure": one.measure,
                **estimate.columns,
                "chance": one.chance,
                "unit": one.unit,
                "data": one.data,
                "change": None if change is None else change.value,
                "change_low": None if change is None else change.low,
                "change_high": None if change is None else change.high,
            }
        )
        metrics.append(_metric(checkpoint, condition, one, estimate))
    with write_session(context.engine) as session:
        on = ("condition_id", "task", "part", "measure")
        upsert(session, CapabilityScore, rows, on=on)
        upsert(session, Metric, metrics, on=("checkpoint_id", "key"))


def _metric(checkpoint: int, condition: DetoxCondition, one: Scored, estimate: Estimate) -> dict[str, object]:
    assert condition.id is not None
    if one.measure == "cross_entropy":
        name, said = f"cross_entropy_{one.part}", estimate.method
    else:
        name = "_".join(part for part in (one.measure, one.task, one.part.replace(" ", "_")) if part)
        said = f"{estimate.method}; chance {one.chance:.3f}"
    noted = Estimate(estimate.value, estimate.low, estimate.high, estimate.n, said)
    return metric_row(checkpoint, condition.id, condition.key, name, noted, one.unit)


def _write_harness(
    context: StudyContext, checkpoint: int, condition: DetoxCondition, reporter: Reporter
) -> None:
    config = context.config.capability
    reporter.say(f"harness tasks on {condition.key}")
    reporter.check()
    ready = open_condition(context, checkpoint, condition)
    rows = []
    for one in run_harness(ready, config.harness, limit=config.harness_limit, folder=config.folder):
        rows.append(
            {
                "checkpoint_id": checkpoint,
                "condition_id": condition.id,
                "task": one.task,
                "part": "",
                "measure": one.measure,
                **one.estimate.columns,
                "chance": None,
                "unit": "harness",
                "data": one.version,
                "change": None,
                "change_low": None,
                "change_high": None,
            }
        )
    with write_session(context.engine) as session:
        upsert(session, CapabilityScore, rows, on=("condition_id", "task", "part", "measure"))


def _forget_others(context: StudyContext, checkpoint: int, kept: Sequence[int]) -> None:
    of_checkpoint = [CapabilityScore.checkpoint_id == checkpoint]
    with write_session(context.engine) as session:
        delete_others(session, CapabilityScore, kept, on=("condition_id",), within=of_checkpoint)


def capability_key(context: StudyContext, subject: Subject) -> str:
    """Of what the conditions of a checkpoint can still do."""
    inputs = context.inputs
    settings, files = inputs.settings("capability"), inputs.files("capability")
    roles = inputs.roles("heldout_clean", "heldout_toxic")
    conditions = inputs.condition(subject.weights)
    return digest("capability", HARDNESS_VERSION, conditions, settings, files, roles)


def is_measured(config: StudyConfig, subject: Subject) -> bool:
    """Whether the study measures capability, on this arm too; on every imported checkpoint."""
    return config.capability.has_tasks and wants(config.capability, subject.arm)


STAGE = Stage(
    "capability", key=capability_key, run=measure_capability, needs=("condition",), when=is_measured
)
