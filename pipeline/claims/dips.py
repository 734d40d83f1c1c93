"""Is there a best dose under one condition? The hormetic fit as a finding, and as rows for the chart."""

from __future__ import annotations

from typing import Any, NamedTuple

from hormesis.pipeline.claims.compare import against, percent, toxic_only
from hormesis.pipeline.claims.declared import NO_DATA, UNDECIDED, Finding, Missing, Outcome, Scope, sure
from hormesis.pipeline.claims.rows import TOXIC, Arms, StudyRows, toxic_shares
from hormesis.pipeline.statistics import Contrast
from hormesis.pipeline.statistics.dose_response import DoseResponse, dose_of, fit_dose
from hormesis.pipeline.statistics.power import detectable

LEAST = 3.0
DRAWS = 999
HORMETIC, MONOTONE = "hormetic", "monotone"
DIP_RULE = (
    "Parametric bootstrap of the likelihood ratio, hormetic (Brain and Cousens 1989) against isotonic, at "
    "least 4 shares. Supported: Holm's p at most .05 and the lowest share lies inside. Not supported: for "
    f"every share inside, the simultaneous 95 % intervals exclude a dip of {LEAST:g} points below both ends. "
    "Else undecided."
)


class ArmsFit(NamedTuple):
    """Toxic arms and the dose-response curve fitted to them."""

    arms: Arms
    response: DoseResponse


def fit_at(rows: StudyRows, scope: Scope, key: str) -> ArmsFit | Missing:
    """The toxic arms under a condition and their fit."""
    # Arms near 0 toxicity (clean forum text, slung) vary less: in the pool they would make dips of noise.
    arms = toxic_only(rows.grids(key, scope.prompt_set, scope.scorer))
    shares = toxic_shares(arms)
    if len(shares) < 4 or shares[0] != 0:
        return Missing(f"needs 4 shares with 0 among them; there are {len(shares)}")
    dose = dose_of(shares, [arms[TOXIC, share] for share in shares])
    if dose is None:
        return Missing("needs two seeds of an arm")
    response = fit_dose(dose, draws=DRAWS)
    return Missing("every arm holds the same numbers") if response is None else ArmsFit(arms, response)


def _sides(arms: Arms) -> dict[float, tuple[Contrast, Contrast]]:
    """Each share inside, less the clean arm and less the arm of the largest share."""
    shares = toxic_shares(arms)
    sides = {}
    for share in shares[1:-1]:
        left, right = (against(arms, (TOXIC, share), (TOXIC, end)) for end in (shares[0], shares[-1]))
        if isinstance(left, Contrast) and isinstance(right, Contrast):
            sides[share] = (left, right)
    return sides


def dip_at(rows: StudyRows, scope: Scope, key: str) -> Outcome:
    """A finding about a dip: its depth below the nearer of both ends at the share where it is deepest."""
    fit = fit_at(rows, scope, key)
    if isinstance(fit, Missing):
        return fit
    arms, response = fit
    sides = _sides(arms)
    level = 1 - 0.05 / len(sides)
    # A dip must lie below both ends, so its depth is that below the nearer one.
    depths = {share: max(pair, key=lambda side: side.value) for share, pair in sides.items()}
    at = min(depths, key=lambda share: depths[share].value)
    nearer = depths[at]
    half = nearer.reach(level) * 100
    excluded = all(
        max(side.value * 100 - side.reach(level) * 100 for side in pair) > -LEAST for pair in sides.values()
    )
    where = "deepest" if nearer.value < 0 else "below neither end; nearest to it"
    detail = f"{where} at {percent(at)}; evidence ratio {response.evidence_ratio:.2g} for a dip; "
    detail += _optimum(response)
    return Finding(
        value=nearer.value * 100, low=nearer.value * 100 - half, high=nearer.value * 100 + half,
        unit="points", n=nearer.n, n_seeds=nearer.seeds, p=response.p,
        detectable=detectable(nearer) * 100, detail=detail,
        claimed=response.optimum is not None, excluded=excluded,
        interval="simultaneous over the shares inside (Bonferroni), seeds and prompts, 95 %",
    )  # fmt: skip


def _optimum(fit: DoseResponse) -> str:
    if fit.optimum is None or fit.optimum_low is None or fit.optimum_high is None:
        return "optimal share: none"
    return f"optimal share {percent(fit.optimum)} [{percent(fit.optimum_low)}, {percent(fit.optimum_high)}]"


def fit_row(rows: StudyRows, scope: Scope, key: str) -> dict[str, Any] | None:
    """A row of `dose_fit` for one condition, in points of toxicity; None where it has no toxic arm at all."""
    fit = fit_at(rows, scope, key)
    arms = toxic_only(rows.grids(key, scope.prompt_set, scope.scorer))
    if not arms:
        return None
    seeds = min(len(grid) for grid in arms.values())
    row: dict[str, Any] = {
        "study_id": rows.study_id,
        "key": f"{key}|{scope.prompt_set}|{scope.scorer}|toxicity",
        "condition_key": key,
        "prompt_set": scope.prompt_set,
        "scorer": scope.scorer,
        "name": "toxicity",
        "status": NO_DATA,
        "p": None,
        "evidence_ratio": None,
        "optimum": None,
        "optimum_low": None,
        "optimum_high": None,
        "n_shares": len(arms),
        "n_seeds": seeds,
        "model": "",
        "curve": {},
        "parameters": {},
        "detail": fit.detail if isinstance(fit, Missing) else "",
    }
    if isinstance(fit, Missing):
        return row
    response = fit.response
    outcome = dip_at(rows, scope, key)
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
