"""Stage `attack`: suffixes, framed prompts, long texts, sampling and rounded weights, on chosen conditions.

Each kind of attack on each condition is written whole or not at all, so a cut stage goes on with the next
kind. Off unless the study file names attacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from hormesis.db.contract.attacks import AttackKind
from hormesis.pipeline.attacks.differences import compare
from hormesis.pipeline.attacks.goals import goals_of
from hormesis.pipeline.attacks.judging import judge_of
from hormesis.pipeline.attacks.records import Result, forget_others, kinds_done, write_results
from hormesis.pipeline.attacks.suffixes import attack_by_suffix
from hormesis.pipeline.attacks.texts import Task, injections, long_texts, rounded, sweep
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.execution.provenance import digest
from hormesis.pipeline.execution.stage import Stage, Subject
from hormesis.pipeline.execution.study import checkpoint_row
from hormesis.pipeline.methods import Ready, open_condition
from hormesis.pipeline.methods.heldout import heldout_windows
from hormesis.pipeline.stages.attacked_conditions import chosen_conditions, chosen_prompts, wants
from hormesis.pipeline.stages.text import heldout_documents
from hormesis.pipeline.study.config import StudyConfig

ATTACK_VERSION = 2
"""Raised whenever the results of this stage change; relearning has a stage of its own."""


def attack_checkpoint(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    """Write the attacks on a checkpoint's conditions, and the tests between arms that they allow."""
    checkpoint = checkpoint_row(context, subject.name)
    key = attack_key(context, subject)
    hardness = context.config.hardness
    conditions = chosen_conditions(context, checkpoint, hardness)
    prompts, seeds, data = chosen_prompts(context, hardness.prompts)
    task = Task(context.config, judge_of(context), prompts, seeds=seeds, data=data, check=reporter.check)
    total, done = len(conditions) * len(hardness.texts), 0
    for condition in conditions:
        assert condition.id is not None
        kinds_stored = kinds_done(context, condition.id, key)
        left = [kind for kind in hardness.texts if kind not in kinds_stored]
        done += len(hardness.texts) - len(left)
        reporter.report(done, total, "attacks")
        if not left:
            continue
        ready = open_condition(context, checkpoint, condition)
        for kind in left:
            reporter.say(f"{kind} on {condition.key}")
            reporter.report(done, total, "attacks")
            results = list(_run(kind, ready, task, context=context))
            write_results(context, checkpoint, condition.id, input_hash=key, results=results)
            done += 1
            reporter.report(done, total, "attacks")
    forget_others(context, checkpoint, [*hardness.texts], input_hash=key)
    compare(context)


def _run(kind: AttackKind, ready: Ready, task: Task, *, context: StudyContext) -> Iterator[Result]:
    if kind == "suffix":
        config = context.config.hardness.suffix
        goals, data = goals_of(context.config.hardness)
        search = partial(
            attack_by_suffix, ready, goals, data, judge=task.judge, config=config, check=task.check
        )
        yield search(search="gcg")
        if config.random_search:
            yield search(search="random")
    elif kind == "injection":
        yield from injections(ready, task)
    elif kind == "long":
        yield from long_texts(ready, task)
    elif kind == "sampling":
        yield from sweep(ready, task)
    elif kind == "quantised":
        documents = heldout_documents(context)
        yield from rounded(ready, task, heldout_windows(context.config, ready.loaded, documents))


def attack_key(context: StudyContext, subject: Subject) -> str:
    """Hash of what all attacks depend on, the settings of all but `relearn`, and their files."""
    inputs, hardness = context.inputs, context.config.hardness
    settings = hardness.model_dump(mode="json", exclude={"relearn"}) | {"attacks": hardness.texts}
    attacked = inputs.attacked(subject.weights)
    return digest("attack", ATTACK_VERSION, attacked, settings, inputs.files("hardness"))


def is_attacked(config: StudyConfig, subject: Subject) -> bool:
    """Whether the study attacks by text, this arm too; every imported checkpoint."""
    return bool(config.hardness.texts) and wants(config.hardness, subject.arm)


STAGE = Stage("attack", key=attack_key, run=attack_checkpoint, needs=("score",), when=is_attacked)
