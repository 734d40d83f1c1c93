"""Stage `generate`: continuations of every prompt under every condition, each with its own fixed seed."""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import delete, func, select

from backend.batching import encode
from backend.generation import fit, generate
from backend.models import LoadedModel
from backend.steering import Intervention, RowSteering
from db.schema import Condition, Generation, Prompt, PromptSet
from db.write import read_session, upsert, write_session
from pipeline.context import StudyContext
from pipeline.loading import checkpoint_facts, open_checkpoint
from pipeline.progress import Reporter
from pipeline.registry import Inputs
from pipeline.stages.condition import interventions


def row_seed(prompt: str, sample: int) -> int:
    """Seed of one continuation. The same for every condition and arm, so that differences are paired."""
    return int.from_bytes(hashlib.sha256(f"{sample}\x1f{prompt}".encode()).digest()[:8], "big") >> 1


def generate_all(context: StudyContext, inputs: Inputs, checkpoint: int, reporter: Reporter) -> None:
    """Write what is missing of a checkpoint's generations."""
    name = f"made from {inputs.generate(checkpoint_facts(context, checkpoint).weights_hash)}"
    loaded = open_checkpoint(context, checkpoint, for_decoding=True)
    known: dict[str, Intervention] = interventions(context, checkpoint, loaded)
    conditions = _conditions(context, checkpoint)
    sets = _prompts(context)
    total = len(conditions) * sum(len(prompts) for prompts in sets.values())
    total *= context.config.evaluation.samples
    cut = {name: _cut(loaded, prompts, context) for name, prompts in sets.items()}
    done = 0
    for condition in conditions:
        if condition["parameters"].get("generations") != name:
            _start_anew(context, condition["id"], {"generations": name, "prompts_cut": cut})
        rows = _steering(condition, known)
        for set_name, prompts in sets.items():
            reporter.say(f"{condition['key']} on {set_name}")
            done = _one(context, loaded, condition["id"], prompts, rows, reporter, done, total)
    reporter.report(total, total, "generations")


def _conditions(context: StudyContext, checkpoint: int) -> list[dict[str, Any]]:
    columns = (Condition.id, Condition.key, Condition.method, Condition.strength, Condition.control)
    query = (
        select(*columns, Condition.parameters)
        .where(Condition.checkpoint_id == checkpoint)
        .order_by(Condition.id)
    )
    with read_session(context.engine) as session:
        return [dict(row._mapping) for row in session.execute(query)]


def _prompts(context: StudyContext) -> dict[str, list[tuple[int, str]]]:
    query = (
        select(PromptSet.name, Prompt.id, Prompt.text)
        .join(Prompt, Prompt.prompt_set_id == PromptSet.id)
        .where(PromptSet.study_id == context.study_id)
        .order_by(PromptSet.id, Prompt.position)
    )
    found: dict[str, list[tuple[int, str]]] = {}
    with read_session(context.engine) as session:
        for name, prompt, text in session.execute(query):
            found.setdefault(name, []).append((prompt, text))
    return found


def _steering(condition: dict[str, Any], known: dict[str, Intervention]) -> RowSteering:
    if condition["method"] == "none":
        return (None, 0.0)
    name = "iti" if condition["method"] == "iti" else f"random-{condition['control']}"
    return (known[name], condition["strength"])


def _one(
    context: StudyContext,
    loaded: LoadedModel,
    condition: int,
    prompts: list[tuple[int, str]],
    row: RowSteering,
    reporter: Reporter,
    done: int,
    total: int,
) -> int:
    """One condition on one prompt set, batch by batch, each batch written when it is done."""
    config = context.config.evaluation
    # Whole prompts to a batch, so that counting a batch's rows tells whether it is complete.
    step = max(1, config.batch_size // config.samples)
    for start in range(0, len(prompts), step):
        chunk = prompts[start : start + step]
        batch = [(prompt, text, sample) for prompt, text in chunk for sample in range(config.samples)]
        if _have(context, condition, [prompt for prompt, _, _ in batch]) < len(batch):
            made = generate(
                loaded,
                [text for _, text, _ in batch],
                seeds=[row_seed(text, sample) for _, text, sample in batch],
                rows=[row] * len(batch),
                new_tokens=config.new_tokens,
                temperature=config.temperature,
                top_p=config.top_p,
                batch_size=len(batch),
                progress=lambda step, steps: reporter.check(),
            )
            rows = [
                {
                    "condition_id": condition,
                    "prompt_id": prompt,
                    "sample": sample,
                    "text": one.text,
                    "tokens": one.tokens,
                    "finished": one.finished,
                }
                for (prompt, _, sample), one in zip(batch, made, strict=True)
            ]
            with write_session(context.engine) as session:
                upsert(session, Generation, rows, on=("condition_id", "prompt_id", "sample"))
        done += len(batch)
        reporter.report(done, total, "generations")
    return done


def _have(context: StudyContext, condition: int, prompts: list[int]) -> int:
    query = select(func.count()).where(
        Generation.condition_id == condition, Generation.prompt_id.in_(sorted(set(prompts)))
    )
    with read_session(context.engine) as session:
        return int(session.scalar(query) or 0)


def _cut(loaded: LoadedModel, prompts: list[tuple[int, str]], context: StudyContext) -> int:
    """How many prompts are too long for the model's context and lose their beginning."""
    encoded = encode(loaded, [text for _, text in prompts])
    return sum(fit(loaded, encoded, context.config.evaluation.new_tokens)[1])


def _start_anew(context: StudyContext, condition: int, facts: dict[str, Any]) -> None:
    """Drop generations made from other inputs (another strength or setting) and note the new ones."""
    with write_session(context.engine) as session:
        session.execute(delete(Generation).where(Generation.condition_id == condition))
        row = session.get_one(Condition, condition)
        row.parameters = {**row.parameters, **facts}
