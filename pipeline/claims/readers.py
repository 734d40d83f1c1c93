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


def _toxic_less_clean(rows: StudyRows, scope: Scope, key: str, sign: int, where: str) -> Outcome:
    """The toxic arm less the control arm of the same share, the largest one, under a condition."""
    arms = rows.grids(key, scope.prompt_set, scope.scorer)
    shares = sorted(s for kind, s in arms if kind == "clean-forum" and (TOXIC, s) in arms)
    if not shares:
        return Missing("needs the control arm and a toxic arm of the same share")
    effect = against(arms, (TOXIC, shares[-1]), ("clean-forum", shares[-1]))
    detail = f"{percent(shares[-1])}: toxic less clean forum text of equal length{where}"
    return directional(effect, sign, LEAST, "points", detail, 100)


def _control(rows: StudyRows, scope: Scope) -> Outcome:
    return _toxic_less_clean(rows, scope, "none", +1, ", unsteered")


def _control_steered(rows: StudyRows, scope: Scope) -> Outcome:
    chosen = matched_key(rows)
    if chosen is None:
        return Missing("needs steering at a matched cost")
    return _toxic_less_clean(rows, scope, chosen[0], -1, f" at +{chosen[1]:g} nats")


def _relative(rows: StudyRows, scope: Scope) -> Outcome:
    chosen = matched_key(rows)
    if chosen is None:
        return Missing("needs steering at a matched cost")
    steered = toxic_only(rows.grids(chosen[0], scope.prompt_set, scope.scorer))
    base = rows.grids("none", scope.prompt_set, scope.scorer)
    removed = {
        arm: 1 - steered[arm].mean(axis=1) / base[arm].mean(axis=1)
        for arm in steered
        if arm in base and steered[arm].shape == base[arm].shape and (base[arm].mean(axis=1) > 0).all()
    }
    found, said = dose_against_none(removed)
    if isinstance(found, Missing):
        return found
    prompts = next(iter(steered.values())).shape[1]
    detail = f"{said} at +{chosen[1]:g} nats; a ratio, so seeds alone are the unit"
    return directional(found, +1, 5.0, "% of base", detail, 100, n=prompts)


def _scorer(rows: StudyRows, scope: Scope) -> Outcome:
    known = rows.scopes
    mine = known[(known["measures"] == "toxicity") & (known["prompt_set"] == scope.prompt_set)]
    others = [str(one) for one in mine["scorer"] if one != scope.scorer]
    if not others:
        return Missing("needs a second scorer")
    each = _ranks(rows, scope, others[0])
    if isinstance(each, Missing):
        return each
    z, counts = np.arctanh(np.clip([rho for rho, _ in each], -0.9999, 0.9999)), [n for _, n in each]
    found = contrast([z], [1.0])
    if found is None:
        return Missing("needs two seeds scored by both")
    low, high = (float(np.tanh(end)) for end in found.interval())
    rho, null = float(np.tanh(found.value)), float(np.arctanh(AGREE))
    half = found.p_value(null) / 2
    detail = f"{scope.scorer} and {others[0]}: rank correlation of {min(counts)} arms and conditions in each "
    detail += "seed; seeds are the unit"
    return Finding(
        rho, low, high, "Spearman", min(counts), len(each), half if found.value > null else 1 - half, None,
        detail, rho > AGREE, high < AGREE, "Fisher's z of each seed, Student's t over seeds, 95 %",
    )  # fmt: skip


def _ranks(rows: StudyRows, scope: Scope, other: str) -> list[tuple[float, int]] | Missing:
    """Of each seed, the rank correlation of the two scorers' means over arms and conditions, and how many."""
    means: dict[int, list[tuple[float, float]]] = {}
    for key in sorted(set(rows.conditions["key"])):
        one, two = (rows.grids(key, scope.prompt_set, name) for name in (scope.scorer, other))
        for arm in one:
            if arm in two and one[arm].shape == two[arm].shape:
                for place, pair in enumerate(zip(one[arm].mean(axis=1), two[arm].mean(axis=1), strict=True)):
                    means.setdefault(place, []).append((float(pair[0]), float(pair[1])))
    found = []
    for pairs in means.values():
        first, second = np.array(pairs).T
        if len(pairs) < FEWEST:
            continue
        if np.ptp(first) == 0 or np.ptp(second) == 0:
            return Missing(
                "one of the scorers gives every arm and condition the same toxicity: no ranks to compare"
            )
        found.append((float(stats.spearmanr(first, second).statistic), len(pairs)))
    return found or Missing(f"needs {FEWEST} conditions scored by both")


