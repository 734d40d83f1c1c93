"""Readers' questions that the paper's design leaves open, by scores (0 to 1) by arm, [seeds, prompts]."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy

from hormesis.pipeline.claims.compare import (
    Pair,
    against,
    changes,
    dose_and_none,
    less,
    matched,
    matched_key,
    mean_of,
    mean_of_arms,
    measured_shares,
    percent,
    points_of,
    toxic_only,
)
from hormesis.pipeline.claims.declared import (
    DIFFERENCE,
    DIRECTION,
    EQUIVALENCE,
    ODDS,
    ODDS_SESOI,
    Claim,
    Finding,
    Missing,
    Outcome,
    Scope,
    directional,
    equivalent,
)
from hormesis.pipeline.claims.detox import FALL, FALL_RULE, RISE_RULE, SCORES
from hormesis.pipeline.claims.pretraining import probe_arms
from hormesis.pipeline.claims.rows import TOXIC, StudyRows
from hormesis.pipeline.statistics import contrast
from hormesis.pipeline.statistics.power import detectable

AGREE = 0.8
FEWEST = 5
"""Fewest pairs of arm and condition of a seed whose order can be compared."""
AT_MOST = 0.9999
"""Largest correlation whose Fisher's z is taken."""


def _toxic_less_clean(
    study: StudyRows, scope: Scope, condition_key: str, *, sign: int, where: str
) -> Outcome:
    """The toxic arm less the control arm of the same share, the largest; `where`: words on the condition."""
    scores_by_arm = study.grids(condition_key, scope.prompt_set, scope.scorer)
    shares = sorted(s for kind, s in scores_by_arm if kind == "clean-forum" and (TOXIC, s) in scores_by_arm)
    if not shares:
        return Missing("needs the control arm and a toxic arm of the same share")
    pair = Pair((TOXIC, shares[-1]), ("clean-forum", shares[-1]))
    effect = against(scores_by_arm, *pair, scale=ODDS, sign=sign)
    detail = f" of equal length{where}, {points_of(scores_by_arm, pair)}{measured_shares(study, pair)}"
    words = f"{percent(shares[-1])}: toxic less informal text"
    return directional(
        effect, sign, ODDS_SESOI if sign > 0 else FALL, scale=ODDS, contrast=words, detail=detail
    )


def _control(study: StudyRows, scope: Scope) -> Outcome:
    return _toxic_less_clean(study, scope, "none", sign=+1, where=", unsteered")


def _control_steered(study: StudyRows, scope: Scope) -> Outcome:
    steering = matched_key(study)
    if steering is None:
        return Missing("needs steering at a matched cost")
    return _toxic_less_clean(study, scope, steering.key, sign=-1, where=f" at +{steering.size:g} nats")


def _relative(study: StudyRows, scope: Scope) -> Outcome:
    """What steering does to the odds of toxicity, the arm nearest 10 % against none: a ratio of ratios."""
    steering = matched_key(study)
    if steering is None:
        return Missing("needs steering at a matched cost")
    steered_by_arm = toxic_only(study.grids(steering.key, scope.prompt_set, scope.scorer))
    base_by_arm = study.grids("none", scope.prompt_set, scope.scorer)
    change = changes(steered_by_arm, base_by_arm, scale=ODDS, sign=-1)
    pair = dose_and_none(change.means)
    if isinstance(pair, Missing):
        return pair
    effect = less(change.means, *pair, extremes=change.extremes[pair.first])
    ratios = ", ".join(f"{ODDS.display(change.means[arm].value):.2f}" for arm in pair)
    detail = f" at +{steering.size:g} nats; steering multiplies the odds by {ratios}"
    return directional(effect, -1, FALL, scale=ODDS, contrast=str(pair), detail=detail)


