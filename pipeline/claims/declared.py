"""What a claim is, what its test finds, and the rules by which a finding becomes a verdict.

Knows no rows and no claim. Holm's correction runs over the claims of one family that have rows, so a verdict
can move while a study runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from hormesis.pipeline.statistics import Contrast
from hormesis.pipeline.statistics.multiplicity import holm
from hormesis.pipeline.statistics.power import detectable

if TYPE_CHECKING:
    from hormesis.pipeline.claims.rows import StudyRows

SUPPORTED, REFUTED, UNDECIDED, NO_DATA = "supported", "not supported", "undecided", "no data yet"
LEVEL = 0.05
Family = Literal["paper", "readers"]

DIRECTION = (
    "Supported: the effect has the claimed sign and Holm's p is at most .05. Not supported: the whole 95 % "
    "interval excludes an effect of {sesoi:g} {unit} in the claimed direction. Else undecided."
)
EQUIVALENCE = (
    "Two one-sided tests with a margin of {sesoi:g} {unit}. Supported: Holm's p of the larger is at "
    "most .05. Not supported: the whole 95 % interval lies outside the margin. Else undecided."
)
INTERVAL = "Student's t over seeds (variance pooled over arms) joined with prompts, 95 %"


@dataclass(frozen=True)
class Finding:
    """What a test found, in `unit`. `claimed`: on the claim's side; `excluded`: the interval rules it out.

    `detectable`: smallest effect found with power .8; `n`: prompts, statements, items; `p`: not corrected.
    """

    value: float
    low: float | None
    high: float | None
    unit: str
    n: int
    n_seeds: int
    p: float | None
    detectable: float | None
    detail: str
    claimed: bool
    excluded: bool
    interval: str = INTERVAL

    @property
    def alike(self) -> bool:
        """Whether nothing varied, so that the interval has no width: a task too easy or too hard for all arms
        and seeds (an attack that never succeeds, items that are all solved) tells nothing about a difference.
        """
        return self.low is not None and self.low == self.high


@dataclass(frozen=True)
class Missing:
    """Why a claim cannot be tested on these rows yet."""

    detail: str


Outcome = Finding | Missing


@dataclass(frozen=True)
class Scope:
    """What the toxicity of a claim is measured on."""

    prompt_set: str
    scorer: str


LATER = (
    "Written after a first look at results of forum-full: exploratory there, declared before anywhere else."
)


@dataclass(frozen=True)
class Claim:
    """A declared test, fixed before a row is looked at. Every text (`rows`, `rule`, ...) is to be shown."""

    id: str
    family: Family
    statement: str
    question: str
    estimand: str
    rows: str
    rule: str
    test: Callable[[StudyRows, Scope], Outcome]
    scoped: bool = True
    """Whether it depends on the prompt set and the scorer."""
    later: bool = False
    """Whether it was written when results of `forum-full` had been seen; for that study it is exploratory."""

    @property
    def stated_rule(self) -> str:
        """The rule, and whether it was written after a look at results."""
        return f"{self.rule} {LATER}" if self.later else self.rule


def directional(
    effect: Contrast | Missing, sign: int, sesoi: float, *, unit: str, detail: str, scale: float = 1.0,
     n: int | None = None, interval: str = INTERVAL,
) -> Outcome:  # fmt: skip
    """A finding for a claim that an effect is positive (`sign` 1) or negative (-1); what is missing stays so.

    `sesoi`: smallest effect size of interest, in the unit shown; an interval that excludes it refutes the
    claim, it supports none. `scale` turns the contrast into that unit; `n`: prompts or statements, where the
    contrast is over seeds alone.
    """
    if isinstance(effect, Missing):
        return effect
    low, high = (end * scale for end in effect.interval())
    claimed_end = high if sign > 0 else -low
    return Finding(
        value=effect.value * scale, low=low, high=high, unit=unit, n=effect.n if n is None else n,
        n_seeds=effect.seeds, p=effect.p_value(),
        detectable=detectable(effect) * scale, detail=detail, claimed=sign * effect.value > 0,
        excluded=claimed_end < sesoi,
        interval=interval,
    )  # fmt: skip


def equivalent(
    effect: Contrast | Missing, margin: float, unit: str, *, detail: str, scale: float = 1.0,
     n: int | None = None,
) -> Outcome:  # fmt: skip
    """A finding for a claim that an effect lies within +-margin (in the unit shown); the interval is 95 %.

    `n` and what is missing as for `directional`.
    """
    if isinstance(effect, Missing):
        return effect
    low, high = (end * scale for end in effect.interval())
    return Finding(
        value=effect.value * scale, low=low, high=high, unit=unit, n=effect.n if n is None else n,
        n_seeds=effect.seeds,
        p=effect.equivalence(margin / scale), detectable=detectable(effect) * scale, detail=detail,
        claimed=abs(effect.value * scale) < margin, excluded=low > margin or high < -margin,
    )  # fmt: skip


def adjusted(outcomes: Sequence[Outcome]) -> list[float | None]:
    """Holm's p of each outcome of one family, in their order; None where an outcome has no p."""
    p_values = [o.p if isinstance(o, Finding) else None for o in outcomes]
    raised = (
        iter(holm([p for p in p_values if p is not None]))
        if any(p is not None for p in p_values)
        else iter(())
    )
    return [None if p is None else float(next(raised)) for p in p_values]


def decide(outcome: Outcome, p_holm: float | None) -> str:
    """The verdict on an outcome; `p_holm`: its p corrected within its family, None without one."""
    if isinstance(outcome, Missing):
        return NO_DATA
    if outcome.n_seeds < 2:
        return UNDECIDED
    if outcome.claimed and p_holm is not None and p_holm <= LEVEL:
        return SUPPORTED
    return REFUTED if outcome.excluded else UNDECIDED


def sure(value: float | None) -> float | None:
    """None for numbers that are not finite, which no database keeps alike."""
    return None if value is None or not np.isfinite(value) else float(value)
