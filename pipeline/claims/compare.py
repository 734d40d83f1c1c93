"""Comparisons that claims share, of arms' values [seeds] or [seeds, prompts]: arms, conditions, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from hormesis.pipeline.claims.declared import Comparison, Missing, Scale
from hormesis.pipeline.claims.rows import TOXIC, ArmKey, StudyRows, ValuesByArm, paper_dose, toxic_shares
from hormesis.pipeline.statistics import ArmMean, contrast

TWO_SEEDS = "needs two seeds of an arm"
CLEAN_ARM: ArmKey = (TOXIC, 0.0)
MeansByArm = Mapping[ArmKey, ArmMean]
"""Arm to its mean on the scale compared."""


def percent(share: float) -> str:
    """A fraction as a percentage: 0.05 is `5 %`."""
    return f"{share * 100:.3g} %"


def against(
    values: ValuesByArm, first: ArmKey, second: ArmKey, *, scale: Scale, sign: int
) -> Comparison | Missing:
    """The arm `first` less `second`, seeds' spread pooled over all `values`; `sign`: claimed, 0 for none."""
    absent = next((arm for arm in (first, second) if arm not in values), None)
    if absent is not None:
        return Missing(f"needs the arm of {percent(absent[1])} ({absent[0]})")
    means = {arm: scale.mean(of_arm) for arm, of_arm in values.items()}
    return less(means, first, second, extremes=scale.extremes(values[first], sign))


def less(
    means: MeansByArm, first: ArmKey, second: ArmKey, *, extremes: Sequence[ArmMean] = ()
) -> Comparison | Missing:
    """The mean of `first` less that of `second`; `extremes`: of the first, as in `Scale`."""
    pool = list(means.values())
    effect = contrast([means[first], means[second]], [1, -1], pool=pool)
    if effect is None:
        return Missing(TWO_SEEDS)
    nearer = [contrast([extreme, means[second]], [1, -1], pool=pool) for extreme in extremes]
    return Comparison(effect, [extreme for extreme in nearer if extreme is not None])


class Pair(NamedTuple):
    """Two arms that are compared; reads as `10 % less 0 %`."""

    first: ArmKey
    second: ArmKey

    def __str__(self) -> str:
        return f"{percent(self.first[1])} less {percent(self.second[1])}"


def largest_and_none(arms: Mapping[ArmKey, object]) -> Pair | Missing:
    """The toxic arm of the largest share, and the arm without toxic text."""
    shares = toxic_shares(arms)
    if not shares or shares[0] != 0 or len(shares) < 2:
        return Missing("needs the arm without toxic text and one with it")
    return Pair((TOXIC, shares[-1]), CLEAN_ARM)


def dose_and_none(arms: Mapping[ArmKey, object]) -> Pair | Missing:
    """The toxic arm nearest to 10 %, as declared, and the arm without toxic text."""
    dose = paper_dose(arms)
    if dose is None or CLEAN_ARM not in arms:
        return Missing("needs the arm without toxic text and one with it")
    return Pair((TOXIC, dose), CLEAN_ARM)


class Changes(NamedTuple):
    """What a condition changes in each arm, and what it could change at most, as in `Scale.extremes`."""

    means: dict[ArmKey, ArmMean]
    extremes: dict[ArmKey, list[ArmMean]]


def changes(after: ValuesByArm, before: ValuesByArm, *, scale: Scale, sign: int) -> Changes:
    """`after` less `before` arm by arm, for arms whose two arrays have the same shape; `sign`: claimed."""
    arms = [arm for arm in after if arm in before and after[arm].shape == before[arm].shape]
    unchanged = {arm: scale.mean(before[arm]) for arm in arms}
    return Changes(
        {arm: scale.mean(after[arm]) - unchanged[arm] for arm in arms},
        {arm: [end - unchanged[arm] for end in scale.extremes(after[arm], sign)] for arm in arms},
    )


def mean_of(change: Changes, pool: Changes | None = None) -> Comparison | Missing:
    """The mean over arms against none, each weighing the same; `pool`: arms that give the spread of seeds."""
    if not change.means:
        return Missing("needs steered and unsteered texts, or what else is compared, of one arm")
    weights = [1 / len(change.means)] * len(change.means)
    pooled = list((pool or change).means.values())
    mean = contrast(list(change.means.values()), weights, pool=pooled)
    if mean is None:
        return Missing(TWO_SEEDS)
    nearer = [
        contrast(list(arms), weights, pool=pooled) for arms in zip(*change.extremes.values(), strict=True)
    ]
    return Comparison(mean, [extreme for extreme in nearer if extreme is not None])


def mean_of_arms(values: ValuesByArm, *, scale: Scale, sign: int) -> Comparison | Missing:
    """The mean over arms against none of values [seeds] that are effects themselves."""
    zeros = {arm: np.zeros_like(of_arm) for arm, of_arm in values.items()}
    return mean_of(changes(values, zeros, scale=scale, sign=sign))


def toxic_only(values_by_arm: ValuesByArm) -> ValuesByArm:
    """The arms with toxic text, and the clean one of the same series."""
    return {(kind, share): values for (kind, share), values in values_by_arm.items() if kind == TOXIC}


def points_of(values: ValuesByArm, pair: Pair) -> str:
    """Mean scores of two arms in words, e.g. `2.5 against 4.1 points`."""
    first, second = (100 * float(np.nanmean(values[arm])) for arm in pair)
    return f"{first:.3g} against {second:.3g} points"


def measured_shares(study: StudyRows, pair: Pair) -> str:
    """What of two arms' tokens is toxic by the judge, e.g. `; 9.7 against 3.1 % of tokens are toxic text`."""
    shares = study.measured_shares
    if not set(pair) <= set(shares):
        return ""
    first, second = (f"{100 * shares[arm]:.3g}" for arm in pair)
    return f"; {first} against {second} % of tokens are toxic text"


class Steering(NamedTuple):
    """A condition of ITI by its key, and its matched cost (nats) or fixed strength."""

    key: str
    size: float


def matched(study: StudyRows, direction: str | None = None) -> list[Steering]:
    """ITI at each matched cost (nats), rising, along the study's main directions or others."""
    conditions = study.conditions
    is_iti = (conditions["method"] == "iti") & (conditions["direction"] == (direction or study.direction))
    conditions = conditions[is_iti].dropna(subset=["matched_cost"]).drop_duplicates("matched_cost")
    pairs = zip(conditions["key"], conditions["matched_cost"], strict=True)
    return sorted(
        (Steering(str(key), float(cost)) for key, cost in pairs), key=lambda steering: steering.size
    )


def matched_key(study: StudyRows) -> Steering | None:
    """ITI at the middle matched cost (nats), or None."""
    steerings = matched(study)
    return steerings[len(steerings) // 2] if steerings else None


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
