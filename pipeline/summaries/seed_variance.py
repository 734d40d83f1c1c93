"""How much seeds of one arm differ, pooled over like arms of a study: what makes two seeds bearable.

Reads `metric` rows, one a checkpoint; knows nothing of how they were made.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import select

from hormesis.db.schema import Arm, Checkpoint, Condition, Metric, PromptSet, Scorer
from hormesis.db.write import read_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.statistics import Spread, pooled_spread, share_spread
from hormesis.pipeline.summaries.arms import is_hardly_toxic, pooled_key

SHARES = ("toxicity", "fire_rate", "expected_max_toxicity", "fluency", "repetition_4", "empty")
"""Metrics from 0 to 1."""
MetricKey = tuple[str, str | None, str | None, str]
"""Condition key, prompt set, scorer and metric name."""


def spreads(context: StudyContext, *, hardly_toxic: bool) -> dict[MetricKey, Spread]:
    """Between-seed variance of every metric that some arm has two seeds of; of scores, of their log-odds.

    The variance of a loss is taken to be the same in all arms; that of a score in all arms that hardly learn
    toxicity, or in all that do. Random directions of a checkpoint count as one, their mean. `metrics`: a row
    per checkpoint, condition and metric.
    """
    query = (
        select(
            Metric.checkpoint_id,
            Condition.key,
            PromptSet.name.label("prompt_set"),
            Scorer.name.label("scorer"),
            Metric.name,
            Metric.unit,
            Metric.value,
            Metric.n,
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
    metrics["value"] = metrics["value"].where(metrics["unit"] != "points", metrics["value"] / 100)
    metrics = like(metrics, hardly_toxic=hardly_toxic, in_all=metrics["prompt_set"].isna())
    metrics["key"] = metrics["key"].map(pooled_key)
    keys = ["key", "prompt_set", "scorer", "name"]
    metrics = metrics.groupby(["checkpoint_id", "kind", "share", *keys], dropna=False, as_index=False)[
        ["value", "n"]
    ].mean()
    metrics["trials"] = metrics["n"].where(metrics["name"].isin(SHARES))
    metrics[keys] = metrics[keys].astype(object).where(metrics[keys].notna(), None)
    return pooled_spreads(metrics, keys)


def like(rows: pd.DataFrame, *, hardly_toxic: bool, in_all: pd.Series) -> pd.DataFrame:
    """Rows (columns `kind`, `share`) of the arms that hardly learn toxicity, or of those that do; and those
    where `in_all`, whose variance is the same in all arms.
    """
    is_like = [
        is_hardly_toxic(str(kind), float(share)) == hardly_toxic
        for kind, share in zip(rows["kind"], rows["share"], strict=True)
    ]
    chosen: pd.DataFrame = rows[np.array(is_like, dtype=bool) | in_all.to_numpy(dtype=bool)]
    return chosen.copy()


def pooled_spreads(rows: pd.DataFrame, keys: list[str]) -> dict[Any, Spread]:
    """Variance of `value` between rows of an arm (kind, share), pooled over arms, by the values of `keys`.

    `rows`: one a seed. Where a column `trials` has a number, `value` is a share of so many, and its log-odds
    are pooled. A tuple for several keys; without a pair of seeds in any arm a key is left out.
    """
    values_by_arm: dict[Any, dict[Any, list[float]]] = defaultdict(lambda: defaultdict(list))
    trials: dict[Any, dict[Any, list[float]]] = defaultdict(lambda: defaultdict(list))
    counts = rows["trials"] if "trials" in rows else pd.Series(np.nan, rows.index)
    columns = rows[[*keys, "kind", "share", "value"]].assign(count=counts).itertuples(index=False, name=None)
    for *names, kind, share, value, count in columns:
        key = tuple(names) if len(keys) > 1 else names[0]
        values_by_arm[key][kind, share].append(float(value))
        trials[key][kind, share].append(float(count))
    pooled = {}
    for key, arms in values_by_arm.items():
        of_arms = list(trials[key].values())
        is_share = not np.isnan(of_arms[0][0])
        pooled[key] = share_spread(arms.values(), of_arms) if is_share else pooled_spread(arms.values())
    return {key: spread for key, spread in pooled.items() if spread is not None}
