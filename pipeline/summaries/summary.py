"""Summaries: each metric over the seeds of an arm, from the scores and losses themselves.

Seeds are the unit, their variance pooled over like arms; prompts (or documents) come on top: alone they
would make two seeds look like certainty. Run again after every arm, so that the curves grow while a
study runs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sqlalchemy import Select, select
from sqlalchemy.orm import aliased

from hormesis.backend.scorers import is_empty
from hormesis.db.blocks import decode_float64, decode_int64
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
from hormesis.db.write import delete_others, read_session, upsert, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.methods.heldout import loss_file, loss_name, losses_folder
from hormesis.pipeline.probing.head_accuracy import ArmGroup
from hormesis.pipeline.statistics import (
    SCORE,
    Estimate,
    Floats,
    Spread,
    above,
    by_prompt,
    largest,
    over_directions,
)
from hormesis.pipeline.statistics.frames import condition_row, groups
from hormesis.pipeline.summaries.arms import CHECKPOINT, in_arm, is_hardly_toxic, pooled_key
from hormesis.pipeline.summaries.seed_variance import MetricKey, spreads
from hormesis.pipeline.text.score_grids import ScoreGrids, score_grids
from hormesis.pipeline.text.stand_ins import repetition_of

Grids = dict[int, ScoreGrids]
"""Values [prompts, samples] by the id of their condition."""
TEXT = (
    Generation.condition_id,
    Generation.prompt_id,
    Generation.sample,
    PromptSet.name.label("prompt_set"),
)


KEYS = [column.key for column in TEXT[:3]]
"""What tells the texts of a study apart."""


class Measure(NamedTuple):
    """What a number is about: a prompt set, the scorer if there is one, and what that measures."""

    prompt_set: str
    scorer: str | None
    measures: str


def summarise(context: StudyContext, arm: ArmGroup) -> None:
    """Write an arm's summary rows, of checkpoints whose scoring is finished; drop those of lost conditions.

    `conditions`: a row per condition of each checkpoint; all random directions of a setting share a `pool`.
    """
    conditions = in_arm(_conditions(context), arm)
    # Where a seed breaks under a condition the arm has no number there.
    broken = conditions.loc[conditions["defect"].notna(), "key"]
    conditions = conditions[~conditions["key"].isin(broken)]
    if conditions.empty:
        return
    conditions = conditions.assign(pool=conditions["key"].map(pooled_key))
    rows: list[dict[str, Any]] = []
    seed_spreads = spreads(context, hardly_toxic=is_hardly_toxic(*arm))
    for _, pool in groups(conditions, "pool"):
        rows += _losses(context, pool, seed_spreads)
    for measure, grids in chain(_scores(context, conditions), _of_texts(context, conditions)):
        for _, pool in groups(conditions, "pool"):
            scored = pool[pool["id"].isin(grids)]
            if len(scored):
                rows += _scored(context, scored, grids, measure=measure, seed_spreads=seed_spreads)
    of_arm = [Summary.study_id == context.study_id, Summary.kind == arm.kind, Summary.share == arm.share]
    with write_session(context.engine) as session:
        delete_others(session, Summary, set(conditions["pool"]), on=("condition_key",), within=of_arm)
        upsert(session, Summary, rows, on=("study_id", "key"))
        # Where every text is empty there is no score any more.
        of_prompts = [*of_arm, Summary.prompt_set.is_not(None)]
        delete_others(session, Summary, {row["key"] for row in rows}, on=("key",), within=of_prompts)


def _of_texts(context: StudyContext, conditions: pd.DataFrame) -> Iterator[tuple[Measure, Grids]]:
    """Signs of a broken model where no grammar can judge: empty texts, repeated 4-grams of the others."""
    generations = _texts(context, conditions, select(*TEXT, Generation.text))
    is_said = ~generations["text"].map(is_empty).astype(bool)
    repetitions = pd.Series([repetition_of(text) for text in generations["text"]]).where(is_said)
    values = {"repetition_4": repetitions, "empty": (~is_said).astype(float)}
    for name, of_name in values.items():
        for set_name, of_set in groups(generations.assign(value=of_name), "prompt_set"):
            yield Measure(str(set_name), None, name), _grids(context, conditions, of_set)


def _texts(context: StudyContext, conditions: pd.DataFrame, query: Select[*tuple[Any, ...]]) -> pd.DataFrame:
    """Rows of a query of generated texts, those of `conditions` (a row each), with their prompt sets."""
    query = (
        query.join(Prompt, Generation.prompt_id == Prompt.id)
        .join(PromptSet, Prompt.prompt_set_id == PromptSet.id)
        .where(Generation.condition_id.in_([int(condition) for condition in conditions["id"]]))
    )
    with read_session(context.engine) as session:
        return pd.read_sql(query, session.connection())


def _grids(context: StudyContext, conditions: pd.DataFrame, scores: pd.DataFrame) -> Grids:
    """Grids of a prompt set's `scores` (or other values), a row per text; `conditions`: a row each."""
    keys = dict(zip(conditions["id"], conditions["key"], strict=True))
    samples = context.config.evaluation.maximum_samples
    return {int(key): score_grids(rows, samples(keys[key])) for key, rows in groups(scores, "condition_id")}