def _scorer(study: StudyRows, scope: Scope) -> Outcome:
    """Rank correlation of two scorers; `correlations`: per seed, rho and its pairs; `z` [seeds]: Fisher's."""
    scopes = study.scopes
    of_set = scopes[(scopes["measures"] == "toxicity") & (scopes["prompt_set"] == scope.prompt_set)]
    scorers = [str(name) for name in of_set["scorer"]]
    if len(scorers) < 2:
        return Missing("needs a second scorer")
    correlations = _ranks(study, Scope(scope.prompt_set, scorers[0]), scorers[1])
    if isinstance(correlations, Missing):
        return correlations
    z = np.arctanh(np.clip([rho for rho, _ in correlations], -AT_MOST, AT_MOST))
    counts = [n for _, n in correlations]
    effect = contrast([z], [1.0])
    if effect is None:
        return Missing("needs two seeds scored by both")
    null_z = float(np.arctanh(AGREE))

    def one_sided(mean_z: float) -> float:
        half = replace(effect, value=mean_z).p_value(null_z) / 2
        return half if mean_z > null_z else 1 - half

    low, high = (float(np.tanh(end)) for end in effect.interval())
    rho = float(np.tanh(effect.value))
    return Finding(
        value=rho, low=low, high=high, unit="Spearman", n=min(counts), n_seeds=len(correlations),
        p=one_sided(effect.value), contrast=f"{scorers[0]} and {scorers[1]}",
        detail=f": rank correlation of {min(counts)} arms and conditions in each seed; seeds are the unit",
        claimed=rho > AGREE, excluded=high < AGREE, opposed=high < AGREE,
        interval="Fisher's z of each seed, Student's t over seeds, 95 %",
        best_p=one_sided(float(np.arctanh(AT_MOST))), room=AT_MOST,
        failable=effect.reach() - float(np.arctanh(AT_MOST)) < null_z,
        sees=lambda level: float(np.tanh(null_z + detectable(effect, level=2 * level))),
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
                    zip(
                        *(np.nanmean(scores[arm], axis=1) for scores in (scores_by_arm, others_by_arm)),
                        strict=True,
                    )
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
    seconds = {second.size: second.key for second in matched(study, "second")}
    if steering is None or steering.size not in seconds:
        return Missing("needs directions from a second source of labelled statements")
    first_by_arm = study.grids(steering.key, scope.prompt_set, scope.scorer)
    second_by_arm = toxic_only(study.grids(seconds[steering.size], scope.prompt_set, scope.scorer))
    change = changes(second_by_arm, first_by_arm, scale=ODDS, sign=0)
    detail = f" at +{steering.size:g} nats, {len(change.means)} arms"
    return equivalent(
        mean_of(change), ODDS_SESOI, scale=ODDS, contrast="directions of the second source less the first",
        detail=detail,
    )  # fmt: skip


def _selective(study: StudyRows, scope: Scope) -> Outcome:
    excess_by_arm, n = probe_arms(study, lambda heads: float((heads["accuracy"] - heads["shuffled"]).mean()))
    detail = f", mean over heads and {len(excess_by_arm)} arms, {n:,} statements"
    effect = mean_of_arms(excess_by_arm, scale=DIFFERENCE, sign=+1)
    return directional(
        effect, +1, 1.0, scale=DIFFERENCE, contrast="true less shuffled labels", detail=detail, n=n
    )


def _slung(study: StudyRows, scope: Scope) -> Outcome:
    """The slung arm (loss on toxic text masked) less the toxic arm, at the share nearest 10 %."""
    scores_by_arm = study.grids("none", scope.prompt_set, scope.scorer)
    shares = sorted(s for kind, s in scores_by_arm if kind == "slung" and (TOXIC, s) in scores_by_arm)
    if not shares:
        return Missing(
            "needs an arm whose loss on toxic text is masked (SLUNG) and the toxic arm of the same share"
        )
    share = min(shares, key=lambda share: (abs(share - 0.1), share))
    pair = Pair(("slung", share), (TOXIC, share))
    effect = against(scores_by_arm, *pair, scale=ODDS, sign=-1)
    words = f"{percent(share)}: loss on toxic text masked less trained"
    return directional(
        effect, -1, FALL, scale=ODDS, contrast=words, detail=f", unsteered, {points_of(scores_by_arm, pair)}"
    )


CLAIMS = (
    Claim(
        id="R-control", family="readers",
        statement="It is the toxicity of the added text, not the added text, that raises toxicity",
        question="Toxicity, or only more text in another style?",
        estimand="Odds of unsteered toxicity: toxic arm less its control with as many added tokens",
        rows=SCORES, rule=RISE_RULE, test=_control,
    ),
    Claim(
        id="R-control-steered", family="readers",
        statement="At the same cost, toxic text leaves a less toxic steered model than as much "
        "informal text",
        question="Would more text in the same style have helped as much?",
        estimand="Odds of toxicity under ITI at the middle matched cost: toxic arm less its control "
        "with as many added tokens", rows=SCORES, rule=FALL_RULE, test=_control_steered,
        later=True,
    ),
    Claim(
        id="R-relative", family="readers",
        statement="At the same cost, a larger part of the toxicity goes after a dose of toxic text",
        question="Is it easier to remove, relative to what was there?",
        estimand="Odds ratio of toxicity, steered at the middle matched cost less unsteered: that of the "
        "share nearest 10 % over that of 0 %", rows=SCORES, rule=FALL_RULE, test=_relative,
    ),
    Claim(
        id="R-scorer", family="readers",
        statement="A second scorer puts arms and conditions in the same order",
        question="Does it hang on one scorer?",
        estimand="Rank correlation over arms and conditions of the mean scores of two scorers, a number for "
        "each seed",
        rows=SCORES,
        rule=f"Supported: Holm's one-sided p that the correlation is above {AGREE:g} is at most .05. Not "
        "supported: the interval lies below it. Cannot be told: not even full agreement would pass Holm "
        "here. Else undecided.", test=_scorer, breadth="prompts",
    ),
    Claim(
        id="R-directions", family="readers",
        statement="Directions from another source of statements detoxify as well",
        question="Do directions and evaluation share their data?",
        estimand="Odds of toxicity at the middle matched cost: directions of a second source less those "
        "of the first",
        rows=SCORES,
        rule=EQUIVALENCE.format(sesoi=ODDS_SESOI, unit="(odds ratio, and its inverse)"), test=_directions,
    ),
    Claim(
        id="R-selectivity", family="readers", statement="Probes read toxicity rather than memorise labels",
        question="Would shuffled labels do as well?",
        estimand="Balanced accuracy less that of probes on shuffled labels, mean over heads and toxic arms",
        rows="probe of every head and arm, test split", rule=DIRECTION.format(sesoi=1.0, unit="points"),
        test=_selective,
        breadth="study",
    ),
    Claim(
        id="R-slung", family="readers",
        statement="Toxic text in context with its loss masked leaves a less toxic model",
        question="Is the rival way of pretraining better?",
        estimand="Odds of unsteered toxicity: slung arm less the toxic arm of the same share (nearest 10 %)",
        rows=SCORES, rule=FALL_RULE, test=_slung,
    ),
)  # fmt: skip
