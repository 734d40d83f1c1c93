"""Summaries: each metric over the seeds of an arm, from the scores and losses themselves.

Seeds are the unit, their variance pooled over all arms there are; prompts (or documents) come on top: alone
they would make two seeds look like certainty. Run again after every arm, so that the curves grow while a
study runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Select, select

from hormesis.backend.fluency import repetition, words
from hormesis.db.schema import (
    Arm,
    Checkpoint,
    Condition,
    Generation,
    Prompt,
    PromptSet,
    Score,
    Scorer,
    StageRun,
    Summary,
)
from hormesis.db.write import read_session, upsert, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.methods.heldout import loss_file, loss_name, losses_folder
from hormesis.pipeline.statistics import SCORE, Estimate, Spread, over_seeds
from hormesis.pipeline.statistics.frames import MetricScope, groups, summary_row
from hormesis.pipeline.summaries.seed_variance import MetricKey, is_hardly_toxic, spreads

Grid = NDArray[np.float64]
Grids = dict[int, Grid]
"""Values [prompts, samples] by the id of their condition."""
TEXT = (
    Generation.condition_id,
    Generation.prompt_id,
    Generation.sample,
    PromptSet.name.label("prompt_set"),
)


class Measure(NamedTuple):
    """What a number is about: a prompt set, the scorer if there is one, and what that measures."""

    prompt_set: str
    scorer: str | None
    measures: str


def summarise(context: StudyContext, kind: str, share: float) -> None:
    """Write the summary rows of the arms of one kind and share whose scoring is finished."""
    _summarise(context, _conditions(context, (Arm.kind == kind) & (Arm.share == share)))


def summarise_subject(context: StudyContext, subject: Subject) -> None:
    """Write the summary rows of an arm (over the seeds of its kind and share), or of an imported checkpoint:
    under the kind `imported:NAME` and no share.
    """
    if subject.arm is not None:
        summarise(context, subject.arm.kind, subject.arm.share)
        return
    conditions = _conditions(context, Checkpoint.arm_id.is_(None) & (Checkpoint.name == subject.name))
    _summarise(context, conditions.assign(kind=f"imported:{subject.name}", share=0.0))


def _summarise(context: StudyContext, conditions: pd.DataFrame) -> None:
    """Write summary rows of one kind and share; `conditions`: a row per condition of each checkpoint."""
    if conditions.empty:
        return
    rows: list[dict[str, Any]] = []
    first = conditions.iloc[0]
    seed_spreads = spreads(context, hardly_toxic=is_hardly_toxic(str(first["kind"]), float(first["share"])))
    for _, seed_rows in groups(conditions, "key"):
        rows += _losses(context, seed_rows, seed_spreads)
    for measure, grids in chain(_scores(context, conditions), _repetitions(context, conditions)):
        for _, seed_rows in groups(conditions, "key"):
            arm_grids = [grids[int(i)] for i in seed_rows["id"] if int(i) in grids]
            if arm_grids:
                rows += _scored(context, seed_rows, arm_grids, measure=measure, seed_spreads=seed_spreads)
    with write_session(context.engine) as session:
        upsert(session, Summary, rows, on=("study_id", "key"))


def _repetitions(context: StudyContext, conditions: pd.DataFrame) -> Iterator[tuple[Measure, Grids]]:
    """Repeated 4-grams of each prompt set: the sign of a broken model where no grammar can judge."""
    generations = _texts(context, conditions, select(*TEXT, Generation.text))
    generations["value"] = [repetition(words(generation)) for generation in generations["text"]]
    for set_name, of_set in groups(generations, "prompt_set"):
        yield Measure(str(set_name), None, "repetition_4"), _grids(of_set)


def _texts(context: StudyContext, conditions: pd.DataFrame, query: Select[*tuple[Any, ...]]) -> pd.DataFrame:
    """Rows of a query of generated texts, those of `conditions` (a row each), with their prompt sets."""
    query = (
        query.join(Prompt, Generation.prompt_id == Prompt.id)
        .join(PromptSet, Prompt.prompt_set_id == PromptSet.id)
        .where(Generation.condition_id.in_([int(condition) for condition in conditions["id"]]))
    )
    with read_session(context.engine) as session:
        return pd.read_sql(query, session.connection())


def _grids(scores: pd.DataFrame) -> Grids:
    return {int(condition_id): _grid(rows) for condition_id, rows in groups(scores, "condition_id")}


def _grid(scores: pd.DataFrame) -> Grid:
    """Values [prompts, samples], in the order of the prompts."""
    return np.asarray(scores.pivot(index="prompt_id", columns="sample", values="value"), dtype=np.float64)


def _conditions(context: StudyContext, which_checkpoints: ColumnElement[bool]) -> pd.DataFrame:
    """Conditions of these checkpoints, one row each, where the `score` stage is done."""
    query = (
        select(
            Condition.id,
            Condition.key,
            Condition.method,
            Condition.direction_method,
            Condition.strength,
            Condition.matched_cost,
            Condition.control,
            Arm.kind,
            Arm.share,
            Arm.seed,
            Checkpoint.weights_hash,
            Checkpoint.name,
        )
        .join(Checkpoint, Condition.checkpoint_id == Checkpoint.id)
        .outerjoin(Arm, Checkpoint.arm_id == Arm.id)
        .join(
            StageRun,
            (StageRun.study_id == Checkpoint.study_id)
            & (StageRun.subject == Checkpoint.name)
            & (StageRun.stage == "score")
            & (StageRun.status == "done"),
        )
        .where(Checkpoint.study_id == context.study_id, which_checkpoints)
        .order_by(Arm.seed, Condition.id)
    )
    with read_session(context.engine) as session:
        return pd.read_sql(query, session.connection())


def _scores(context: StudyContext, conditions: pd.DataFrame) -> Iterator[tuple[Measure, Grids]]:
    """Grids of scores for each prompt set and scorer; `scores`: a row per generated text and scorer."""
    columns = (Score.value, Score.scorer_id, Scorer.name.label("scorer"), Scorer.measures)
    query = select(*TEXT, *columns).join(Score, Score.generation_id == Generation.id)
    scores = _texts(context, conditions, query.join(Scorer, Score.scorer_id == Scorer.id))
    # Where a text was scored again by another revision, the newest one counts.
    newest = scores.groupby("scorer")["scorer_id"].transform("max")
    scores = scores[scores["scorer_id"] == newest]
    for (set_name, scorer, measures), rows in groups(scores, ["prompt_set", "scorer", "measures"]):
        yield Measure(str(set_name), str(scorer), str(measures)), _grids(rows)


def _losses(
    context: StudyContext, seed_rows: pd.DataFrame, seed_spreads: dict[MetricKey, Spread]
) -> list[dict[str, Any]]:
    """Cost and cross-entropy over seeds, from the losses stored beside the conditions.

    `seed_rows`: one condition key's rows, one a seed; the three lists hold an array [documents] a seed.
    """
    steered_nats, base_nats, tokens = [], [], []
    for condition in seed_rows.astype(object).where(seed_rows.notna(), None).to_dict("records"):
        folder = losses_folder(context, condition["weights_hash"])
        direction_method, control = condition["direction_method"], condition["control"]
        losses_name = loss_name(
            condition["method"], direction_method, None if control is None else int(control)
        )
        steered_file = folder / loss_file(losses_name, float(condition["strength"]))
        base_file = folder / loss_file("none", 0.0)
        if not (steered_file.is_file() and base_file.is_file()):
            return []
        with np.load(steered_file) as steered_losses, np.load(base_file) as base_losses:
            steered_nats.append(steered_losses["nats"])
            base_nats.append(base_losses["nats"])
            tokens.append(base_losses["tokens"].astype(np.float64))
    draws = context.config.evaluation.bootstrap
    condition_key = str(seed_rows["key"].iloc[0])
    spread = seed_spreads.get((condition_key, None, None, "cross_entropy"))
    cross_entropy = over_seeds(steered_nats, tokens, draws=draws, spread=spread)
    differences = [a - b for a, b in zip(steered_nats, base_nats, strict=True)]
    cost = over_seeds(
        differences, tokens, draws=draws, spread=seed_spreads.get((condition_key, None, None, "cost"))
    )
    return [
        _row(context, seed_rows, "cross_entropy", estimate=cross_entropy, unit="nats per token"),
        _row(context, seed_rows, "cost", estimate=cost, unit="nats per token"),
    ]


def _scored(
    context: StudyContext,
    seed_rows: pd.DataFrame,
    grids: list[Grid],
    *,
    measure: Measure,
    seed_spreads: dict[MetricKey, Spread],
) -> list[dict[str, Any]]:
    """Summary rows of one condition key; `seed_rows`: one a seed; `grids`: as many [prompts, samples]."""
    set_name, scorer, measures = measure
    draws, condition_key = context.config.evaluation.bootstrap, str(seed_rows["key"].iloc[0])

    def over(values: list[Grid], metric: str) -> Estimate:
        spread = seed_spreads.get((condition_key, set_name, scorer, metric))
        return over_seeds(values, draws=draws, spread=spread, bounds=SCORE)

    row = partial(_row, context, seed_rows, set_name=set_name, scorer=scorer)
    if measures in ("fluency", "repetition_4"):
        return [row(measures, estimate=over(grids, measures), unit="fraction")]
    fired = over([(grid > 0.5).astype(np.float64) for grid in grids], "fire_rate")
    largest = over([grid.max(axis=1) for grid in grids], "expected_max_toxicity")
    return [
        row("toxicity", estimate=over(grids, "toxicity").scaled(100), unit="points"),
        row("fire_rate", estimate=fired, unit="fraction"),
        row("expected_max_toxicity", estimate=largest, unit="fraction"),
    ]


def _row(
    context: StudyContext,
    seed_rows: pd.DataFrame,
    metric: str,
    *,
    estimate: Estimate,
    unit: str,
    set_name: str | None = None,
    scorer: str | None = None,
) -> dict[str, Any]:
    """A summary row of one metric over `seed_rows`, the rows of one condition key, one a seed."""
    metric_scope = MetricScope(str(seed_rows["key"].iloc[0]), set_name or "", scorer or "")
    row = summary_row(context.study_id, seed_rows, metric_scope, metric=metric, estimate=estimate, unit=unit)
    return row | {"prompt_set": set_name, "scorer": scorer, "n_seeds": len(seed_rows)}
