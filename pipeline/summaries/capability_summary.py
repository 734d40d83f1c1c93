"""What an arm's models still do, over seeds: by items where their outcomes are kept, or by intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd
from sqlalchemy import select

from hormesis.db.blocks import decode_float64
from hormesis.db.read.columns import columns_of
from hormesis.db.schema import Arm, CapabilityScore, CapabilitySummary, Checkpoint, Condition
from hormesis.db.write import read_session, replace_rows, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.probing.head_accuracy import ArmGroup
from hormesis.pipeline.statistics import SCORE, Bounds, Estimate, Floats, Spread, over_intervals, over_seeds
from hormesis.pipeline.statistics.frames import condition_row, estimates, groups
from hormesis.pipeline.summaries.arms import CHECKPOINT, in_arm
from hormesis.pipeline.summaries.seed_variance import pooled_spreads

NUMBER = ["pool", "task", "part", "measure"]
"""What tells the numbers of an arm apart."""
CHANGE = ("change", "change_low", "change_high")


class ItemOutcomes(NamedTuple):
    """What each item adds to the numerator and to the denominator of a measure, [items]."""

    top: Floats
    bottom: Floats


Items = dict[tuple[str, ...], ItemOutcomes]
"""Outcomes by checkpoint and `NUMBER`."""


def summarise_capability(context: StudyContext, arm: ArmGroup) -> None:
    """Write an arm's rows of `capability_summary`; drop those that no stored score gives any more.

    Seeds are taken to vary alike in all arms.
    """
    scores = _scores(context)
    of_arm = in_arm(scores, arm)
    with_change = scores[scores["change"].notna()]
    spreads = pooled_spreads(scores, NUMBER)
    change_spreads = pooled_spreads(with_change.assign(value=with_change["change"]), NUMBER)
    items, draws = _items(context, of_arm), context.config.evaluation.bootstrap
    rows = []
    for key, of_seeds in groups(of_arm, NUMBER):
        outcomes = [items.get((name, *key)) for name in of_seeds["checkpoint"]]
        unsteered = [items.get((name, "none", *key[1:])) for name in of_seeds["checkpoint"]]
        measured_in = of_seeds["unit"].iloc[0]
        bounds = SCORE if measured_in == "fraction" else None
        unit = "documents" if measured_in == "nats per token" else "items"
        tops = [None if scored is None else scored.top for scored in outcomes]
        estimate = _over_seeds(
            estimates(of_seeds), tops, outcomes, spread=spreads.get(key), bounds=bounds, unit=unit,
            draws=draws,
        )  # fmt: skip
        change: Estimate | None = None
        if of_seeds["change"].notna().all():
            rises = [_rise(after, before) for after, before in zip(outcomes, unsteered, strict=True)]
            change = _over_seeds(
                estimates(of_seeds, *CHANGE), rises, outcomes, spread=change_spreads.get(key),
                bounds=bounds and (-1.0, 1.0), unit=unit, draws=draws,
            )  # fmt: skip
        rows.append(_row(context, of_seeds, estimate=estimate, change=change))
    within = [
        CapabilitySummary.study_id == context.study_id,
        CapabilitySummary.kind == arm.kind,
        CapabilitySummary.share == arm.share,
    ]
    with write_session(context.engine) as session:
        replace_rows(session, CapabilitySummary, rows, on=("study_id", "key"), within=within)


def _over_seeds(
    seeds: Sequence[Estimate],
    tops: Sequence[Floats | None],
    outcomes: Sequence[ItemOutcomes | None],
    *,
    spread: Spread | None,
    bounds: Bounds | None,
    unit: str,
    draws: int,
) -> Estimate:
    """A mean over `seeds` by `tops` [items], weighted as the outcomes; where some are lost, by intervals."""
    complete = [top for top in tops if top is not None]
    weights = [scored.bottom for scored in outcomes if scored is not None]
    if len(seeds) == 1 or len(complete) < len(seeds):
        return over_intervals(seeds, spread=spread, bounds=bounds)
    return over_seeds(complete, weights, spread=spread, bounds=bounds, unit=unit, draws=draws)


def _rise(after: ItemOutcomes | None, before: ItemOutcomes | None) -> Floats | None:
    """What each item adds to the change between two conditions; None where the items are not the same."""
    if after is None or before is None or len(after.top) != len(before.top):
        return None
    return after.top - before.top


def _row(
    context: StudyContext, of_seeds: pd.DataFrame, *, estimate: Estimate, change: Estimate | None
) -> dict[str, Any]:
    first = of_seeds.iloc[0]
    names = {name: str(first[name]) for name in NUMBER[1:]}
    row = condition_row(context.study_id, of_seeds, names.values(), estimate=estimate, unit=first["unit"])
    ends = (None, None, None) if change is None else (change.value, change.low, change.high)
    chance = None if pd.isna(first["chance"]) else float(first["chance"])
    return row | names | {"chance": chance, **dict(zip(CHANGE, ends, strict=True))}


def _scores(context: StudyContext) -> pd.DataFrame:
    """Every capability score of the study, a row per checkpoint, condition, task, part and measure."""
    condition = (Condition.key.label("pool"), Condition.method, Condition.strength, Condition.matched_cost)
    columns = columns_of(
        CapabilityScore, "id", "checkpoint_id", "condition_id", "data", "item_tops", "item_bottoms"
    )
    query = (
        select(*CHECKPOINT, *condition, *columns)
        .select_from(CapabilityScore)
        .join(Condition, CapabilityScore.condition_id == Condition.id)
        .join(Checkpoint, CapabilityScore.checkpoint_id == Checkpoint.id)
        .outerjoin(Arm, Checkpoint.arm_id == Arm.id)
        .where(Checkpoint.study_id == context.study_id)
        .order_by(Arm.seed, Checkpoint.id, CapabilityScore.id)
    )
    with read_session(context.engine) as session:
        return pd.read_sql(query, session.connection())


def _items(context: StudyContext, of_arm: pd.DataFrame) -> Items:
    """The outcomes of all items that are kept of these scores' conditions."""
    score = CapabilityScore
    query = (
        select(Checkpoint.name, Condition.key, score.task, score.part, score.measure)
        .add_columns(score.item_tops, score.item_bottoms)
        .join(Condition, score.condition_id == Condition.id)
        .join(Checkpoint, score.checkpoint_id == Checkpoint.id)
        .where(Checkpoint.study_id == context.study_id, score.item_bottoms.is_not(None))
        .where(Checkpoint.name.in_(list(of_arm["checkpoint"].unique())))
    )
    with read_session(context.engine) as session:
        return {
            tuple(names): ItemOutcomes(decode_float64(tops or b""), decode_float64(bottoms or b""))
            for *names, tops, bottoms in session.execute(query)
        }
