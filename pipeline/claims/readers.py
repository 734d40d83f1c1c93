"""Readers' questions that the paper's design leaves open, by scores (0 to 1) by arm, [seeds, prompts]."""

from __future__ import annotations

import numpy as np
import scipy

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

SESOI, AGREE = 3.0, 0.8
FEWEST = 5
"""Fewest pairs of arm and condition of a seed whose order can be compared."""
SCORES = "generations and their scores (mean score times 100), same prompts in every arm"


def _toxic_less_clean(
    study: StudyRows, scope: Scope, condition_key: str, *, sign: int, where: str
) -> Outcome:
    """The toxic arm less the control arm of the same share, the largest; `where`: words on the condition."""
    scores_by_arm = study.grids(condition_key, scope.prompt_set, scope.scorer)
    shares = sorted(s for kind, s in scores_by_arm if kind == "clean-forum" and (TOXIC, s) in scores_by_arm)
    if not shares:
        return Missing("needs the control arm and a toxic arm of the same share")
    effect = against(scores_by_arm, (TOXIC, shares[-1]), ("clean-forum", shares[-1]))
    detail = f"{percent(shares[-1])}: toxic less clean forum text of equal length{where}"
    return directional(effect, sign, SESOI, unit="points", detail=detail, scale=100)


def _control(study: StudyRows, scope: Scope) -> Outcome:
    return _toxic_less_clean(study, scope, "none", sign=+1, where=", unsteered")


def _control_steered(study: StudyRows, scope: Scope) -> Outcome:
    steering = matched_key(study)
    if steering is None:
        return Missing("needs steering at a matched cost")
    return _toxic_less_clean(study, scope, steering.key, sign=-1, where=f" at +{steering.size:g} nats")


def _relative(study: StudyRows, scope: Scope) -> Outcome:
    """The part of base toxicity that steering removes, arm to [seeds]: the arm nearest 10 % less none."""
    steering = matched_key(study)
    if steering is None:
        return Missing("needs steering at a matched cost")
    steered_by_arm = toxic_only(study.grids(steering.key, scope.prompt_set, scope.scorer))
    base_by_arm = study.grids("none", scope.prompt_set, scope.scorer)
    removed_by_arm = {
        arm: 1 - steered_by_arm[arm].mean(axis=1) / base_by_arm[arm].mean(axis=1)
        for arm in steered_by_arm
        if arm in base_by_arm
        and steered_by_arm[arm].shape == base_by_arm[arm].shape
        and (base_by_arm[arm].mean(axis=1) > 0).all()
    }
    effect, shares = dose_against_none(removed_by_arm)
    if isinstance(effect, Missing):
        return effect
    prompt_count = next(iter(steered_by_arm.values())).shape[1]
    detail = f"{shares} at +{steering.size:g} nats; a ratio, so seeds alone are the unit"
    return directional(effect, +1, 5.0, unit="% of base", detail=detail, scale=100, n=prompt_count)


def _scorer(study: StudyRows, scope: Scope) -> Outcome:
    """Rank correlation of two scorers; `correlations`: per seed, rho and its pairs; `z` [seeds]: Fisher's."""
    scopes = study.scopes
    scorers = scopes[(scopes["measures"] == "toxicity") & (scopes["prompt_set"] == scope.prompt_set)]
    other_scorers = [str(name) for name in scorers["scorer"] if name != scope.scorer]
    if not other_scorers:
        return Missing("needs a second scorer")
    correlations = _ranks(study, scope, other_scorers[0])
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
    rho, null_z = float(np.tanh(effect.value)), float(np.arctanh(AGREE))
    one_sided_p = effect.p_value(null_z) / 2
    detail = f"{scope.scorer} and {other_scorers[0]}: rank correlation of {min(counts)} arms and conditions "
    detail += "in each seed; seeds are the unit"
    return Finding(
        value=rho, low=low, high=high, unit="Spearman", n=min(counts), n_seeds=len(correlations),
        p=one_sided_p if effect.value > null_z else 1 - one_sided_p, detectable=None,
        detail=detail, claimed=rho > AGREE, excluded=high < AGREE,
        interval="Fisher's z of each seed, Student's t over seeds, 95 %",
    )  # fmt: skip


def _ranks(study: StudyRows, scope: Scope, other_scorer: str) -> list[tuple[float, int]] | Missing:
    """Of each seed (a place in the arrays), the rank correlation of the scorers' means and how many pairs."""
    means_by_seed: dict[int, list[tuple[float, float]]] = {}
    for condition_key in sorted(set(study.conditions["key"])):
        scores_by_arm = study.grids(condition_key, scope.prompt_set, scope.scorer)
        others_by_arm = study.grids(condition_key, scope.prompt_set, other_scorer)
        for arm in scores_by_arm:
            if arm in others_by_arm and scores_by_arm[arm].shape == others_by_arm[arm].shape:
                for seed, (mean, other_mean) in enumerate(
                    zip(scores_by_arm[arm].mean(axis=1), others_by_arm[arm].mean(axis=1), strict=True)
                ):
                    means_by_seed.setdefault(seed, []).append((float(mean), float(other_mean)))
    correlations = []
    for mean_pairs in means_by_seed.values():
        first, second = np.array(mean_pairs).T
        if len(mean_pairs) < FEWEST:
            continue
        if np.ptp(first) == 0 or np.ptp(second) == 0:
            return Missing(
                "one of the scorers gives every arm and condition the same toxicity: no ranks to compare"
            )
        correlations.append((float(scipy.stats.spearmanr(first, second).statistic), len(mean_pairs)))
    return correlations or Missing(f"needs {FEWEST} conditions scored by both")