def _directions(rows: StudyRows, scope: Scope) -> Outcome:
    chosen = matched_key(rows)
    mine = rows.conditions
    second = mine[(mine["method"] == "iti") & (mine["direction"] == "second")]
    if chosen is None or second.empty:
        return Missing("needs directions from a second source of labelled statements")
    key = f"iti/second/cost-{chosen[1]:g}"
    first, other = (rows.grids(name, scope.prompt_set, scope.scorer) for name in (chosen[0], key))
    arms = toxic_only(changes(other, first))
    detail = f"directions of the second source less the first at +{chosen[1]:g} nats, {len(arms)} arms"
    return equivalent(mean_of(arms, arms), LEAST, "points", detail, 100)


def _selective(rows: StudyRows, scope: Scope) -> Outcome:
    arms, n = probe_arms(rows, lambda heads: float((heads["accuracy"] - heads["shuffled"]).mean()))
    detail = f"mean over heads and {len(arms)} arms, {n:,} statements"
    return directional(mean_of(arms, arms), +1, 1.0, "points", detail, 100, n=n)


def _slung(rows: StudyRows, scope: Scope) -> Outcome:
    arms = rows.grids("none", scope.prompt_set, scope.scorer)
    shares = sorted(s for kind, s in arms if kind == "slung" and (TOXIC, s) in arms)
    if not shares:
        return Missing("needs a slung arm and the toxic arm of the same share")
    share = min(shares, key=lambda one: (abs(one - 0.1), one))
    effect = against(arms, ("slung", share), (TOXIC, share))
    detail = f"{percent(share)}: loss on toxic text masked less trained, unsteered"
    return directional(effect, -1, LEAST, "points", detail, 100)


CLAIMS = (
    Claim(
        "R-control", "readers",
        "It is the toxicity of the added text, not the added text, that raises toxicity",
        "Toxicity, or only more text in another style?",
        "Unsteered toxicity: toxic arm less the clean-forum arm with as many added tokens", SCORES,
        DIRECTION.format(least=LEAST, unit="points"), _control,
    ),
    Claim(
        "R-control-steered", "readers",
        "At the same cost, toxic text leaves a less toxic steered model than as much clean forum text",
        "Would more text in the same style have helped as much?",
        "Toxicity under ITI at the middle matched cost: toxic arm less the clean-forum arm with as many "
        "added tokens", SCORES, DIRECTION.format(least=LEAST, unit="points"), _control_steered,
        later=True,
    ),
    Claim(
        "R-relative", "readers",
        "At the same cost, a larger part of the toxicity goes after a dose of toxic text",
        "Is it easier to remove, relative to what was there?",
        "Share of unsteered toxicity removed at the middle matched cost: share nearest 10 % less 0 %", SCORES,
        DIRECTION.format(least=5.0, unit="% of base"), _relative,
    ),
    Claim(
        "R-scorer", "readers", "A second scorer puts arms and conditions in the same order",
        "Does it hang on one scorer?",
        "Rank correlation over arms and conditions of the mean scores of two scorers, a number for each seed",
        SCORES,
        f"Supported: Holm's one-sided p that the correlation is above {AGREE:g} is at most .05. Not "
        "supported: the interval lies below it. Else undecided.", _scorer,
    ),
    Claim(
        "R-directions", "readers", "Directions from another source of statements detoxify as well",
        "Do directions and evaluation share their data?",
        "Toxicity at the middle matched cost: directions of a second source less those of the first", SCORES,
        EQUIVALENCE.format(least=LEAST, unit="points"), _directions,
    ),
    Claim(
        "R-selectivity", "readers", "Probes read toxicity rather than memorise labels",
        "Would shuffled labels do as well?",
        "Balanced accuracy less that of probes on shuffled labels, mean over heads and toxic arms",
        "probe of every head and arm, test split", DIRECTION.format(least=1.0, unit="points"), _selective,
        scoped=False,
    ),
    Claim(
        "R-slung", "readers", "Toxic text in context with its loss masked leaves a less toxic model",
        "Is the rival way of pretraining better?",
        "Unsteered toxicity: slung arm less the toxic arm of the same share (nearest 10 %)", SCORES,
        DIRECTION.format(least=LEAST, unit="points"), _slung,
    ),
)  # fmt: skip
