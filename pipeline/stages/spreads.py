"""How much seeds of one arm differ, pooled over all arms of a study: what makes two seeds bearable.

Reads `metric` rows, one a checkpoint; knows nothing of how they were made.
"""

from __future__ import annotations

import pandas as pd
from sqlalchemy import select

from db.schema import Arm, Checkpoint, Condition, Metric, PromptSet, Scorer
from db.write import read_session
from pipeline.context import StudyContext
from pipeline.frames import groups
from pipeline.statistics import Spread, pooled_spread

Place = tuple[str, str | None, str | None, str]
"""Condition key, prompt set, scorer and metric name."""


def spreads(context: StudyContext) -> dict[Place, Spread]:
    """Between-seed variance of every metric that some arm has two seeds of, in units of scores (0 to 1).

    `points` are hundredths of that unit. Arms of every kind count: the variance is taken to be theirs all.
    """
    query = (
        select(
            Condition.key,
            PromptSet.name.label("prompt_set"),
            Scorer.name.label("scorer"),
            Metric.name,
            Metric.unit,
            Metric.value,
            Arm.kind,
            Arm.share,
        )
        .select_from(Metric)
        .join(Condition, Metric.condition_id == Condition.id)
        .join(Checkpoint, Metric.checkpoint_id == Checkpoint.id)
        .join(Arm, Checkpoint.arm_id == Arm.id)
        .outerjoin(PromptSet, Metric.prompt_set_id == PromptSet.id)
        .outerjoin(Scorer, Metric.scorer_id == Scorer.id)
        .where(Checkpoint.study_id == context.study_id)
    )
    with read_session(context.engine) as session:
        table = pd.read_sql(query, session.connection())
    if table.empty:
        return {}
    table["value"] = table["value"].where(table["unit"] != "points", table["value"] / 100)
    table[["prompt_set", "scorer"]] = table[["prompt_set", "scorer"]].fillna("")
    found: dict[Place, Spread] = {}
    for (key, prompts, scorer, name), rows in groups(table, ["key", "prompt_set", "scorer", "name"]):
        spread = pooled_spread(part["value"].to_numpy() for _, part in groups(rows, ["kind", "share"]))
        if spread is not None:
            found[str(key), str(prompts) or None, str(scorer) or None, str(name)] = spread
    return found
