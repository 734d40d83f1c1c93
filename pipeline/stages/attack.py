"""Stage `attack`: suffixes, framed prompts, long texts, sampling and rounded weights, on chosen conditions.

Each kind of attack on each condition is written whole or not at all, so a cut stage goes on with the next
kind. Off unless the study file names attacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from hormesis.db.contract.attacks import AttackKind
from hormesis.pipeline.attacks.attacked_conditions import chosen_conditions, chosen_prompts
from hormesis.pipeline.attacks.differences import compare
from hormesis.pipeline.attacks.goals import goals_of
from hormesis.pipeline.attacks.judging import judge_of
from hormesis.pipeline.attacks.records import Result, forget_others, kinds_done, write_results
from hormesis.pipeline.attacks.suffixes import attack_by_suffix
from hormesis.pipeline.attacks.texts import Task, injections, long_texts, rounded, sweep
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.execution.study import checkpoint_id_of
from hormesis.pipeline.methods.heldout import heldout_text
from hormesis.pipeline.methods.open_condition import open_condition
from hormesis.pipeline.methods.opened_condition import OpenedCondition
from hormesis.pipeline.stages.text import heldout_documents


def attack_checkpoint(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    """Write attacks on a checkpoint's conditions (`done` of `total`), and tests between arms they allow."""
    checkpoint_id = checkpoint_id_of(context, subject.name)
    input_hash = context.inputs.attack(subject.weights_hash)
    hardness = context.config.hardness
    conditions = chosen_conditions(context, checkpoint_id, hardness)
    prompts, seeds, data_name = chosen_prompts(context, hardness.prompts)
    task = Task(
        context.config, judge_of(context), prompts, seeds=seeds, data_name=data_name, check=reporter.check
    )
    total, done = len(conditions) * len(hardness.texts), 0
    for condition in conditions:
        assert condition.id is not None
        kinds_stored = kinds_done(context, condition.id, input_hash)
        kinds_left = [attack_kind for attack_kind in hardness.texts if attack_kind not in kinds_stored]
        done += len(hardness.texts) - len(kinds_left)
        reporter.report(done, total, "attacks")
        if not kinds_left:
            continue
        opened = open_condition(context, checkpoint_id, condition)
        for attack_kind in kinds_left:
            reporter.say(f"{attack_kind} on {condition.key}")
            reporter.report(done, total, "attacks")
            results = list(_run(attack_kind, opened, task, context=context))
            write_results(context, checkpoint_id, condition.id, input_hash=input_hash, results=results)
            done += 1
            reporter.report(done, total, "attacks")
    forget_others(context, checkpoint_id, [*hardness.texts], input_hash=input_hash)
    compare(context)


def _run(
    attack_kind: AttackKind, opened: OpenedCondition, task: Task, *, context: StudyContext
) -> Iterator[Result]:
    """The results of one kind of attack on an opened condition, as they are finished."""
    if attack_kind == "suffix":
        config = context.config.hardness.suffix
        goals, goals_revision = goals_of(context.config.hardness)
        attack = partial(
            attack_by_suffix, opened, goals, goals_revision, judge=task.judge, config=config, check=task.check
        )
        yield attack(search="gcg")
        if config.random_search:
            yield attack(search="random")
    elif attack_kind == "injection":
        yield from injections(opened, task)
    elif attack_kind == "long":
        yield from long_texts(opened, task)
    elif attack_kind == "sampling":
        yield from sweep(opened, task)
    elif attack_kind == "quantised":
        documents = heldout_documents(context)
        yield from rounded(opened, task, heldout_text(context.config, opened.loaded, documents).windows)
