"""Comparisons that several claims share: arm against arm, condition against condition, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from hormesis.pipeline.claims.declared import Missing
from hormesis.pipeline.claims.rows import TOXIC, ArmKey, Arms, StudyRows, paper_dose, toxic_shares
from hormesis.pipeline.statistics import Contrast, contrast

TWO_SEEDS = "needs two seeds of an arm"


def percent(share: float) -> str:
    """A fraction as a percentage: 0.05 is `5 %`."""
    return f"{share * 100:.3g} %"


def against(arms: Arms, first: ArmKey, second: ArmKey) -> Contrast | Missing:
    """`first - second`, the spread of seeds pooled over all arms."""
    for kind, share in (first, second):
        if (kind, share) not in arms:
            return Missing(f"needs the arm of {percent(share)} ({kind})")
    difference = contrast([arms[first], arms[second]], [1, -1], pool=list(arms.values()))
    return Missing(TWO_SEEDS) if difference is None else difference


def largest_against_none(arms: Arms) -> tuple[Contrast | Missing, str]:
    """The toxic arm of the largest share less the arm without toxic text, and how to say it."""
    shares = toxic_shares(arms)
    if not shares or shares[0] != 0 or len(shares) < 2:
        return Missing("needs the arm without toxic text and one with it"), ""
    return against(arms, (TOXIC, shares[-1]), (TOXIC, 0.0)), f"{percent(shares[-1])} less 0 %"


def dose_against_none(arms: Arms) -> tuple[Contrast | Missing, str]:
    """The toxic arm nearest to 10 % less the arm without toxic text: declared, so nothing is picked."""
    dose = paper_dose(arms)
    if dose is None or (TOXIC, 0.0) not in arms:
        return Missing("needs the arm without toxic text and one with it"), ""
    return against(arms, (TOXIC, dose), (TOXIC, 0.0)), f"{percent(dose)} less 0 %"


def changes(after: Arms, before: Arms) -> Arms:
    """`after - before` arm by arm, for arms whose seeds and prompts are the same in both."""
    return {
        arm: after[arm] - before[arm]
        for arm in after
        if arm in before and after[arm].shape == before[arm].shape
    }


def mean_of(arms: Mapping[ArmKey, np.ndarray], pool: Arms) -> Contrast | Missing:
    """The mean of one or several arms' values against 0, each arm weighing the same."""
    if not arms:
        return Missing("needs both conditions in one arm")
    weight = 1 / len(arms)
    mean = contrast(list(arms.values()), [weight] * len(arms), pool=list(pool.values()))
    return Missing(TWO_SEEDS) if mean is None else mean


def toxic_only(arms: Arms) -> Arms:
    """The arms with toxic text, and the clean one of the same series."""
    return {(kind, share): grid for (kind, share), grid in arms.items() if kind == TOXIC}


class Steering(NamedTuple):
    """A condition of ITI by its key, and its matched cost (nats) or fixed strength."""

    key: str
    size: float


def matched_key(rows: StudyRows) -> Steering | None:
    """Steering at the middle matched cost; None without one."""
    conditions = rows.conditions
    conditions = conditions[(conditions["method"] == "iti") & (conditions["direction"] == rows.direction)]
    costs = sorted({float(cost) for cost in conditions["matched_cost"].dropna()})
    if not costs:
        return None
    cost = costs[len(costs) // 2]
    return Steering(str(conditions[conditions["matched_cost"] == cost]["key"].iloc[0]), cost)


def strongest_key(rows: StudyRows) -> Steering | None:
    """Steering at the largest fixed strength; None without one."""
    conditions = rows.conditions
    conditions = conditions[
        (conditions["method"] == "iti")
        & (conditions["direction"] == rows.direction)
        & conditions["matched_cost"].isna()
    ]
    if conditions.empty:
        return None
    last = conditions.sort_values("strength").iloc[-1]
    return Steering(str(last["key"]), float(last["strength"]))


def measured_cost(rows: StudyRows, key: str, *arms: ArmKey) -> str:
    """What a condition cost in these arms, e.g. ` (measured cost 0.060 and 0.061 nats)`."""
    costs = rows.metric("cost", key)
    texts = [f"{costs[arm].mean():.3f}" for arm in arms if arm in costs]
    return f" (measured cost {' and '.join(texts)} nats)" if texts else ""
