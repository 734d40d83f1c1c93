"""Search over what models said, across all checkpoints and conditions of a study."""

from __future__ import annotations

from typing import Literal

import pandas as pd
from sqlalchemy import Engine, func, select

from hormesis.db.read.columns import ARM, CONDITION
from hormesis.db.read.frame import Query, frame
from hormesis.db.schema import Arm, Checkpoint, Condition, Generation, Prompt, PromptSet, Score, Scorer

ScoreOrder = Literal["highest", "lowest"]


def search_generations(
    engine: Engine,
    study_id: int,
    *,
    prompt_set: str,
    scorer: str,
    words: str = "",
    checkpoint: str | None = None,
    condition: str | None = None,
    group: str | None = None,
    low: float = 0.0,
    high: float = 1.0,
    order: ScoreOrder = "highest",
    page: int = 0,
    size: int = 50,
) -> pd.DataFrame:
    """One page (from 0) of scored generations of a study, by score.

    Columns: prompt, group, text, sample, score, checkpoint_id, checkpoint, kind, share, seed, condition
    (key), method, strength, matched_cost, and total (rows on all pages). `words` stand in the text or its
    prompt, in any case; `checkpoint`, `condition` (key), `group` (of the prompt) and scores from `low` to
    `high` narrow the rows.
    """
    query: Query = (
        select(Prompt.text.label("prompt"), func.coalesce(Prompt.kind, Prompt.group).label("group"))
        .add_columns(Generation.text, Generation.sample, Score.value.label("score"))
        .add_columns(
            Checkpoint.id.label("checkpoint_id"),
            Checkpoint.name.label("checkpoint"),
            func.coalesce(Arm.kind, "imported").label("kind"),
            *ARM[1:],
            *CONDITION,
            func.count().over().label("total"),
        )
        .select_from(Checkpoint)
        .join(Condition, Condition.checkpoint_id == Checkpoint.id)
        .join(Generation, Generation.condition_id == Condition.id)
        .join(Prompt, Generation.prompt_id == Prompt.id)
        .join(PromptSet, Prompt.prompt_set_id == PromptSet.id)
        .join(Score, Score.generation_id == Generation.id)
        .join(Scorer, Score.scorer_id == Scorer.id)
        .outerjoin(Arm, Checkpoint.arm_id == Arm.id)
        .where(Checkpoint.study_id == study_id, PromptSet.study_id == study_id, PromptSet.name == prompt_set)
        .where(Scorer.name == scorer, Score.value.between(low, high))
    )
    if words:
        within = Generation.text.icontains(words, autoescape=True)
        query = query.where(within | Prompt.text.icontains(words, autoescape=True))
    for column, value in ((Checkpoint.name, checkpoint), (Condition.key, condition)):
        if value is not None:
            query = query.where(column == value)
    if group is not None:
        query = query.where(func.coalesce(Prompt.kind, Prompt.group) == group)
    by_score = Score.value.desc() if order == "highest" else Score.value.asc()
    query = query.order_by(by_score, Checkpoint.name, Condition.key, Prompt.position, Generation.sample)
    return frame(engine, query.limit(size).offset(page * size))


def study_conditions(engine: Engine, study_id: int) -> pd.DataFrame:
    """Every condition key of a study: condition, method, strength (mean), matched_cost, defects (checkpoints
    under which it does not work); unsteered first.
    """
    strength = func.avg(Condition.strength).label("strength")
    defects = func.count(Condition.parameters["defect"].as_string()).label("defects")
    query: Query = (
        select(Condition.key.label("condition"), Condition.method, strength, Condition.matched_cost, defects)
        .join(Checkpoint, Condition.checkpoint_id == Checkpoint.id)
        .where(Checkpoint.study_id == study_id)
        .group_by(Condition.key, Condition.method, Condition.matched_cost)
        .order_by((Condition.method != "none"), Condition.method, Condition.key)
    )
    return frame(engine, query)


def prompt_groups(engine: Engine, study_id: int, prompt_set: str) -> pd.DataFrame:
    """Kinds (else groups) of the prompts of a set, sorted: group."""
    group = func.coalesce(Prompt.kind, Prompt.group).label("group")
    query: Query = (
        select(group)
        .join(PromptSet, Prompt.prompt_set_id == PromptSet.id)
        .where(PromptSet.study_id == study_id, PromptSet.name == prompt_set, group.is_not(None))
        .distinct()
        .order_by(group.nulls_first())
    )
    return frame(engine, query)
