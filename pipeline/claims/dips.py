"""Is there a best dose under one condition? The hormetic fit of scores by arm, [seeds, prompts], 0 to 1."""

from __future__ import annotations

from typing import Any, NamedTuple

from hormesis.pipeline.claims.compare import against, percent, toxic_only
from hormesis.pipeline.claims.declared import NO_DATA, UNDECIDED, Finding, Missing, Outcome, Scope, sure
from hormesis.pipeline.claims.rows import TOXIC, StudyRows, ValuesByArm, toxic_shares
from hormesis.pipeline.statistics import Contrast
from hormesis.pipeline.statistics.dose_response import DoseResponse, dose_of, fit_dose
from hormesis.pipeline.statistics.power import detectable

SESOI = 3.0
DRAWS = 999
HORMETIC, MONOTONE = "hormetic", "monotone"
DIP_RULE = (
    "Parametric bootstrap of the likelihood ratio, hormetic (Brain and Cousens 1989) against isotonic, at "
    "least 4 shares. Supported: Holm's p at most .05 and the lowest share lies inside. Not supported: for "
    f"every share inside, the simultaneous 95 % intervals exclude a dip of {SESOI:g} points below both ends. "
    "Else undecided."
)


class ArmsFit(NamedTuple):
    """Toxic arms and the dose-response curve fitted to them."""

    scores_by_arm: ValuesByArm
    response: DoseResponse


def fit_at(study: StudyRows, scope: Scope, condition_key: str) -> ArmsFit | Missing:
    """The toxic arms' scores under a condition and their fit. `dose`: their means over rising shares."""
    # Arms near 0 toxicity (clean forum text, slung) vary less: in the pool they would make dips of noise.
    scores_by_arm = toxic_only(study.grids(condition_key, scope.prompt_set, scope.scorer))
    shares = toxic_shares(scores_by_arm)
    if len(shares) < 4 or shares[0] != 0:
        return Missing(f"needs 4 shares with 0 among them; there are {len(shares)}")
    dose = dose_of(shares, [scores_by_arm[TOXIC, share] for share in shares])
    if dose is None:
        return Missing("needs two seeds of an arm")
    response = fit_dose(dose, draws=DRAWS)
    return (
        Missing("every arm holds the same numbers") if response is None else ArmsFit(scores_by_arm, response)
    )


def _sides(scores_by_arm: ValuesByArm) -> dict[float, tuple[Contrast, Contrast]]:
    """Each share inside, to two contrasts: its arm less the clean arm, and less that of the largest share."""
    shares = toxic_shares(scores_by_arm)
    sides = {}
    for share in shares[1:-1]:
        less_clean, less_largest = (
            against(scores_by_arm, (TOXIC, share), (TOXIC, end)) for end in (shares[0], shares[-1])
        )
        if isinstance(less_clean, Contrast) and isinstance(less_largest, Contrast):
            sides[share] = (less_clean, less_largest)
    return sides


def dip_at(study: StudyRows, scope: Scope, condition_key: str) -> Outcome:
    """A finding (points) about a dip: its depth below the nearer end at `deepest`, a share."""
    fit = fit_at(study, scope, condition_key)
    if isinstance(fit, Missing):
        return fit
    scores_by_arm, response = fit
    sides = _sides(scores_by_arm)
    level = 1 - 0.05 / len(sides)
    # A dip must lie below both ends, so its depth is that below the nearer one.
    depths = {share: max(pair, key=lambda side: side.value) for share, pair in sides.items()}
    deepest = min(depths, key=lambda share: depths[share].value)
    nearer = depths[deepest]
    half_width = nearer.reach(level) * 100
    excluded = all(
        max(side.value * 100 - side.reach(level) * 100 for side in pair) > -SESOI for pair in sides.values()
    )
    place_words = "deepest" if nearer.value < 0 else "below neither end; nearest to it"
    detail = f"{place_words} at {percent(deepest)}; evidence ratio {response.evidence_ratio:.2g} for a dip; "
    detail += _optimum(response)
    return Finding(
        value=nearer.value * 100, low=nearer.value * 100 - half_width, high=nearer.value * 100 + half_width,
        unit="points", n=nearer.n, n_seeds=nearer.seeds, p=response.p,
        detectable=detectable(nearer) * 100, detail=detail,
        claimed=response.optimum is not None, excluded=excluded,
        interval="simultaneous over the shares inside (Bonferroni), seeds and prompts, 95 %",
    )  # fmt: skip


def _optimum(response: DoseResponse) -> str:
    if response.optimum is None or response.optimum_low is None or response.optimum_high is None:
        return "optimal share: none"
    low, high = percent(response.optimum_low), percent(response.optimum_high)
    return f"optimal share {percent(response.optimum)} [{low}, {high}]"


def fit_row(study: StudyRows, scope: Scope, condition_key: str) -> dict[str, Any] | None:
    """A row of `dose_fit` for one condition, in points of toxicity; None where no arm of the dose has scores.

    The dose are the arms of kind toxic, the clean one (share 0) among them.
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
    outcome = dip_at(study, scope, condition_key)
    refuted = isinstance(outcome, Finding) and outcome.excluded
    status = HORMETIC if response.supported else MONOTONE if refuted else UNDECIDED
    scaled = {name: value * (100 if name in "duf" else 1) for name, value in response.parameters.items()}
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
            "value": [round(100 * value, 4) for value in response.curve],
        },
        "parameters": scaled,
        "detail": _optimum(response),
    }
