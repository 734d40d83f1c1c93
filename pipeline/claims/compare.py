"""Comparisons that several claims share: arm against arm, condition against condition, in words."""

from __future__ import annotations

from collections.abc import Mapping

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
    for key in (first, second):
        if key not in arms:
            return Missing(f"needs the arm of {percent(key[1])} ({key[0]})")
    found = contrast([arms[first], arms[second]], [1, -1], pool=list(arms.values()))
    return Missing(TWO_SEEDS) if found is None else found


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
    found = contrast(list(arms.values()), [weight] * len(arms), pool=list(pool.values()))
    return Missing(TWO_SEEDS) if found is None else found


def toxic_only(arms: Arms) -> Arms:
    """The arms with toxic text, and the clean one of the same series."""
    return {key: grid for key, grid in arms.items() if key[0] == TOXIC}


def matched_key(rows: StudyRows) -> tuple[str, float] | None:
    """Key of steering at the middle matched cost, and that cost; None without one."""
    mine = rows.conditions
    mine = mine[(mine["method"] == "iti") & (mine["direction"] == rows.direction)]
    costs = sorted({float(cost) for cost in mine["matched_cost"].dropna()})
    if not costs:
        return None
    cost = costs[len(costs) // 2]
    return str(mine[mine["matched_cost"] == cost]["key"].iloc[0]), cost


def strongest_key(rows: StudyRows) -> tuple[str, float] | None:
    """Key of steering at the largest fixed strength, and that strength; None without one."""
    mine = rows.conditions
    mine = mine[
        (mine["method"] == "iti") & (mine["direction"] == rows.direction) & mine["matched_cost"].isna()
    ]
    if mine.empty:
        return None
    last = mine.sort_values("strength").iloc[-1]
    return str(last["key"]), float(last["strength"])


def costs_said(rows: StudyRows, key: str, *arms: ArmKey) -> str:
    """What a condition cost in these arms, e.g. ` (measured cost 0.060 and 0.061 nats)`."""
    found = rows.metric("cost", key)
    known = [f"{found[arm].mean():.3f}" for arm in arms if arm in found]
    return f" (measured cost {' and '.join(known)} nats)" if known else ""
