"""Stage `capability`: what each chosen condition of a checkpoint can still do.

Every item's outcome is kept as a file beside the rows, so that a condition is paired with the unsteered
checkpoint and arms are summarised over seeds. Off unless the study file names tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from hormesis.db.blocks import encode_float64
from hormesis.db.schema import CapabilityScore, Metric
from hormesis.db.write import delete_others, upsert, write_session
from hormesis.pipeline.attacks.attacked_conditions import chosen_conditions
from hormesis.pipeline.capability.harness import run_harness
from hormesis.pipeline.capability.item_files import load_scores, save_scores, scores_file
from hormesis.pipeline.capability.items import Task, part_name, tasks_of
from hormesis.pipeline.capability.scoring import Scored, estimate_of, score_sources, score_task
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.execution.study import checkpoint_id_of
from hormesis.pipeline.methods.condition import DetoxCondition
from hormesis.pipeline.methods.open_condition import open_condition
from hormesis.pipeline.methods.opened_condition import OpenedCondition
from hormesis.pipeline.stages.condition import NamedRow, metric_row
from hormesis.pipeline.statistics import Estimate, ratio_interval
from hormesis.pipeline.text.study_folder import text_folder
from hormesis.pipeline.text.toxic_sentences import toxic_sentences

BATCH = 64


def measure_capability(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    """Write capability scores and metrics. Raises CapabilityError where a task cannot be run.

    A `Scored` is one measure of all items; `done` and `total` count tasks; a step is one task to call.
    """
    checkpoint_id = checkpoint_id_of(context, subject.name)
    config = context.config.capability
    conditions = chosen_conditions(context, checkpoint_id, config)
    tasks = tasks_of(config)
    total = len(conditions) * (len(tasks) + ("cross_entropy" in config.tasks) + bool(config.harness))
    done = 0
    unsteered_scores: dict[tuple[str, str, str], Scored] = {}
    for condition in conditions:
        path = scores_file(context, subject.weights_hash, condition.key)
        scores = load_scores(path)
        if scores is None:
            opened = open_condition(context, checkpoint_id, condition)
            scores = []
            for step in _steps(opened, context, tasks=tasks, reporter=reporter):
                reporter.say(f"capability of {condition.key}")
                reporter.report(done, total, "tasks")
                scores += step()
                done += 1
            save_scores(path, scores)
        by_measure = {(scored.task, scored.part, scored.measure): scored for scored in scores}
        unsteered_scores = by_measure if condition.key == "none" else unsteered_scores
        _write(context, checkpoint_id, condition, scores=scores, unsteered_scores=unsteered_scores)
    _forget_others(context, checkpoint_id, conditions)
    reporter.report(total, max(1, total), "tasks")


def _steps(
    opened: OpenedCondition, context: StudyContext, *, tasks: Sequence[Task], reporter: Reporter
) -> list[Callable[[], list[Scored]]]:
    """A function for each task that scores the condition on it when called."""

    def check(done: int, total: int) -> None:
        reporter.check()

    steps: list[Callable[[], list[Scored]]] = [
        lambda task=task: list(score_task(opened, task, batch_size=BATCH, progress=check))  # type: ignore[misc]
        for task in tasks
    ]
    config = context.config.capability
    if "cross_entropy" in config.tasks:
        holds_toxic = toxic_sentences(context.config, text_folder(context) / "tfidf")
        steps.append(
            lambda: list(
                score_sources(
                    opened, context.config, holds_toxic=holds_toxic, batch_size=BATCH, progress=check
                )
            )
        )
    if config.harness:
        steps.append(
            lambda: list(
                run_harness(opened, config.harness, limit=config.harness_limit, folder=config.folder)
            )
        )
    return steps


def _write(
    context: StudyContext,
    checkpoint_id: int,
    condition: DetoxCondition,
    *,
    scores: Sequence[Scored],
    unsteered_scores: dict[tuple[str, str, str], Scored],
) -> None:
    """A row and a metric per measure; its change is from the unsteered condition, over the same items."""
    assert condition.id is not None
    draws = context.config.evaluation.bootstrap
    rows, metrics = [], []
    for scored in scores:
        estimate = estimate_of(scored, draws)
        unsteered = unsteered_scores.get((scored.task, scored.part, scored.measure))
        change: Estimate | None = None
        if condition.key != "none" and unsteered is not None and len(unsteered.top) == len(scored.top):
            change = ratio_interval(scored.top - unsteered.top, scored.bottom, draws=draws, unit="items")
        rows.append(
            {
                "checkpoint_id": checkpoint_id,
                "condition_id": condition.id,
                "task": scored.task,
                "part": scored.part,
                "measure": scored.measure,
                **estimate.columns,
                "chance": scored.chance,
                "unit": scored.unit,
                "data": scored.data,
                "change": None if change is None else change.value,
                "change_low": None if change is None else change.low,
                "change_high": None if change is None else change.high,
                "item_tops": encode_float64(scored.top),
                "item_bottoms": encode_float64(scored.bottom),
            }
        )
        metrics.append(_metric(checkpoint_id, condition, scored, estimate=estimate))
    with write_session(context.engine) as session:
        on = ("condition_id", "task", "part", "measure")
        upsert(session, CapabilityScore, rows, on=on)
        upsert(session, Metric, metrics, on=("checkpoint_id", "key"))


def _metric(
    checkpoint_id: int, condition: DetoxCondition, scored: Scored, *, estimate: Estimate
) -> dict[str, object]:
    """The row of `metric` for one measure of a condition."""
    assert condition.id is not None
    if scored.measure == "cross_entropy":
        metric = f"cross_entropy_{scored.part}"
    else:
        metric = "_".join(part for part in (scored.measure, scored.task, part_name(scored.part)) if part)
    if scored.chance is not None:
        estimate = replace(estimate, method=f"{estimate.method}; chance {scored.chance:.3f}")
    return metric_row(
        checkpoint_id, NamedRow(condition.id, condition.key), metric, estimate=estimate, unit=scored.unit
    )


def _forget_others(context: StudyContext, checkpoint_id: int, conditions: Sequence[DetoxCondition]) -> None:
    ids = [condition.id for condition in conditions]
    of_checkpoint = [CapabilityScore.checkpoint_id == checkpoint_id]
    with write_session(context.engine) as session:
        delete_others(session, CapabilityScore, ids, on=("condition_id",), within=of_checkpoint)
