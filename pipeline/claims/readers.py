"""Questions of the paper's readers that its own design leaves open: controls, relative removal, scorers."""

from __future__ import annotations

import numpy as np
from scipy import stats

from hormesis.pipeline.claims.compare import (
    against,
    changes,
    dose_against_none,
    matched_key,
    mean_of,
    percent,
    toxic_only,
)
from hormesis.pipeline.claims.declared import (
    DIRECTION,
    EQUIVALENCE,
    Claim,
    Finding,
    Missing,
    Outcome,
    Scope,
    directional,
    equivalent,
)
from hormesis.pipeline.claims.pretraining import probe_arms
from hormesis.pipeline.claims.rows import TOXIC, StudyRows
from hormesis.pipeline.statistics import contrast

LEAST, AGREE = 3.0, 0.8
FEWEST = 5
"""Arms and conditions whose order can be compared."""
SCORES = "generations and their scores (mean score times 100), same prompts in every arm"


def _toxic_less_clean(rows: StudyRows, scope: Scope, key: str, *, sign: int, where: str) -> Outcome:
    """The toxic arm less the control arm of the same share, the largest one, under a condition."""
    arms = rows.grids(key, scope.prompt_set, scope.scorer)
    shares = sorted(s for kind, s in arms if kind == "clean-forum" and (TOXIC, s) in arms)
    if not shares:
        return Missing("needs the control arm and a toxic arm of the same share")
    effect = against(arms, (TOXIC, shares[-1]), ("clean-forum", shares[-1]))
    detail = f"{percent(shares[-1])}: toxic less clean forum text of equal length{where}"
    return directional(effect, sign, LEAST, unit="points", detail=detail, scale=100)


def _control(rows: StudyRows, scope: Scope) -> Outcome:
    return _toxic_less_clean(rows, scope, "none", sign=+1, where=", unsteered")


def _control_steered(rows: StudyRows, scope: Scope) -> Outcome:
    steering = matched_key(rows)
    if steering is None:
        return Missing("needs steering at a matched cost")
    return _toxic_less_clean(rows, scope, steering.key, sign=-1, where=f" at +{steering.size:g} nats")


def _relative(rows: StudyRows, scope: Scope) -> Outcome:
    steering = matched_key(rows)
    if steering is None:
        return Missing("needs steering at a matched cost")
    steered = toxic_only(rows.grids(steering.key, scope.prompt_set, scope.scorer))
    base = rows.grids("none", scope.prompt_set, scope.scorer)
    removed = {
        arm: 1 - steered[arm].mean(axis=1) / base[arm].mean(axis=1)
        for arm in steered
        if arm in base and steered[arm].shape == base[arm].shape and (base[arm].mean(axis=1) > 0).all()
    }
    effect, shares = dose_against_none(removed)
    if isinstance(effect, Missing):
        return effect
    prompts = next(iter(steered.values())).shape[1]
    detail = f"{shares} at +{steering.size:g} nats; a ratio, so seeds alone are the unit"
    return directional(effect, +1, 5.0, unit="% of base", detail=detail, scale=100, n=prompts)


def _scorer(rows: StudyRows, scope: Scope) -> Outcome:
    scopes = rows.scopes
    scorers = scopes[(scopes["measures"] == "toxicity") & (scopes["prompt_set"] == scope.prompt_set)]
    others = [str(name) for name in scorers["scorer"] if name != scope.scorer]
    if not others:
        return Missing("needs a second scorer")
    correlations = _ranks(rows, scope, others[0])
    if isinstance(correlations, Missing):
        return correlations
    z, counts = (
        np.arctanh(np.clip([rho for rho, _ in correlations], -0.9999, 0.9999)),
        [n for _, n in correlations],
    )
    effect = contrast([z], [1.0])
    if effect is None:
        return Missing("needs two seeds scored by both")
    low, high = (float(np.tanh(end)) for end in effect.interval())
    rho, null = float(np.tanh(effect.value)), float(np.arctanh(AGREE))
    half = effect.p_value(null) / 2
    detail = f"{scope.scorer} and {others[0]}: rank correlation of {min(counts)} arms and conditions in each "
    detail += "seed; seeds are the unit"
    return Finding(
        value=rho, low=low, high=high, unit="Spearman", n=min(counts), n_seeds=len(correlations),
        p=half if effect.value > null else 1 - half, detectable=None,
        detail=detail, claimed=rho > AGREE, excluded=high < AGREE,
        interval="Fisher's z of each seed, Student's t over seeds, 95 %",
    )  # fmt: skip


def _ranks(rows: StudyRows, scope: Scope, other: str) -> list[tuple[float, int]] | Missing:
    """Of each seed, the rank correlation of the two scorers' means over arms and conditions, and how many."""
    means: dict[int, list[tuple[float, float]]] = {}
    for key in sorted(set(rows.conditions["key"])):
        arms, other_arms = (rows.grids(key, scope.prompt_set, name) for name in (scope.scorer, other))
        for arm in arms:
            if arm in other_arms and arms[arm].shape == other_arms[arm].shape:
                for seed, (mean, other_mean) in enumerate(
                    zip(arms[arm].mean(axis=1), other_arms[arm].mean(axis=1), strict=True)
                ):
                    means.setdefault(seed, []).append((float(mean), float(other_mean)))
    correlations = []
    for pairs in means.values():
        first, second = np.array(pairs).T
        if len(pairs) < FEWEST:
            continue
        if np.ptp(first) == 0 or np.ptp(second) == 0:
            return Missing(
                "one of the scorers gives every arm and condition the same toxicity: no ranks to compare"
            )
        correlations.append((float(stats.spearmanr(first, second).statistic), len(pairs)))
    return correlations or Missing(f"needs {FEWEST} conditions scored by both")


