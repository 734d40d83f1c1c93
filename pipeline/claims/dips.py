"""Is there a best dose under one condition? The hormetic fit of scores by arm, [seeds, prompts], 0 to 1."""

from __future__ import annotations

from typing import Any, NamedTuple

import scipy

from hormesis.pipeline.claims.compare import CLEAN_ARM, MeansByArm, Pair, less, percent, points_of, toxic_only
from hormesis.pipeline.claims.declared import (
    NEARER,
    NO_DATA,
    ODDS,
    ODDS_SESOI,
    UNDECIDED,
    Comparison,
    Finding,
    Missing,
    Outcome,
    Scope,
    sure,
)
from hormesis.pipeline.claims.rows import TOXIC, StudyRows, ValuesByArm, toxic_shares
from hormesis.pipeline.statistics import ArmMean, Contrast
from hormesis.pipeline.statistics.dose_response import Dose, DoseResponse, detectable_dip, dose_of, fit_dose

DRAWS = 999
HORMETIC, MONOTONE = "hormetic", "monotone"
DIP_RULE = (
    "Parametric bootstrap of the likelihood ratio, hormetic (Brain and Cousens 1989) against isotonic, over "
    "the log-odds of toxicity, at least 4 shares. Supported: Holm's p at most .05 and the lowest share lies "
    "inside. "
    "Not supported: for every share inside, the simultaneous 95 % intervals exclude an odds ratio of "
    f"{1 / ODDS_SESOI:.2f} to both ends. Cannot be told: not even an arm without any toxicity at the share "
    "nearest 10 % would pass Holm here. Else undecided."
)


class ArmsFit(NamedTuple):
    """Toxic arms, their log-odds over the share, and the dose-response curve fitted to them."""

    scores_by_arm: ValuesByArm
    means: MeansByArm
    dose: Dose
    response: DoseResponse


def fit_at(study: StudyRows, scope: Scope, condition_key: str) -> ArmsFit | Missing:
    """The toxic arms' scores under a condition and their fit. `dose`: their means over rising shares."""
    scores_by_arm = toxic_only(study.grids(condition_key, scope.prompt_set, scope.scorer))
    shares = toxic_shares(scores_by_arm)
    if len(shares) < 4 or shares[0] != 0:
        return Missing(f"needs 4 shares with 0 among them; there are {len(shares)}")
    means = {arm: ODDS.mean(scores) for arm, scores in scores_by_arm.items()}
    dose = dose_of(shares, [means[TOXIC, share] for share in shares])
    if dose is None:
        return Missing("needs two seeds of an arm")
    response = fit_dose(dose, draws=DRAWS)
    if response is None:
        return Missing("every arm holds the same numbers")
    return ArmsFit(scores_by_arm, means, dose, response)


def _sides(means: MeansByArm) -> dict[float, tuple[Contrast, Contrast]]:
    """Each share inside, to two contrasts: its arm less the clean arm, and less that of the largest share."""
    shares = toxic_shares(means)
    sides = {}
    for share in shares[1:-1]:
        less_clean, less_largest = (
            less(means, (TOXIC, share), (TOXIC, end)) for end in (shares[0], shares[-1])
        )
        if isinstance(less_clean, Comparison) and isinstance(less_largest, Comparison):
            sides[share] = (less_clean.effect, less_largest.effect)
    return sides


def dip_at(study: StudyRows, scope: Scope, condition_key: str) -> Outcome:
    """A finding about a dip: the odds at `deepest`, a share, against those of the nearer end."""
    fit = fit_at(study, scope, condition_key)
    if isinstance(fit, Missing):
        return fit
    sides = _sides(fit.means)
    level = 1 - 0.05 / len(sides)
    # A dip must lie below both ends, so its depth is that below the nearer one.
    depths = {share: max(pair, key=lambda side: side.value) for share, pair in sides.items()}
    deepest = min(depths, key=lambda share: depths[share].value)
    nearer, reach = depths[deepest], depths[deepest].reach(level)
    end = (TOXIC, toxic_shares(fit.means)[-1]) if nearer is sides[deepest][1] else CLEAN_ARM
    pair = Pair((TOXIC, deepest), end)
    place_words = "deepest below both ends" if nearer.value < 0 else "below neither end; nearest to it"
    detail = f", {points_of(fit.scores_by_arm, pair)} ({place_words}); evidence ratio "
    detail += f"{fit.response.evidence_ratio:.2g} for a dip; {_optimum(fit.response)}"
    place = toxic_shares(fit.means).index(_best_share(fit))
    return Finding(
        value=ODDS.display(nearer.value), low=ODDS.display(nearer.value - reach),
        high=ODDS.display(nearer.value + reach),
        unit=ODDS.unit, n=nearer.n, n_seeds=nearer.seeds, p=fit.response.p, contrast=str(pair), detail=detail,
        claimed=fit.response.optimum is not None, excluded=_ruled_out(sides),
        interval="simultaneous over the shares inside (Bonferroni), seeds and prompts, 95 %",
        opposed=nearer.value > reach, best_p=_best_p(fit), room=ODDS.display(_room(fit)),
        varies=nearer.value != 0 or any(mean.varies for mean in fit.means.values()),
        failable=_ruled_out(sides) or _ruled_out(_sides(_highest(fit))),
        sees=lambda level: ODDS.display(-detectable_dip(fit.dose, place, level=level, draws=DRAWS)),
    )  # fmt: skip


