"""Verdicts on the study's claims, computed from summary rows: supported, not supported or undecided.

Knows the columns of summaries and the rule of decision; nothing of pages. The rule: an effect is a difference
of two estimates; its interval comes from theirs (as if independent, which is careful for paired prompts),
widened by Bonferroni where the best of several arms is picked. A claim is supported where the whole interval
lies on its side of zero, not supported where it lies wholly on the other side, and undecided between.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import pandas as pd

from dashboard.wording import condition_label, percent

SUPPORTED, REFUTED, UNDECIDED, NO_DATA = "supported", "not supported", "undecided", "no data yet"
_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Effect:
    """A difference with its 95 % interval; seeds is the smaller number of seeds of the two sides."""

    value: float
    low: float
    high: float
    seeds: int
    n: int


@dataclass(frozen=True)
class Verdict:
    """One claim, what the rows say of it, and the sentence with the numbers."""

    claim: str
    status: str
    detail: str


def difference(first: pd.Series, second: pd.Series, comparisons: int = 1) -> Effect | None:
    """`first - second` with an interval; None where either side has no interval."""
    sides = (first, second)
    if any(pd.isna(side["low"]) or pd.isna(side["high"]) for side in sides):
        return None
    errors = [(float(side["high"]) - float(side["low"])) / (2 * _Z) for side in sides]
    z = NormalDist().inv_cdf(1 - 0.025 / comparisons)
    value = float(first["value"]) - float(second["value"])
    reach = z * math.hypot(*errors)
    seeds, count = (min(int(side[name]) for side in sides) for name in ("n_seeds", "n"))
    return Effect(value, value - reach, value + reach, seeds, count)


def decide(effect: Effect | None, *, negative: bool) -> str:
    """The status of a claim that says the effect is negative (or positive)."""
    if effect is None or effect.seeds < 2:
        return UNDECIDED
    if effect.high < 0:
        return SUPPORTED if negative else REFUTED
    if effect.low > 0:
        return REFUTED if negative else SUPPORTED
    return UNDECIDED


def _say(effect: Effect | None, unit: str) -> str:
    if effect is None:
        return "without an interval, so nothing can be decided"
    seeds = "one seed, too few to decide" if effect.seeds < 2 else f"{effect.seeds} seeds"
    numbers = f"{effect.value:+.2f} [{effect.low:+.2f}, {effect.high:+.2f}]".replace("-", "−")
    return f"{numbers} {unit}, {seeds}, n = {effect.n:,}"


def _pick(rows: pd.DataFrame, **wanted: object) -> pd.Series | None:
    for name, value in wanted.items():
        rows = rows[rows[name] == value]
    return None if rows.empty else rows.iloc[0]


def _toxic_arms(rows: pd.DataFrame) -> list[float]:
    return sorted({float(share) for share in rows[rows["kind"] == "toxic"]["share"] if share > 0})


def base_rises(rows: pd.DataFrame) -> Verdict:
    """Unsteered toxicity at the largest share against none."""
    claim = "Toxic text in pretraining raises the unsteered model's toxicity"
    none = rows[rows["method"] == "none"]
    arms = _toxic_arms(none)
    clean = _pick(none, kind="toxic", share=0.0)
    if clean is None or not arms:
        return Verdict(claim, NO_DATA, "needs the arm without toxic text and one with it")
    effect = difference(none[(none["kind"] == "toxic") & (none["share"] == arms[-1])].iloc[0], clean)
    detail = f"{percent(arms[-1])} against 0 %: {_say(effect, clean['unit'])}"
    return Verdict(claim, decide(effect, negative=False), detail)


def _matched(rows: pd.DataFrame) -> tuple[pd.DataFrame, float | None]:
    """ITI rows at the middle matched cost, and that cost."""
    mine = rows[(rows["method"] == "iti") & rows["matched_cost"].notna()]
    costs = sorted({float(cost) for cost in mine["matched_cost"]})
    if not costs:
        return mine, None
    cost = costs[len(costs) // 2]
    return mine[mine["matched_cost"] == cost], cost


def steering_works(rows: pd.DataFrame) -> Verdict:
    """Steering at the middle matched cost against no steering, in the arm with the most toxic text."""
    claim = "Steering away from toxicity lowers it"
    steered, cost = _matched(rows)
    base = rows[rows["method"] == "none"]
    shares = [share for share in _toxic_arms(steered) or [0.0] if share in set(base["share"])]
    if cost is None or not shares:
        return Verdict(claim, NO_DATA, "needs steered and unsteered results of the same arm")
    first = _pick(steered, kind="toxic", share=shares[-1])
    second = _pick(base, kind="toxic", share=shares[-1])
    if first is None or second is None:
        return Verdict(claim, NO_DATA, "needs steered and unsteered results of the same arm")
    effect = difference(first, second)
    detail = f"{percent(shares[-1])} arm at +{cost:g} nats: {_say(effect, first['unit'])}"
    return Verdict(claim, decide(effect, negative=True), detail)


def beats_random(rows: pd.DataFrame) -> Verdict:
    """Found directions against random ones at the same cost, in the arm with the most toxic text."""
    claim = "The found directions do more than random ones at the same cost"
    random = rows[(rows["method"] == "random-direction") & rows["matched_cost"].notna()]
    steered = rows[(rows["method"] == "iti") & rows["matched_cost"].notna()]
    pairs = random.merge(steered, on=["kind", "share", "matched_cost"], suffixes=("_random", ""))
    pairs = pairs[pairs["kind"] == "toxic"].sort_values("share")
    if pairs.empty:
        return Verdict(claim, NO_DATA, "needs random-direction controls at a matched cost")
    last = pairs.iloc[-1]
    other = pd.Series({name: last[f"{name}_random"] for name in ("value", "low", "high", "n", "n_seeds")})
    effect = difference(last, other)
    detail = f"{percent(last['share'])} arm at +{last['matched_cost']:g} nats: {_say(effect, last['unit'])}"
    return Verdict(claim, decide(effect, negative=True), detail)


def _best_dose(rows: pd.DataFrame) -> tuple[Effect | None, pd.Series, pd.Series] | None:
    """The arm that is lowest against 0 % under one condition, the interval widened for the choice."""
    mine = rows[rows["kind"] == "toxic"]
    clean = _pick(mine, share=0.0)
    doses = mine[mine["share"] > 0]
    if clean is None or doses.empty:
        return None
    best = doses.sort_values("value", kind="stable").iloc[0]
    return difference(best, clean, comparisons=len(doses)), best, clean


def dose_helps(rows: pd.DataFrame) -> Verdict:
    """The headline: at a matched cost, is some toxic-trained arm below the clean one?"""
    claim = "At the same cost, a dose of toxic text makes the steered model less toxic"
    steered, cost = _matched(rows)
    found = _best_dose(steered)
    if cost is None or found is None:
        return Verdict(claim, NO_DATA, "needs a matched cost in the clean arm and in one with toxic text")
    effect, best, _ = found
    detail = f"best arm {percent(best['share'])} against 0 % at +{cost:g} nats: {_say(effect, best['unit'])}"
    return Verdict(claim, decide(effect, negative=True), detail)


def fixed_strength_dip(rows: pd.DataFrame, fluency: pd.DataFrame) -> Verdict:
    """The paper's view: a fixed strength. Said together with what it did to fluency."""
    claim = "At the same strength, a dose of toxic text makes the steered model less toxic"
    fixed = rows[(rows["method"] == "iti") & rows["matched_cost"].isna() & rows["strength"].notna()]
    strengths = sorted({float(value) for value in fixed["strength"]})
    found = _best_dose(fixed[fixed["strength"] == strengths[-1]]) if strengths else None
    if found is None:
        return Verdict(claim, NO_DATA, "needs a fixed strength in the clean arm and in one with toxic text")
    effect, best, clean = found
    label = condition_label("iti", strengths[-1], None)
    detail = f"best arm {percent(best['share'])} against 0 %, {label}: {_say(effect, best['unit'])}"
    same = fluency[(fluency["condition_key"] == best["condition_key"]) & (fluency["kind"] == "toxic")]
    words = [_pick(same, share=float(side["share"])) for side in (best, clean)]
    if words[0] is not None and words[1] is not None:
        change = difference(words[0], words[1])
        detail += f". Fluency there: {_say(change, words[0]['unit'])}; broken text also scores as non-toxic"
    return Verdict(claim, decide(effect, negative=True), detail)


def toxicity_not_tokens(rows: pd.DataFrame) -> Verdict:
    """The toxic arm against the control with as much added text, unsteered: is it toxicity that does it?"""
    claim = "It is the toxicity of the added text, not the added text, that raises toxicity"
    none = rows[rows["method"] == "none"]
    controls = none[none["kind"] == "clean-forum"].sort_values("share")
    for _, control in controls.iloc[::-1].iterrows():
        toxic = _pick(none, kind="toxic", share=control["share"])
        if toxic is not None:
            effect = difference(toxic, control)
            detail = f"{percent(control['share'])} toxic against control: {_say(effect, toxic['unit'])}"
            return Verdict(claim, decide(effect, negative=False), detail)
    return Verdict(claim, NO_DATA, "needs the control arm and a toxic arm of the same share")


def verdicts(toxicity: pd.DataFrame, fluency: pd.DataFrame) -> list[Verdict]:
    """All claims, the headline first. Rows are summaries of one prompt set and scorer."""
    return [
        dose_helps(toxicity),
        fixed_strength_dip(toxicity, fluency),
        base_rises(toxicity),
        toxicity_not_tokens(toxicity),
        steering_works(toxicity),
        beats_random(toxicity),
    ]
