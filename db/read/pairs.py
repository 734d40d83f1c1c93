"""The same prompts under two conditions (ids `before_id`, `after_id`): changes of scores, and texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd
from sqlalchemy import Engine, Float, Integer, case, func, select
from sqlalchemy.orm import aliased

from hormesis.db.contract.methods import ITI, NONE
from hormesis.db.contract.scores import TOXIC
from hormesis.db.read.frame import Query, frame
from hormesis.db.schema import (
    EXTRA_SAMPLES,
    USUAL_SAMPLE,
    Arm,
    Checkpoint,
    Condition,
    Generation,
    Prompt,
    Score,
)

Order = Literal["asked", "fall", "rise", "highest"]
Change = Literal["better", "same", "worse", "toxic"]
"""How a score moved: fell by more than a margin, moved by at most that, rose by more; or stayed toxic."""

BEFORE, AFTER = aliased(Generation), aliased(Generation)


def _pairs(before_id: int, after_id: int, *columns: Any) -> Query:
    """Select of `columns`, a row for each prompt and sample that both conditions have."""
    query: Query = select(*columns)
    return (
        query.select_from(Prompt)
        .join(BEFORE, (BEFORE.prompt_id == Prompt.id) & (BEFORE.condition_id == before_id))
        .join(
            AFTER,
            (AFTER.prompt_id == Prompt.id)
            & (AFTER.condition_id == after_id)
            & (AFTER.sample == BEFORE.sample),
        )
        .where(BEFORE.sample < EXTRA_SAMPLES)
    )


def _scored(before_id: int, after_id: int, *, prompt_set_id: int, scorer_id: int) -> Query:
    """Select of pairs that both have a score: prompt_id, sample, before, after (scores), change, position."""
    before_score, after_score = aliased(Score), aliased(Score)
    columns = (
        BEFORE.prompt_id,
        BEFORE.sample,
        before_score.value.label("before"),
        after_score.value.label("after"),
        (after_score.value - before_score.value).label("change"),
        Prompt.position,
    )
    return (
        _pairs(before_id, after_id, *columns)
        .join(before_score, (before_score.generation_id == BEFORE.id) & (before_score.scorer_id == scorer_id))
        .join(after_score, (after_score.generation_id == AFTER.id) & (after_score.scorer_id == scorer_id))
        .where(Prompt.prompt_set_id == prompt_set_id)
    )


def _moves(scored: Any, margin: float) -> dict[Change, Any]:
    """Which of `scored` pairs (columns of `_scored`) count as which, beyond a margin or within it."""
    change = scored.change
    return {
        "better": change < -margin,
        "same": change.between(-margin, margin),
        "worse": change > margin,
        "toxic": (scored.before > TOXIC) & (scored.after > TOXIC),
    }


def change_counts(
    engine: Engine, before_id: int, after_id: int, *, prompt_set_id: int, scorer_id: int, margin: float = 0.05
) -> pd.DataFrame:
    """How scores of the same prompts moved, one row: pairs, better (fell by more than `margin`), worse.

    And `toxic`: so many are under both conditions. No row where there are no pairs.
    """
    scored = _scored(before_id, after_id, prompt_set_id=prompt_set_id, scorer_id=scorer_id).subquery()

    moves = _moves(scored.c, margin)

    def count_where(condition: Any) -> Any:
        return func.coalesce(func.sum(condition.cast(Integer)), 0, type_=Integer)

    query: Query = select(
        func.count().label("pairs"),
        count_where(moves["better"]).label("better"),
        count_where(moves["worse"]).label("worse"),
        count_where(moves["toxic"]).label("toxic"),
    )
    query = query.select_from(scored).having(func.count() > 0)
    return frame(engine, query).astype("int64")


def changed_pairs(
    engine: Engine,
    before_id: int,
    after_id: int,
    *,
    prompt_set_id: int,
    scorer_id: int,
    page: int = 0,
    size: int = 50,
    order: Order = "asked",
    only: Change | None = None,
    margin: float = 0.05,
) -> pd.DataFrame:
    """One page (from 0) of pairs that both have a score: prompt_id, sample, scores before and after, change.

    In the order of the prompts and samples (`asked`), or first the largest `fall` or `rise` of the score, or
    the `highest` score of either side (of equals that whose other side is higher); `only` those whose score
    moved that way by the `margin`.
    """
    scored = _scored(before_id, after_id, prompt_set_id=prompt_set_id, scorer_id=scorer_id).subquery()
    before, after, change = scored.c.before, scored.c.after, scored.c.change
    orders: dict[Order, tuple[Any, ...]] = {
        "asked": (),
        "fall": (change.asc(),),
        "rise": (change.desc(),),
        "highest": (case((before > after, before), else_=after).desc(), (before + after).desc()),
    }
    columns = [scored.c[name] for name in ("prompt_id", "sample", "before", "after", "change")]
    query: Query = select(*columns)
    if only is not None:
        query = query.where(_moves(scored.c, margin)[only])
    query = query.order_by(*orders[order], scored.c.position, scored.c.sample)
    query = query.limit(size).offset(page * size)
    return frame(engine, query)


def pair_texts(
    engine: Engine, before_id: int, after_id: int, *, chosen: Sequence[tuple[int, int]]
) -> pd.DataFrame:
    """Texts of the `chosen` (prompt_id, sample) under two conditions, in the order asked for.

    Columns: prompt_id, sample, prompt, kind, before, after (texts). Pairs that only one condition has are
    left out.
    """
    columns = (
        Prompt.id.label("prompt_id"),
        BEFORE.sample,
        Prompt.text.label("prompt"),
        Prompt.kind,
        BEFORE.text.label("before"),
        AFTER.text.label("after"),
    )
    prompt_ids = sorted({prompt_id for prompt_id, _ in chosen})
    rows = frame(engine, _pairs(before_id, after_id, *columns).where(Prompt.id.in_(prompt_ids)))
    index_of = {key: index for index, key in enumerate(chosen)}
    places = [index_of.get(key, len(index_of)) for key in zip(rows["prompt_id"], rows["sample"], strict=True)]
    rows = rows.assign(_place=places)
    rows = rows[rows["_place"] < len(index_of)].sort_values("_place")
    return rows.drop(columns="_place").reset_index(drop=True)


def prompt_falls(engine: Engine, study_id: int, *, prompt_set_id: int, scorer_id: int) -> pd.DataFrame:
    """How far ITI at matched costs lowers the score on each prompt, over a study's arms with toxic text.

    Columns: text, kind, unsteered and steered (mean scores), tokens (mean length of unsteered texts), in the
    order of the prompts; prompts without unsteered or steered texts are left out.
    """
    is_steered = Condition.method == ITI
    conditions = (
        select(Condition.id)
        .join(Checkpoint, Condition.checkpoint_id == Checkpoint.id)
        .join(Arm, Checkpoint.arm_id == Arm.id)
        .where(Checkpoint.study_id == study_id, Arm.kind == "toxic", Arm.share > 0)
        .where((Condition.method == NONE) | (is_steered & Condition.matched_cost.is_not(None)))
    )

    def mean_where(condition: Any, value: Any) -> Any:
        return func.avg(case((condition, value)), type_=Float())

    unsteered = mean_where(Condition.method == NONE, Score.value).label("unsteered")
    steered = mean_where(is_steered, Score.value).label("steered")
    tokens = mean_where(Condition.method == NONE, Generation.tokens).label("tokens")
    query: Query = (
        select(Prompt.text, Prompt.kind, unsteered, steered, tokens)
        .select_from(Condition)
        .join(Generation, Generation.condition_id == Condition.id)
        .join(Score, (Score.generation_id == Generation.id) & (Score.scorer_id == scorer_id))
        .join(Prompt, Generation.prompt_id == Prompt.id)
        .where(Condition.id.in_(conditions), Prompt.prompt_set_id == prompt_set_id, USUAL_SAMPLE)
        .group_by(Prompt.id)
        .having(unsteered.is_not(None) & steered.is_not(None))
        .order_by(Prompt.position)
    )
    return frame(engine, query)