def _conditions(context: StudyContext) -> pd.DataFrame:
    """Conditions of all checkpoints, one row each, where the `score` stage is done."""
    query = (
        select(
            Condition.id,
            Condition.key,
            Condition.method,
            Condition.direction_method,
            Condition.strength,
            Condition.matched_cost,
            Condition.control,
            Condition.parameters["defect"].as_string().label("defect"),
            *CHECKPOINT,
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
        .where(Checkpoint.study_id == context.study_id)
        .order_by(Arm.seed, Checkpoint.id, Condition.id)
    )
    with read_session(context.engine) as session:
        return pd.read_sql(query, session.connection())


def _scores(context: StudyContext, conditions: pd.DataFrame) -> Iterator[tuple[Measure, Grids]]:
    """Grids of scores for each prompt set and scorer; `scores`: a row per scored text and scorer.

    `texts`: a row per generated text; the empty ones have no score.
    """
    columns = (Score.value, Score.scorer_id, Scorer.name.label("scorer"), Scorer.measures)
    query = select(*TEXT, *columns).join(Score, Score.generation_id == Generation.id)
    scores = _texts(context, conditions, query.join(Scorer, Score.scorer_id == Scorer.id))
    # Where a text was scored again by another revision, the newest one counts.
    newest = scores.groupby(["scorer", *KEYS])["scorer_id"].transform("max")
    scores = scores[scores["scorer_id"] == newest]
    texts = _texts(context, conditions, select(*TEXT))
    for (set_name, scorer, measures), of_scorer in groups(scores, ["prompt_set", "scorer", "measures"]):
        of_set = texts[texts["prompt_set"] == set_name]
        rows = of_set.merge(of_scorer[[*KEYS, "value"]], on=KEYS, how="left")
        yield Measure(str(set_name), str(scorer), str(measures)), _grids(context, conditions, rows)


def _losses(
    context: StudyContext, pool: pd.DataFrame, seed_spreads: dict[MetricKey, Spread]
) -> list[dict[str, Any]]:
    """Cost and cross-entropy over seeds, from the losses stored beside the conditions.

    `pool`: conditions of one key, a row per seed (and random direction); the lists hold an array [documents]
    for each.
    """
    steered_nats, differences, tokens = [], [], []
    for _, of_seed in groups(pool, "checkpoint", sort=False):
        arrays = [_loss_arrays(context, row) for row in of_seed.to_dict("records")]
        losses = [array for array in arrays if array is not None]
        if len(losses) < len(arrays):
            return []
        steered_nats.append([steered for steered, _, _ in losses])
        differences.append([steered - base for steered, base, _ in losses])
        tokens.append(losses[0][2])
    draws, key = context.config.evaluation.bootstrap, str(pool["pool"].iloc[0])
    rows = []
    for metric, nats in (("cross_entropy", steered_nats), ("cost", differences)):
        spread = seed_spreads.get((key, None, None, metric))
        estimate = over_directions(nats, tokens, draws=draws, spread=spread, unit="documents")
        rows.append(_row(context, pool, metric, estimate=estimate, unit="nats per token"))
    return rows


def _loss_arrays(
    context: StudyContext, condition: dict[Hashable, Any]
) -> tuple[Floats, Floats, Floats] | None:
    """Nats under a condition (a row), nats unsteered and tokens, [documents] each; None where not stored."""
    unsteered = aliased(Condition)
    query = (
        select(Condition.document_nats, unsteered.document_nats, unsteered.document_tokens)
        .join(unsteered, unsteered.checkpoint_id == Condition.checkpoint_id)
        .where(Condition.id == condition["id"], unsteered.key == "none")
    )
    with read_session(context.engine) as session:
        row = session.execute(query).first()
    nats, unsteered_nats, tokens = row or (None, None, None)
    if nats is None or unsteered_nats is None or tokens is None:
        return _loss_files(context, condition)
    return decode_float64(nats), decode_float64(unsteered_nats), decode_int64(tokens).astype(np.float64)


def _loss_files(
    context: StudyContext, condition: dict[Hashable, Any]
) -> tuple[Floats, Floats, Floats] | None:
    """The same from the files of the search for strengths, for conditions of an earlier version."""
    folder = losses_folder(context, condition["weights_hash"])
    control, direction = condition["control"], condition["direction_method"]
    losses_name = loss_name(
        condition["method"],
        None if pd.isna(direction) else direction,
        None if pd.isna(control) else int(control),
    )
    steered_file = folder / loss_file(losses_name, float(condition["strength"]))
    base_file = folder / loss_file("none", 0.0)
    if not (steered_file.is_file() and base_file.is_file()):
        return None
    with np.load(steered_file) as steered, np.load(base_file) as base:
        return steered["nats"], base["nats"], base["tokens"].astype(np.float64)


def _scored(
    context: StudyContext,
    pool: pd.DataFrame,
    grids: Grids,
    *,
    measure: Measure,
    seed_spreads: dict[MetricKey, Spread],
) -> list[dict[str, Any]]:
    """Summary rows of conditions of one key, `pool`: a row per seed (and random direction)."""
    set_name, scorer, measures = measure
    draws, key = context.config.evaluation.bootstrap, str(pool["pool"].iloc[0])
    of_seeds = [
        [grids[int(number)] for number in of_seed["id"]]
        for _, of_seed in groups(pool, "checkpoint", sort=False)
    ]

    row = partial(_row, context, pool, set_name=set_name, scorer=scorer)

    def over(metric: str, of_grid: Callable[[ScoreGrids], Floats]) -> Estimate | None:
        values = [[of_grid(grid) for grid in of_seed] for of_seed in of_seeds]
        spread = seed_spreads.get((key, set_name, scorer, metric))
        if any(np.isnan(of_direction).all() for of_seed in values for of_direction in of_seed):
            return None
        return over_directions(values, draws=draws, spread=spread, bounds=SCORE)

    if measures in ("fluency", "repetition_4", "empty"):
        estimate = over(measures, lambda grids: by_prompt(grids.usual))
        return [] if estimate is None else [row(measures, estimate=estimate, unit="fraction")]
    toxicity = over("toxicity", lambda grids: by_prompt(grids.usual))
    fired = over("fire_rate", lambda grids: by_prompt(above(grids.usual)))
    if toxicity is None or fired is None:
        return []
    rows = [
        row("toxicity", estimate=toxicity.scaled(100), unit="points"),
        row("fire_rate", estimate=fired, unit="fraction"),
    ]
    samples = {0 if (grid := grids[int(key)].maximum) is None else grid.shape[1] for key in pool["id"]}
    if samples != {0} and len(samples) == 1:
        maximum = over("expected_max_toxicity", _largest)
        if maximum is not None:
            text = f"{maximum.method}; largest of {samples.pop()} samples"
            rows.append(row("expected_max_toxicity", estimate=replace(maximum, method=text), unit="fraction"))
    return rows


def _largest(grids: ScoreGrids) -> Floats:
    """The largest of the samples of each prompt, [prompts]; of grids that have a maximum."""
    assert grids.maximum is not None
    return largest(grids.maximum)


def _row(
    context: StudyContext,
    pool: pd.DataFrame,
    metric: str,
    *,
    estimate: Estimate,
    unit: str,
    set_name: str | None = None,
    scorer: str | None = None,
) -> dict[str, Any]:
    """A summary row of one metric over `pool`, conditions of one key."""
    key_parts = (set_name or "", scorer or "", metric)
    row = condition_row(context.study_id, pool, key_parts, estimate=estimate, unit=unit)
    return row | {"prompt_set": set_name, "scorer": scorer, "name": metric}
