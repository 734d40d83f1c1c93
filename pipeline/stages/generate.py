"""Stage `generate`: continuations of every prompt under every condition, each with its own fixed seed.

Conditions of one model and prefix say theirs in the same batches, so that a prompt is read once for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import delete, func, select

from hormesis.backend.generation.batching import encode
from hormesis.backend.generation.generation import fit, generate
from hormesis.db.contract.methods import null_kind
from hormesis.db.schema import EXTRA_SAMPLES, Condition, Generation, Prompt, PromptSet
from hormesis.db.write import read_session, upsert, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.execution.study import checkpoint_id_of
from hormesis.pipeline.methods.condition import DetoxCondition, read_conditions
from hormesis.pipeline.methods.open_condition import open_condition
from hormesis.pipeline.methods.opened_condition import OpenedCondition
from hormesis.pipeline.probing.loading import checkpoint_facts
from hormesis.pipeline.text.text_keys import key_of, row_seed

Prompts = list[tuple[int, str]]
"""Ids and texts of prompts."""
Batch = list[tuple[int, str, int]]
"""Ids and texts of prompts, each with the number of a sample."""


def generate_all(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    """Write a checkpoint's missing generations; `cuts`: by set, how many prompts lose their beginning."""
    checkpoint_id = checkpoint_id_of(context, subject.name)
    weights_hash = checkpoint_facts(context, checkpoint_id).weights_hash
    conditions = [condition for condition in read_conditions(context, checkpoint_id) if not condition.defect]
    prompts_by_set = _prompts(context)
    evaluation, done = context.config.evaluation, 0
    most = 0 if evaluation.maximum is None else evaluation.maximum.prompts
    few_by_set = {name: _few(prompts, most) for name, prompts in prompts_by_set.items()}
    null_prompts = context.config.steering.null_prompts
    null_by_set = {name: _few(prompts, null_prompts) for name, prompts in prompts_by_set.items()}
    more = {condition.key: evaluation.maximum_samples(condition.key) for condition in conditions}
    total = sum(
        len((null_by_set if null_kind(key) else prompts_by_set)[name]) * evaluation.samples
        + len(few) * max(0, count - evaluation.samples)
        for name, few in few_by_set.items()
        for key, count in more.items()
    )
    for _, like_conditions in groupby(sorted(conditions, key=_weights_and_prefix), _weights_and_prefix):
        group = [open_condition(context, checkpoint_id, c, half=True) for c in like_conditions]
        for opened in group:
            condition = opened.condition
            limited = [null_prompts] if null_prompts and null_kind(condition.key) else []
            inputs_hash = context.inputs.generation(weights_hash, [*identity(condition), *limited])
            inputs_name = f"made from {inputs_hash}"
            if condition.parameters.get("generations") != inputs_name:
                cuts = {name: _cut(opened, prompts, context) for name, prompts in prompts_by_set.items()}
                _start_anew(context, condition, {"generations": inputs_name, "prompts_cut": cuts})
        sampled = [opened for opened in group if more[opened.condition.key] > evaluation.samples]
        n_extra = max((more[opened.condition.key] - evaluation.samples for opened in sampled), default=0)
        extra = range(EXTRA_SAMPLES, EXTRA_SAMPLES + n_extra)
        nulls = [opened for opened in group if null_kind(opened.condition.key) and null_prompts]
        others = [opened for opened in group if opened not in nulls]
        for set_name, prompts in prompts_by_set.items():
            reporter.say(f"{group[0].condition.key} and {len(group) - 1} other conditions on {set_name}")
            usual = range(evaluation.samples)
            for conditions_of, chosen, samples in (
                (others, prompts, usual),
                (nulls, null_by_set[set_name] if nulls else [], usual),
                (sampled, few_by_set[set_name], extra),
            ):
                batches = _batches(chosen, samples, evaluation.batch_size // max(1, len(conditions_of)))
                done = _generate(context, conditions_of, batches, reporter=reporter, done=done, total=total)
    reporter.report(total, total, "generations")


def _weights_and_prefix(condition: DetoxCondition) -> tuple[str, str]:
    """What conditions have alike that are generated together."""
    return str((condition.tuned or {}).get("path", "")), condition.prefix


def identity(condition: DetoxCondition) -> list[Any]:
    """Everything about a condition that decides what a checkpoint says under it."""
    tuned = condition.tuned
    settings = (condition.method, condition.direction, condition.strength, condition.prefix)
    return [*settings, tuned["key"] if tuned else None, list(condition.parameters.get("marks", ()))]


def _prompts(context: StudyContext) -> dict[str, Prompts]:
    """Name of prompt set to its (prompt id, text) pairs, by position."""
    query = (
        select(PromptSet.name, Prompt.id, Prompt.text)
        .join(Prompt, Prompt.prompt_set_id == PromptSet.id)
        .where(PromptSet.study_id == context.study_id)
        .order_by(PromptSet.id, Prompt.position)
    )
    prompts_by_set: dict[str, Prompts] = {}
    with read_session(context.engine) as session:
        for set_name, prompt_id, text in session.execute(query):
            prompts_by_set.setdefault(set_name, []).append((prompt_id, text))
    return prompts_by_set


def _few(prompts: Prompts, most: int | None) -> Prompts:
    """At most so many prompts: those with the smallest hashes, in their order; None: all."""
    keys = sorted(key_of(text) for _, text in prompts)[:most]
    return [(prompt_id, text) for prompt_id, text in prompts if keys and key_of(text) <= keys[-1]]


def _batches(prompts: Prompts, samples: range, batch_size: int) -> list[Batch]:
    """Whole prompts to a batch, so that counting a batch's rows tells whether it is complete; the longest
    come first, and like lengths together.
    """
    size = max(1, batch_size // max(1, len(samples)))
    ordered = sorted(prompts, key=lambda prompt: -len(prompt[1]))
    chunks = (ordered[start : start + size] for start in range(0, len(ordered), size) if samples)
    return [[(key, text, sample) for key, text in chunk for sample in samples] for chunk in chunks]


def _generate(
    context: StudyContext,
    group: Sequence[OpenedCondition],
    batches: list[Batch],
    *,
    reporter: Reporter,
    done: int,
    total: int,
) -> int:
    """Write the generations of one set under conditions of one model and prefix, by batches; gives `done` of
    `total`.
    """
    config = context.config.evaluation
    for batch in batches:
        missing = [opened for opened in group if _have(context, opened.condition.id, batch) < len(batch)]
        tasks = [(opened, *row) for row in batch for opened in missing]
        continuations = generate(
            group[0].loaded,
            [text for _, _, text, _ in tasks],
            seeds=[row_seed(text, sample) for _, _, text, sample in tasks],
            rows=[opened.steering for opened, *_ in tasks],
            new_tokens=config.new_tokens,
            temperature=config.temperature,
            top_p=config.top_p,
            batch_size=config.batch_size,
            progress=lambda *_: reporter.check(),
            prefix=group[0].prefix,
        )
        rows = [
            {
                "condition_id": opened.condition.id,
                "prompt_id": prompt_id,
                "sample": sample,
                "text": opened.continuation(continuation.text),
                "tokens": continuation.tokens,
                "finished": continuation.finished,
            }
            for (opened, prompt_id, _, sample), continuation in zip(tasks, continuations, strict=True)
        ]
        with write_session(context.engine) as session:
            upsert(session, Generation, rows, on=("condition_id", "prompt_id", "sample"))
        done += len(batch) * len(group)
        reporter.report(done, total, "generations")
    return done


def _have(context: StudyContext, condition_id: int | None, batch: Batch) -> int:
    """How many generations of a batch are there."""
    query = select(func.count()).where(
        Generation.condition_id == condition_id,
        Generation.prompt_id.in_(sorted({prompt_id for prompt_id, _, _ in batch})),
        Generation.sample.in_(sorted({sample for _, _, sample in batch})),
    )
    with read_session(context.engine) as session:
        return int(session.scalar(query) or 0)


def _cut(opened: OpenedCondition, prompts: Prompts, context: StudyContext) -> int:
    """How many prompts are too long for the model's context and lose their beginning."""
    encoded = encode(opened.loaded, [opened.prompt(text) for _, text in prompts])
    new_tokens = context.config.evaluation.new_tokens
    _, cuts = fit(opened.loaded, encoded, new_tokens, prefix_length=len(opened.prefix_ids))
    return sum(cuts)


def _start_anew(context: StudyContext, condition: DetoxCondition, parameters: dict[str, Any]) -> None:
    """Drop generations made from other inputs (another strength or setting) and note the new ones."""
    with write_session(context.engine) as session:
        session.execute(delete(Generation).where(Generation.condition_id == condition.id))
        row = session.get_one(Condition, condition.id)
        row.parameters = {**row.parameters, **parameters}