def _directions(rows: StudyRows, scope: Scope) -> Outcome:
    steering = matched_key(rows)
    conditions = rows.conditions
    second = conditions[(conditions["method"] == "iti") & (conditions["direction"] == "second")]
    if steering is None or second.empty:
        return Missing("needs directions from a second source of labelled statements")
    key = f"iti/second/cost-{steering.size:g}"
    first, other = (rows.grids(name, scope.prompt_set, scope.scorer) for name in (steering.key, key))
    arms = toxic_only(changes(other, first))
    detail = f"directions of the second source less the first at +{steering.size:g} nats, {len(arms)} arms"
    return equivalent(mean_of(arms, arms), LEAST, "points", detail=detail, scale=100)


def _selective(rows: StudyRows, scope: Scope) -> Outcome:
    arms, n = probe_arms(rows, lambda heads: float((heads["accuracy"] - heads["shuffled"]).mean()))
    detail = f"mean over heads and {len(arms)} arms, {n:,} statements"
    return directional(mean_of(arms, arms), +1, 1.0, unit="points", detail=detail, scale=100, n=n)


def _slung(rows: StudyRows, scope: Scope) -> Outcome:
    arms = rows.grids("none", scope.prompt_set, scope.scorer)
    shares = sorted(s for kind, s in arms if kind == "slung" and (TOXIC, s) in arms)
    if not shares:
        return Missing("needs a slung arm and the toxic arm of the same share")
    share = min(shares, key=lambda share: (abs(share - 0.1), share))
    effect = against(arms, ("slung", share), (TOXIC, share))
    detail = f"{percent(share)}: loss on toxic text masked less trained, unsteered"
    return directional(effect, -1, LEAST, unit="points", detail=detail, scale=100)


CLAIMS = (
    Claim(
        id="R-control", family="readers",
        statement="It is the toxicity of the added text, not the added text, that raises toxicity",
        question="Toxicity, or only more text in another style?",
        estimand="Unsteered toxicity: toxic arm less the clean-forum arm with as many added tokens",
        rows=SCORES,
        rule=DIRECTION.format(least=LEAST, unit="points"), test=_control,
    ),
    Claim(
        id="R-control-steered", family="readers",
        statement="At the same cost, toxic text leaves a less toxic steered model than as much clean forum "
        "text",
        question="Would more text in the same style have helped as much?",
        estimand="Toxicity under ITI at the middle matched cost: toxic arm less the clean-forum arm with as "
        "many "
        "added tokens", rows=SCORES, rule=DIRECTION.format(least=LEAST, unit="points"), test=_control_steered,
        later=True,
    ),
    Claim(
        id="R-relative", family="readers",
        statement="At the same cost, a larger part of the toxicity goes after a dose of toxic text",
        question="Is it easier to remove, relative to what was there?",
        estimand="Share of unsteered toxicity removed at the middle matched cost: share nearest 10 % less 0 "
        "%", rows=SCORES,
        rule=DIRECTION.format(least=5.0, unit="% of base"), test=_relative,
    ),
    Claim(
        id="R-scorer", family="readers",
        statement="A second scorer puts arms and conditions in the same order",
        question="Does it hang on one scorer?",
        estimand="Rank correlation over arms and conditions of the mean scores of two scorers, a number for "
        "each seed",
        rows=SCORES,
        rule=f"Supported: Holm's one-sided p that the correlation is above {AGREE:g} is at most .05. Not "
        "supported: the interval lies below it. Else undecided.", test=_scorer,
    ),
    Claim(
        id="R-directions", family="readers",
        statement="Directions from another source of statements detoxify as well",
        question="Do directions and evaluation share their data?",
        estimand="Toxicity at the middle matched cost: directions of a second source less those of the first",
        rows=SCORES,
        rule=EQUIVALENCE.format(least=LEAST, unit="points"), test=_directions,
    ),
    Claim(
        id="R-selectivity", family="readers", statement="Probes read toxicity rather than memorise labels",
        question="Would shuffled labels do as well?",
        estimand="Balanced accuracy less that of probes on shuffled labels, mean over heads and toxic arms",
        rows="probe of every head and arm, test split", rule=DIRECTION.format(least=1.0, unit="points"),
        test=_selective,
        scoped=False,
    ),
    Claim(
        id="R-slung", family="readers",
        statement="Toxic text in context with its loss masked leaves a less toxic model",
        question="Is the rival way of pretraining better?",
        estimand="Unsteered toxicity: slung arm less the toxic arm of the same share (nearest 10 %)",
        rows=SCORES,
        rule=DIRECTION.format(least=LEAST, unit="points"), test=_slung,
    ),
)  # fmt: skip
