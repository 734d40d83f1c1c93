"""Which conditions and prompts of a checkpoint are attacked or tested. Knows rows; opens no model."""

from __future__ import annotations

import hashlib

from sqlalchemy import select

from hormesis.db.schema import Prompt, PromptSet
from hormesis.db.write import read_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.methods.condition import DetoxCondition, read_conditions
from hormesis.pipeline.study.config_sections import Selection
from hormesis.pipeline.text.text_keys import row_seed


def chosen_conditions(context: StudyContext, checkpoint_id: int, chosen: Selection) -> list[DetoxCondition]:
    """The stored conditions that a section of the study file names and that work, `none` first."""
    stored = read_conditions(context, checkpoint_id)
    return [c for c in stored if chosen.wants_condition(c.key) and not c.defect]


def chosen_prompts(context: StudyContext, count: int) -> tuple[list[str], list[int], str]:
    """Texts of at most `count` prompts of the study's first prompt set, the seed to sample each with, and a
    line that names the set, its revision and both counts.

    A fixed choice by hash, so that kinds of prompts keep their shares. Raises ValueError without any prompt.
    """
    query = (
        select(Prompt.text, PromptSet.name, PromptSet.revision)
        .join(PromptSet, Prompt.prompt_set_id == PromptSet.id)
        .where(PromptSet.study_id == context.study_id)
        .order_by(PromptSet.id, Prompt.position)
    )
    with read_session(context.engine) as session:
        rows = list(session.execute(query))
    if not rows:
        raise ValueError("the study has no prompts; its text stage did not run")
    first_set = [row.text for row in rows if row.name == rows[0].name]
    first_set.sort(key=lambda text: hashlib.sha256(text.encode()).hexdigest())
    prompts = first_set[:count]
    data_name = f"{rows[0].name} {rows[0].revision[:12]}, {len(prompts)} of {len(first_set)}"
    return prompts, [row_seed(prompt, 0) for prompt in prompts], data_name
