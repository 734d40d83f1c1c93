"""What a claim is, what its test finds, and the rules by which a finding becomes a verdict.

Knows no rows and no claim. Holm's correction runs over the claims of one family that have rows, so a verdict
can move while a study runs; room and power are those within the same family.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hormesis.pipeline.statistics import ArmMean, Contrast, Floats, arm_mean, log_odds
from hormesis.pipeline.statistics.arms import HALF
from hormesis.pipeline.statistics.multiplicity import holm
from hormesis.pipeline.statistics.power import detectable, narrowest_margin

if TYPE_CHECKING:
    from hormesis.pipeline.claims.rows import StudyRows

SUPPORTED, REFUTED, UNDECIDED = "supported", "not supported", "undecided"
CANNOT_TELL, NO_DATA = "cannot be told", "no data yet"
LEVEL = 0.05
Family = Literal["paper", "readers"]
Breadth = Literal["study", "prompts", "scorer"]
"""What a claim has a verdict for: the study as a whole, each prompt set, or each prompt set and scorer."""

DIRECTION = (
    "Supported: the effect has the claimed sign, Holm's p is at most .05 and the 95 % interval does not "
    "exclude an effect of {sesoi:g} {unit}. Not supported: the whole interval excludes {sesoi:g} {unit} in "
    "the claimed direction. Cannot be told, instead of either: not even an effect as large as the scale "
    "allows would pass Holm here, and the interval does not lie on the other side of none. Else undecided."
)
EQUIVALENCE = (
    "Two one-sided tests with a margin of {sesoi:g} {unit}. Supported: Holm's p of the larger is at most "
    ".05. Not supported: the whole 95 % interval lies outside the margin. Cannot be told: not even equal "
    "arms would pass Holm here. Else undecided."
)
OF_SEEDS = "Student's t over seeds (variance pooled over the claim's arms), 95 %"
"""Of a contrast of one number a seed."""
INTERVAL = (
    "Student's t over seeds (variance pooled over the claim's arms, apart from answers' noise) and prompts, "
    "95 %"
)


@dataclass(frozen=True)
class Scale:
    """The scale on which arms are compared, and how an effect on it is shown.

    An effect times `factor` is in `unit`; of a `ratio`, the exponential of the effect is. `bounds`: least and
    largest mean of an arm, where there are such.
    """

    unit: str
    factor: float = 1.0
    ratio: bool = False
    bounds: tuple[float, float] | None = None

    def display(self, effect: float) -> float:
        """An effect in the unit shown."""
        return math.exp(min(effect, 700.0)) if self.ratio else effect * self.factor

    def effect(self, value: float) -> float:
        """The effect that is shown as this number."""
        return math.log(value) if self.ratio else value / self.factor

    def mean(self, values: ArrayLike) -> ArmMean:
        """An arm's mean on this scale; `values` [seeds] or [seeds, prompts]."""
        return log_odds(values) if self.ratio else arm_mean(values)

    def extremes(self, values: ArrayLike, sign: int) -> list[ArmMean]:
        """Means that the same arm could have: the end of the scale in the direction of `sign` and inwards
        from it, then the other end and inwards from that.

        Several for log-odds, as a test that divides by the error at the estimate finds a rate of 0 or 1 less
        surely than one near it (Hauck and Donner 1977). None without an end.
        """
        if self.bounds is None or sign == 0:
            return []
        ends = self.bounds if sign < 0 else self.bounds[::-1]
        if not self.ratio:
            return [replace(self.mean(values), value=end) for end in ends]
        array = np.asarray(values, dtype=np.float64)
        mean = float(np.nanmean(array))
        return [self._constant(array, end + (mean - end) * part) for end in ends for part in NEARER]

    def _constant(self, array: Floats, rate: float) -> ArmMean:
        """The log-odds of an arm of binary answers at a rate, none of which differs from seed to seed."""
        count = int((~np.isnan(array)).sum())
        share = (rate * count + HALF) / (count + 2 * HALF)
        slope = share * (1 - share)
        mean = self.mean(array)
        floor = len(array) / (count * slope)
        return replace(mean, value=math.log(share / (1 - share)), influence=mean.influence * 0, floor=floor)


