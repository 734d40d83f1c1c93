"""Comparisons that claims share, of arms' values [seeds] or [seeds, prompts]: arms, conditions, in words."""

from __future__ import annotations

from typing import NamedTuple

from hormesis.pipeline.claims.declared import Missing
from hormesis.pipeline.claims.rows import TOXIC, ArmKey, StudyRows, ValuesByArm, paper_dose, toxic_shares
from hormesis.pipeline.statistics import Contrast, contrast

TWO_SEEDS = "needs two seeds of an arm"


def percent(share: float) -> str:
    """A fraction as a percentage: 0.05 is `5 %`."""
    return f"{share * 100:.3g} %"


def against(values_by_arm: ValuesByArm, first: ArmKey, second: ArmKey) -> Contrast | Missing:
    """Mean of the arm `first` less that of `second`, the spread of seeds pooled over all arms."""
    for kind, share in (first, second):
        if (kind, share) not in values_by_arm:
            return Missing(f"needs the arm of {percent(share)} ({kind})")
    difference = contrast(
        [values_by_arm[first], values_by_arm[second]], [1, -1], pool=list(values_by_arm.values())
    )
    return Missing(TWO_SEEDS) if difference is None else difference


def largest_against_none(values_by_arm: ValuesByArm) -> tuple[Contrast | Missing, str]:
    """The toxic arm of the largest share less the arm without toxic text; and in words, `10 % less 0 %`."""
    shares = toxic_shares(values_by_arm)
    if not shares or shares[0] != 0 or len(shares) < 2:
        return Missing("needs the arm without toxic text and one with it"), ""
    return against(values_by_arm, (TOXIC, shares[-1]), (TOXIC, 0.0)), f"{percent(shares[-1])} less 0 %"


def dose_against_none(values_by_arm: ValuesByArm) -> tuple[Contrast | Missing, str]:
    """The toxic arm nearest to 10 %, as declared, less the arm without toxic text; and `10 % less 0 %`."""
    dose = paper_dose(values_by_arm)
    if dose is None or (TOXIC, 0.0) not in values_by_arm:
        return Missing("needs the arm without toxic text and one with it"), ""
    return against(values_by_arm, (TOXIC, dose), (TOXIC, 0.0)), f"{percent(dose)} less 0 %"


def changes(after: ValuesByArm, before: ValuesByArm) -> ValuesByArm:
    """`after - before` arm by arm, for arms whose two arrays have the same shape."""
    return {
        arm: after[arm] - before[arm]
        for arm in after
        if arm in before and after[arm].shape == before[arm].shape
    }


def mean_of(values_by_arm: ValuesByArm, pool: ValuesByArm | None = None) -> Contrast | Missing:
    """The mean over arms against 0, each weighing the same; `pool`: arms that give the spread of seeds."""
    if not values_by_arm:
        return Missing("needs both conditions in one arm")
    values = list(values_by_arm.values())
    mean = contrast(values, [1 / len(values)] * len(values), pool=list(pool.values()) if pool else values)
    return Missing(TWO_SEEDS) if mean is None else mean


def toxic_only(values_by_arm: ValuesByArm) -> ValuesByArm:
    """The arms with toxic text, and the clean one of the same series."""
    return {(kind, share): values for (kind, share), values in values_by_arm.items() if kind == TOXIC}


class Steering(NamedTuple):
    """A condition of ITI by its key, and its matched cost (nats) or fixed strength."""

    key: str
    size: float


def matched_key(study: StudyRows) -> Steering | None:
    """ITI at the middle matched cost (nats), or None; `conditions`: a row per checkpoint and condition."""
    conditions = study.conditions
    conditions = conditions[(conditions["method"] == "iti") & (conditions["direction"] == study.direction)]
    costs = sorted({float(cost) for cost in conditions["matched_cost"].dropna()})
    if not costs:
        return None
    cost = costs[len(costs) // 2]
    return Steering(str(conditions[conditions["matched_cost"] == cost]["key"].iloc[0]), cost)


def strongest_key(study: StudyRows) -> Steering | None:
    """ITI at the largest fixed strength, or None; `conditions`: a row per checkpoint and condition."""
    conditions = study.conditions
    conditions = conditions[
        (conditions["method"] == "iti")
        & (conditions["direction"] == study.direction)
        & conditions["matched_cost"].isna()
    ]
    if conditions.empty:
        return None
    strongest = conditions.sort_values("strength").iloc[-1]
    return Steering(str(strongest["key"]), float(strongest["strength"]))


def measured_cost(study: StudyRows, condition_key: str, *arms: ArmKey) -> str:
    """What a condition cost in these arms, e.g. ` (measured cost 0.060 and 0.061 nats)`."""
    costs_by_arm = study.metric("cost", condition_key)
    cost_texts = [f"{costs_by_arm[arm].mean():.3f}" for arm in arms if arm in costs_by_arm]
    return f" (measured cost {' and '.join(cost_texts)} nats)" if cost_texts else ""