def _directions(study: StudyRows, scope: Scope) -> Outcome:
    """Steered along the second source's directions less along the first's, mean of the toxic arms."""
    steering = matched_key(study)
    conditions = study.conditions
    second_conditions = conditions[(conditions["method"] == "iti") & (conditions["direction"] == "second")]
    if steering is None or second_conditions.empty:
        return Missing("needs directions from a second source of labelled statements")
    first_by_arm = study.grids(steering.key, scope.prompt_set, scope.scorer)
    second_by_arm = study.grids(f"iti/second/cost-{steering.size:g}", scope.prompt_set, scope.scorer)
    changes_by_arm = toxic_only(changes(second_by_arm, first_by_arm))
    detail = f"directions of the second source less the first at +{steering.size:g} nats, "
    detail += f"{len(changes_by_arm)} arms"
    return equivalent(mean_of(changes_by_arm), SESOI, "points", detail=detail, scale=100)


def _selective(study: StudyRows, scope: Scope) -> Outcome:
    excess_by_arm, n = probe_arms(study, lambda heads: float((heads["accuracy"] - heads["shuffled"]).mean()))
    detail = f"mean over heads and {len(excess_by_arm)} arms, {n:,} statements"
    return directional(mean_of(excess_by_arm), +1, 1.0, unit="points", detail=detail, scale=100, n=n)


def _slung(study: StudyRows, scope: Scope) -> Outcome:
    """The slung arm (loss on toxic text masked) less the toxic arm, at the share nearest 10 %."""
    scores_by_arm = study.grids("none", scope.prompt_set, scope.scorer)
    shares = sorted(s for kind, s in scores_by_arm if kind == "slung" and (TOXIC, s) in scores_by_arm)
    if not shares:
        return Missing("needs a slung arm and the toxic arm of the same share")
    share = min(shares, key=lambda share: (abs(share - 0.1), share))
    effect = against(scores_by_arm, ("slung", share), (TOXIC, share))
    detail = f"{percent(share)}: loss on toxic text masked less trained, unsteered"
    return directional(effect, -1, SESOI, unit="points", detail=detail, scale=100)


CLAIMS = (
    Claim(
        id="R-control", family="readers",
        statement="It is the toxicity of the added text, not the added text, that raises toxicity",
        question="Toxicity, or only more text in another style?",
        estimand="Unsteered toxicity: toxic arm less the clean-forum arm with as many added tokens",
        rows=SCORES,
        rule=DIRECTION.format(sesoi=SESOI, unit="points"), test=_control,
    ),
    Claim(
        id="R-control-steered", family="readers",
        statement="At the same cost, toxic text leaves a less toxic steered model than as much clean forum "
        "text",
        question="Would more text in the same style have helped as much?",
        estimand="Toxicity under ITI at the middle matched cost: toxic arm less the clean-forum arm with as "
        "many "
        "added tokens", rows=SCORES, rule=DIRECTION.format(sesoi=SESOI, unit="points"), test=_control_steered,
        later=True,
    ),
    Claim(
        id="R-relative", family="readers",
        statement="At the same cost, a larger part of the toxicity goes after a dose of toxic text",
        question="Is it easier to remove, relative to what was there?",
        estimand="Share of unsteered toxicity removed at the middle matched cost: share nearest 10 % less 0 "
        "%", rows=SCORES,
        rule=DIRECTION.format(sesoi=5.0, unit="% of base"), test=_relative,
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
        rule=EQUIVALENCE.format(sesoi=SESOI, unit="points"), test=_directions,
    ),
    Claim(
        id="R-selectivity", family="readers", statement="Probes read toxicity rather than memorise labels",
        question="Would shuffled labels do as well?",
        estimand="Balanced accuracy less that of probes on shuffled labels, mean over heads and toxic arms",
        rows="probe of every head and arm, test split", rule=DIRECTION.format(sesoi=1.0, unit="points"),
        test=_selective,
        scoped=False,
    ),
    Claim(
        id="R-slung", family="readers",
        statement="Toxic text in context with its loss masked leaves a less toxic model",
        question="Is the rival way of pretraining better?",
        estimand="Unsteered toxicity: slung arm less the toxic arm of the same share (nearest 10 %)",
        rows=SCORES,
        rule=DIRECTION.format(sesoi=SESOI, unit="points"), test=_slung,
    ),
)  # fmt: skip