NEARER = (0.0, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Parts of an arm's distance from the end of the scale."""
ODDS = Scale("odds ratio", ratio=True, bounds=(0.0, 1.0))
"""Of shares and scores from 0 to 1."""
ODDS_SESOI = 1.5
"""Odds ratio that would matter, upwards; downwards 1 / 1.5 = .67."""
POINTS = Scale("points", 100, bounds=(0.0, 1.0))
DIFFERENCE = Scale("points", 100, bounds=(-1.0, 1.0))
"""Of differences between two such numbers."""


class Comparison(NamedTuple):
    """An effect, and those that these rows would give were the arm in question nearer to an end of the scale:
    as many towards the end in the claimed direction, the end first, as then towards the other; none where the
    scale has no end.
    """

    effect: Contrast
    extremes: Sequence[Contrast] = ()


@dataclass(frozen=True)
class Finding:
    """What a test found, in `unit`. `claimed`: on the claim's side; `excluded`: the interval rules it out.

    `contrast`: what was compared, in a few words; `n`: prompts, statements, items; `p`: not corrected.
    """

    value: float
    low: float | None
    high: float | None
    unit: str
    n: int
    n_seeds: int
    p: float | None
    contrast: str
    detail: str
    claimed: bool
    excluded: bool
    interval: str = INTERVAL
    best_p: float | None = None
    """Smallest p, not corrected, of any effect that the scale allows, the one found among them; None where it
    has no end.
    """
    room: float | None = None
    """The largest effect that the scale allows, in `unit`; None where it has no end."""
    sees: Callable[[float], float | None] = lambda level: None
    """Smallest effect (of an equivalence: margin), in `unit`, found at a level with a power of .8."""
    failable: bool = True
    """Whether any effect that the scale allows would come out as not supported."""
    opposed: bool = False
    """Whether the whole interval lies on the other side of none, so that room is no question."""
    varies: bool = True
    """Whether anything differs: a scorer that says one thing of all texts tells of no difference."""

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

    def cut(self, breadth: Breadth) -> Scope:
        """The part of it that a claim of this breadth depends on."""
        prompt_set = "" if breadth == "study" else self.prompt_set
        return Scope(prompt_set, self.scorer if breadth == "scorer" else "")


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
    breadth: Breadth = "scorer"
    of_curve: bool = False
    """Whether it is about the whole curve over the share, a family of its own."""
    later: bool = False
    """Whether it was written when results of `forum-full` had been seen; for that study it is exploratory."""

    @property
    def stated_rule(self) -> str:
        """The rule, and whether it was written after a look at results."""
        return f"{self.rule} {LATER}" if self.later else self.rule

    @property
    def tested_with(self) -> tuple[str, Breadth, bool]:
        """The claims that Holm's correction counts together: no test stands in two such families."""
        return self.family, self.breadth, self.of_curve


def directional(
    comparison: Comparison | Missing, sign: int, sesoi: float, *, scale: Scale, contrast: str,
    detail: str = "", n: int | None = None, interval: str = "",
) -> Outcome:  # fmt: skip
    """A finding for a claim that an effect is positive (`sign` 1) or negative (-1); what is missing stays so.

    `sesoi`: smallest effect size of interest, in the unit shown and in the claimed direction; an interval
    that excludes it refutes the claim. `n`: prompts or statements, where the contrast is over seeds alone.
    """
    if isinstance(comparison, Missing):
        return comparison
    effect, extremes = comparison
    low, high = (scale.display(end) for end in effect.interval())

    def claimed_end(of: Contrast) -> float:
        return sign * of.value + of.reach()

    least = sign * scale.effect(sesoi)
    claimed = extremes[: len(extremes) // 2]
    return Finding(
        value=scale.display(effect.value), low=low, high=high, unit=scale.unit,
        n=effect.n if n is None else n, n_seeds=effect.seeds, p=effect.p_value(), contrast=contrast,
        detail=detail, claimed=sign * effect.value > 0,
        excluded=claimed_end(effect) < least, interval=interval or _interval(n),
        best_p=min(e.p_value() if sign * e.value > 0 else 1.0 for e in (effect, *claimed)) if claimed
        else None,
        failable=not extremes or any(claimed_end(extreme) < least for extreme in (effect, *extremes)),
        room=scale.display(extremes[0].value) if extremes else None,
        sees=lambda level: abs(scale.display(sign * detectable(effect, level=level))),
        opposed=claimed_end(effect) < 0, varies=effect.varies,
    )  # fmt: skip


def equivalent(
    comparison: Comparison | Missing, margin: float, *, scale: Scale, contrast: str, detail: str = "",
    n: int | None = None,
) -> Outcome:  # fmt: skip
    """A finding for a claim that an effect lies within a margin (in the unit shown) on both sides of none.

    `n` and what is missing as for `directional`.
    """
    if isinstance(comparison, Missing):
        return comparison
    effect, within = comparison.effect, scale.effect(margin)
    ends = effect.interval()
    low, high = (scale.display(end) for end in ends)
    return Finding(
        value=scale.display(effect.value), low=low, high=high, unit=scale.unit,
        n=effect.n if n is None else n, n_seeds=effect.seeds, p=effect.equivalence(within), contrast=contrast,
        detail=detail, claimed=abs(effect.value) < within, excluded=ends[0] > within or ends[1] < -within,
        interval=_interval(n),
        best_p=replace(effect, value=0.0).equivalence(within),
        sees=lambda level: scale.display(narrowest_margin(effect, level=level)),
        opposed=ends[0] > within or ends[1] < -within, varies=effect.varies,
    )  # fmt: skip


def _interval(n: int | None) -> str:
    """How an interval was made, where `n` was given because the contrast is over seeds alone, or not."""
    return INTERVAL if n is None else OF_SEEDS


class Corrected(NamedTuple):
    """p of one outcome after Holm's correction in its family, p of its best case, and the family's size."""

    p: float | None
    best: float | None
    tests: int


def corrected(outcomes: Sequence[Outcome]) -> list[Corrected]:
    """Holm's p of the outcomes of one family, in their order.

    The best case of one is corrected together with the others as they are.
    """
    p_values = [o.p if isinstance(o, Finding) else None for o in outcomes]
    places = [place for place, p in enumerate(p_values) if p is not None]
    tested = [p for p in p_values if p is not None]
    raised = dict(zip(places, holm(tested), strict=True)) if tested else {}
    results = []
    for place, outcome in enumerate(outcomes):
        best = outcome.best_p if isinstance(outcome, Finding) and place in raised else None
        if best is not None:
            index = places.index(place)
            best = float(holm([*tested[:index], best, *tested[index + 1 :]])[index])
        results.append(Corrected(float(raised[place]) if place in raised else None, best, len(tested)))
    return results


def decide(outcome: Outcome, correction: Corrected) -> str:
    """The verdict on an outcome, corrected within its family."""
    if isinstance(outcome, Missing):
        return NO_DATA
    if min(outcome.n_seeds, outcome.n) < 2 or outcome.p is None or not outcome.varies:
        return CANNOT_TELL
    if outcome.claimed and not outcome.excluded and correction.p is not None and correction.p <= LEVEL:
        return SUPPORTED
    if outcome.opposed:
        return REFUTED
    if correction.best is not None and correction.best > LEVEL:
        return CANNOT_TELL
    return REFUTED if outcome.excluded else UNDECIDED


def sure(value: float | None) -> float | None:
    """None for numbers that are not finite, which no database keeps alike."""
    return None if value is None or not np.isfinite(value) else float(value)