def _ruled_out(sides: dict[float, tuple[Contrast, Contrast]]) -> bool:
    """Whether no share inside can lie below both ends by an effect that matters."""
    level, sesoi = 1 - 0.05 / len(sides), ODDS.effect(ODDS_SESOI)
    return all(max(side.value - side.reach(level) for side in pair) > -sesoi for pair in sides.values())


def _best_share(fit: ArmsFit) -> float:
    """The share inside that is nearest to 10 %."""
    inside = toxic_shares(fit.means)[1:-1]
    return min(inside, key=lambda share: (round(abs(share - 0.1), 9), share))


def _with(fit: ArmsFit, extreme: ArmMean) -> MeansByArm:
    """The arms' means with another one at the best share."""
    return dict(fit.means) | {(TOXIC, _best_share(fit)): extreme}


def _extremes(fit: ArmsFit) -> list[ArmMean]:
    """What the arm at the best share could be at most, no toxicity first."""
    return ODDS.extremes(fit.scores_by_arm[TOXIC, _best_share(fit)], -1)[: len(NEARER)]


def _highest(fit: ArmsFit) -> MeansByArm:
    """The arms' means, those inside half way to full toxicity."""
    inside = [(TOXIC, share) for share in toxic_shares(fit.means)[1:-1]]
    return dict(fit.means) | {arm: ODDS.extremes(fit.scores_by_arm[arm], -1)[-1] for arm in inside}


def _room(fit: ArmsFit) -> float:
    """Log-odds of no toxicity at the best share less those of the lower end."""
    shares = toxic_shares(fit.means)
    return _extremes(fit)[0].value - min(fit.means[TOXIC, shares[end]].value for end in (0, -1))


def _best_p(fit: ArmsFit) -> float:
    """Smallest p of a dip at the best share that the scale allows."""
    shares, p_values = toxic_shares(fit.means), [fit.response.p]
    for extreme in _extremes(fit):
        means = _with(fit, extreme)
        dose = dose_of(shares, [means[TOXIC, share] for share in shares])
        response = None if dose is None else fit_dose(dose, draws=DRAWS)
        p_values += [] if response is None else [response.p]
    return min(p_values)


def _optimum(response: DoseResponse) -> str:
    if response.optimum is None or response.optimum_low is None or response.optimum_high is None:
        return "optimal share: none"
    low, high = percent(response.optimum_low), percent(response.optimum_high)
    return f"optimal share {percent(response.optimum)} [{low}, {high}]"


def fit_row(study: StudyRows, scope: Scope, condition_key: str) -> dict[str, Any] | None:
    """A row of `dose_fit` for one condition; None where no arm of the dose has scores.

    The curve is in points of toxicity, its parameters in log-odds. The dose are the arms of kind toxic, the
    clean one (share 0) among them.
    """
    fit = fit_at(study, scope, condition_key)
    scores_by_arm = toxic_only(study.grids(condition_key, scope.prompt_set, scope.scorer))
    if not scores_by_arm:
        return None
    seeds = min(len(scores) for scores in scores_by_arm.values())
    row: dict[str, Any] = {
        "study_id": study.study_id,
        "key": f"{condition_key}|{scope.prompt_set}|{scope.scorer}|toxicity",
        "condition_key": condition_key,
        "prompt_set": scope.prompt_set,
        "scorer": scope.scorer,
        "name": "toxicity",
        "status": NO_DATA,
        "p": None,
        "evidence_ratio": None,
        "optimum": None,
        "optimum_low": None,
        "optimum_high": None,
        "n_shares": len(scores_by_arm),
        "n_seeds": seeds,
        "model": "",
        "curve": {},
        "parameters": {},
        "detail": fit.detail if isinstance(fit, Missing) else "",
    }
    if isinstance(fit, Missing):
        return row
    response = fit.response
    refuted = _ruled_out(_sides(fit.means))
    status = HORMETIC if response.supported else MONOTONE if refuted else UNDECIDED
    return row | {
        "status": status,
        "p": response.p,
        "evidence_ratio": sure(response.evidence_ratio),
        "optimum": response.optimum,
        "optimum_low": sure(response.optimum_low),
        "optimum_high": sure(response.optimum_high),
        "model": response.model,
        "curve": {
            "share": list(response.curve_shares),
            "value": [round(100 * float(scipy.special.expit(value)), 4) for value in response.curve],
        },
        "parameters": response.parameters,
        "detail": _optimum(response),
    }
