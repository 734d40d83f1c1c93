"""How much seeds of one arm differ, pooled over like arms of a study: what makes two seeds bearable.

Reads `metric` rows, one a checkpoint; knows nothing of how they were made.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sqlalchemy import select

from hormesis.db.schema import Arm, Checkpoint, Condition, Metric, PromptSet, Scorer
from hormesis.db.write import read_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.statistics import Spread, pooled_spread
from hormesis.pipeline.statistics.frames import groups

MetricKey = tuple[str, str | None, str | None, str]
"""Condition key, prompt set, scorer and metric name."""


HARDLY_TOXIC = ("clean-forum", "slung")
"""Kinds whose models hardly learn toxicity, and so vary less than others near the bound of the scale."""


def is_hardly_toxic(kind: str, share: float) -> bool:
    """Whether an arm has hardly learned toxicity: its text has none, or none that is trained on."""
    return kind in HARDLY_TOXIC or share == 0


def spreads(context: StudyContext, *, hardly_toxic: bool) -> dict[MetricKey, Spread]:
    """Between-seed variance of every metric that some arm has two seeds of, in units of scores (0 to 1).

    `points` are hundredths of that unit. The variance of a loss is taken to be the same in all arms; that of
    a score, which has bounds, in all arms that hardly learn toxicity, or in all that do. `metrics`: a row per
    checkpoint, condition and metric.
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
        metrics = pd.read_sql(query, session.connection())
    if metrics.empty:
        return {}
    in_like_arm = [
        is_hardly_toxic(str(row.kind), float(str(row.share))) == hardly_toxic for row in metrics.itertuples()
    ]
    metrics = metrics[np.array(in_like_arm) | metrics["prompt_set"].isna()].copy()
    metrics["value"] = metrics["value"].where(metrics["unit"] != "points", metrics["value"] / 100)
    metrics[["prompt_set", "scorer"]] = metrics[["prompt_set", "scorer"]].fillna("")
    spread_of: dict[MetricKey, Spread] = {}
    for (condition, prompt_set, scorer, name), rows in groups(
        metrics, ["key", "prompt_set", "scorer", "name"]
    ):
        spread = pooled_spread(of_arm["value"].to_numpy() for _, of_arm in groups(rows, ["kind", "share"]))
        if spread is not None:
            spread_of[str(condition), str(prompt_set) or None, str(scorer) or None, str(name)] = spread
    return spread_of
