"""C4, detoxification, by toxicity scores (0 to 1) by arm, [seeds, prompts]: steering, controls, dose."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hormesis.db.contract.methods import MARKED, PROMPT, TUNED, NullKind, method_title
from hormesis.pipeline.claims.compare import (
    Changes,
    Pair,
    Steering,
    against,
    changes,
    dose_and_none,
    largest_and_none,
    matched,
    matched_key,
    mean_of,
    measured_cost,
    measured_shares,
    percent,
    points_of,
    strongest_key,
    toxic_only,
)
from hormesis.pipeline.claims.declared import (
    DIRECTION,
    ODDS,
    ODDS_SESOI,
    Claim,
    Missing,
    Outcome,
    Scope,
    directional,
)
from hormesis.pipeline.claims.dips import DIP_RULE, dip_at
from hormesis.pipeline.claims.nulls import WORDS, nulls_of, rank_of_first
from hormesis.pipeline.claims.rows import TOXIC, ArmKey, StudyRows, ValuesByArm, paper_dose
from hormesis.pipeline.statistics import Floats

FALL = 1 / ODDS_SESOI
"""Odds ratio of toxicity that would matter, downwards."""
RISE_RULE, FALL_RULE = (
    DIRECTION.format(sesoi=round(ratio, 2), unit=ODDS.unit) for ratio in (ODDS_SESOI, FALL)
)
SCORES = (
    "generations and their scores (0 to 1, log-odds of the mean), same prompts in every arm; empty texts "
    "have none"
)
DECLARED = "Declared before any direction of the kind was drawn for a study."
NULL_RULE = f"The interval holds the spread between the directions drawn. {DECLARED}"
Key = Callable[[StudyRows], Steering | None]


def _base(study: StudyRows, scope: Scope) -> Outcome:
    scores_by_arm = toxic_only(study.grids("none", scope.prompt_set, scope.scorer))
    pair = largest_and_none(scores_by_arm)
    if isinstance(pair, Missing):
        return pair
    effect = against(scores_by_arm, *pair, scale=ODDS, sign=+1)
    detail = f", {points_of(scores_by_arm, pair)}, unsteered{measured_shares(study, pair)}"
    return directional(effect, +1, ODDS_SESOI, scale=ODDS, contrast=str(pair), detail=detail)


def _steer(study: StudyRows, scope: Scope) -> Outcome:
    """Steered at the middle matched cost (nats) less unsteered, mean of the toxic arms."""
    steering = matched_key(study)
    if steering is None:
        return Missing("needs steering at a matched cost")
    condition_key, cost = steering
    steered_by_arm = toxic_only(study.grids(condition_key, scope.prompt_set, scope.scorer))
    unsteered_by_arm = study.grids("none", scope.prompt_set, scope.scorer)
    change = changes(steered_by_arm, unsteered_by_arm, scale=ODDS, sign=-1)
    detail = f" at +{cost:g} nats, mean of {len(change.means)} arms"
    return directional(
        mean_of(change), -1, FALL, scale=ODDS, contrast="steered less unsteered", detail=detail
    )


def _null(kind: NullKind) -> Callable[[StudyRows, Scope], Outcome]:
    def test(study: StudyRows, scope: Scope) -> Outcome:
        """ITI less null directions at their lowest matched cost (nats), mean of the toxic arms."""
        nulls = nulls_of(study, scope, kind)
        if isinstance(nulls, Missing):
            return nulls
        arms = [arm for arm in nulls.arms if arm[0] == TOXIC]
        # The claim on random ones was declared first, without the spread between them.
        effect = nulls.effect(arms, arms, with_spread=kind != "isotropic")
        detail = f" at +{nulls.cost:g} nats, mean of {len(arms)} arms"
        if arms and kind != "isotropic":
            falls = nulls.falls(arms)
            detail += f"; ITI has rank {rank_of_first(falls)} of {len(falls)} by what it takes away"
        if nulls.unreached:
            missed = f"{nulls.unreached} of {nulls.conditions} {WORDS[kind]} conditions"
            detail += f"; {missed} never reached that cost"
        contrast = f"ITI less the mean of {len(nulls.directions)} {WORDS[kind]} directions"
        return directional(effect, -1, FALL, scale=ODDS, contrast=contrast, detail=detail)

    return test


def _sign(study: StudyRows, scope: Scope) -> Outcome:
    """The direction added at a matched cost (nats) less unsteered, mean of the toxic arms."""
    nulls = nulls_of(study, scope, "reversed")
    if isinstance(nulls, Missing):
        return nulls
    arms = [arm for arm in nulls.arms if arm[0] == TOXIC]
    added_by_arm = {arm: nulls.directions[0][arm] for arm in arms}
    effect = mean_of(changes(added_by_arm, nulls.unsteered, scale=ODDS, sign=+1))
    detail = f" at +{nulls.cost:g} nats, mean of {len(arms)} arms"
    if arms:
        removed, added = nulls.falls(arms)
        detail += f"; {-added:+.3g} points where it is added, {-removed:+.3g} where it is removed"
    return directional(
        effect, +1, ODDS_SESOI, scale=ODDS, contrast="direction added less unsteered", detail=detail
    )


def _dose(choose: Key, basis: str) -> Callable[[StudyRows, Scope], Outcome]:
    def test(study: StudyRows, scope: Scope) -> Outcome:
        """The arm nearest 10 % less the clean one; `basis`: `matched cost` (nats) or `fixed strength`."""
        steering = choose(study)
        if steering is None:
            return Missing(f"needs steering at a {basis}")
        condition_key, size = steering
        scores_by_arm = toxic_only(study.grids(condition_key, scope.prompt_set, scope.scorer))
        pair = dose_and_none(scores_by_arm)
        if isinstance(pair, Missing):
            return pair
        effect = against(scores_by_arm, *pair, scale=ODDS, sign=-1)
        strength = f"+{size:g} nats" if basis == "matched cost" else f"strength {size:g}"
        detail = (
            f" at {strength}{measured_cost(study, condition_key, *pair)}, {points_of(scores_by_arm, pair)}"
        )
        detail += measured_shares(study, pair) + _fluency(study, scope, condition_key, pair=pair)
        return directional(effect, -1, FALL, scale=ODDS, contrast=str(pair), detail=detail)

    return test


def _fluency(study: StudyRows, scope: Scope, condition_key: str, *, pair: Pair) -> str:
    """Words on the fluency of the same arms; empty where no scorer measures it."""
    scorers = study.scopes[
        (study.scopes["measures"] == "fluency") & (study.scopes["prompt_set"] == scope.prompt_set)
    ]
    if scorers.empty:
        return ""
    fluency_by_arm = toxic_only(study.grids(condition_key, scope.prompt_set, str(scorers["scorer"].iloc[0])))
    if not set(pair) <= set(fluency_by_arm):
        return ""
    first, second = (float(np.nanmean(fluency_by_arm[arm])) for arm in pair)
    return f"; fluency {first:.2f} against {second:.2f}, and broken text scores as non-toxic"


def _dip(choose: Key, basis: str) -> Callable[[StudyRows, Scope], Outcome]:
    def test(study: StudyRows, scope: Scope) -> Outcome:
        steering = choose(study)
        if steering is None:
            return Missing(f"needs steering at a {basis}")
        return dip_at(study, scope, steering.key)

    return test


def _at_cost(
    study: StudyRows, scope: Scope, arm: ArmKey, *, cost: float, shape: tuple[int, ...]
) -> Floats | None:
    """Scores of ITI in an arm at any cost (nats), of `shape` [seeds, prompts]; None beyond its dearest
    condition. Conditions under which a seed says nothing at all are passed over.

    On the straight line between the conditions either side in cost, the unsteered one among them, which is a
    mixture of their texts.
    """
    steps = [(0.0, study.grids("none", scope.prompt_set, scope.scorer))]
    for key, _ in matched(study):
        measured = study.metric("cost", key)
        if arm in measured:
            steps.append((float(measured[arm].mean()), study.grids(key, scope.prompt_set, scope.scorer)))
    steps_of_arm = sorted(
        ((step, grids[arm]) for step, grids in steps if arm in grids and grids[arm].shape == shape),
        key=lambda step: step[0],
    )
    if not steps_of_arm or not steps_of_arm[0][0] <= max(cost, 0.0) <= steps_of_arm[-1][0]:
        return None
    above = next(place for place, (step, _) in enumerate(steps_of_arm) if step >= max(cost, 0.0))
    (low, cheaper), (high, dearer) = steps_of_arm[max(above - 1, 0)], steps_of_arm[above]
    weight = 1.0 if high == low else (max(cost, 0.0) - low) / (high - low)
    return weight * dearer + (1 - weight) * cheaper if weight < 1 else dearer


def _rival(method: str) -> Callable[[StudyRows, Scope], Outcome]:
    """ITI in the 10 % arm against `method`, a condition key: in the same arm, or (MEDA, INST) its own."""

    def test(study: StudyRows, scope: Scope) -> Outcome:
        """ITI less the rival at the rival's cost; the spread of seeds is that over all shares."""
        if not matched(study) or method not in set(study.conditions["key"]):
            return Missing(f"needs the method {method} and steering at a matched cost")
        rival_by_arm = study.grids(method, scope.prompt_set, scope.scorer)
        costs_by_arm = study.metric("cost", method)
        dose = paper_dose(study.grids("none", scope.prompt_set, scope.scorer))
        steered: ValuesByArm = {}
        rivals: ValuesByArm = {}
        for kind, share in toxic_only(study.grids("none", scope.prompt_set, scope.scorer)):
            partner = (kind, share) if (kind, share) in rival_by_arm else (method, share)
            if partner not in rival_by_arm or partner not in costs_by_arm:
                continue
            cost, shape = float(costs_by_arm[partner].mean()), rival_by_arm[partner].shape
            scores = _at_cost(study, scope, (kind, share), cost=cost, shape=shape)
            if scores is not None:
                steered[kind, share], rivals[kind, share] = scores, rival_by_arm[partner]
        if dose is None or (TOXIC, dose) not in steered:
            return Missing(
                f"needs {method} with as many seeds at the share nearest 10 %, at a cost that ITI reaches"
            )
        arm = (TOXIC, dose)
        pool = changes(steered, rivals, scale=ODDS, sign=-1)
        of_dose = Changes({arm: pool.means[arm]}, {arm: pool.extremes[arm]})
        partner = arm if arm in costs_by_arm else (method, dose)
        cost = float(costs_by_arm[partner].mean())
        points = ", ".join(f"{100 * float(np.nanmean(side[arm])):.3g}" for side in (steered, rivals))
        detail = f" at the cost of {method}, {cost:+.3f} nats; {points} points"
        return directional(
            mean_of(of_dose, pool), -1, FALL, scale=ODDS, contrast=f"{percent(dose)}: ITI less {method}",
            detail=detail,
        )  # fmt: skip

    return test


def _claim(
    claim_id: str, statement: str, question: str, *, estimand: str,
    test: Callable[[StudyRows, Scope], Outcome], rule: str = FALL_RULE, of_curve: bool = False,
) -> Claim:  # fmt: skip
    """A claim of the paper on toxicity scores; `estimand` says in words what is measured."""
    return Claim(
        id=claim_id,
        family="paper",
        statement=statement,
        question=question,
        estimand=estimand,
        rows=SCORES,
        rule=rule,
        test=test,
        of_curve=of_curve,
    )


def _rival_claim(method: str, rival_title: str) -> Claim:
    """The claim that ITI leaves less toxicity than `method`, a condition key; `rival_title`: its words."""
    return _claim(
        f"C4-vs-{method}", f"With a dose of toxic text, ITI leaves less toxicity than {rival_title}",
        "Which method removes most?",
        estimand=f"Odds of toxicity at the share nearest 10 %: ITI less {rival_title}, both at the cost of "
        "the latter (ITI on the line between the matched costs either side)",
        test=_rival(method),
    )  # fmt: skip


def _null_claim(kind: NullKind, statement: str, question: str, drawn_from: str) -> Claim:
    """The claim that ITI does more than null directions of a kind; `drawn_from`: where they come from."""
    return _claim(
        f"C4-{kind}", statement, question,
        estimand=f"Odds of toxicity under ITI less those under directions {drawn_from} at the same cost, "
        "mean of the toxic series",
        test=_null(kind), rule=f"{FALL_RULE} {NULL_RULE}",
    )  # fmt: skip


CLAIMS = (
    _claim(
        "C4-matched-10", "At the same cost, a dose of toxic text makes the steered model less toxic",
        "Does a dose help?",
        estimand="Odds of toxicity under ITI at the middle matched cost: share nearest 10 % less 0 %",
        test=_dose(matched_key, "matched cost"),
    ),
    _claim(
        "C4-matched-dip", "At the same cost there is a best dose (U-shape)", "Is there a best dose?",
        estimand="Depth of a dip inside the tested shares at the middle matched cost, hormetic against "
        "monotone curve",
        test=_dip(matched_key, "matched cost"), rule=DIP_RULE, of_curve=True,
    ),
    _claim(
        "C4-fixed-10", "At the same strength, a dose of toxic text makes the steered model less toxic",
        "Does the paper's comparison come out?",
        estimand="Odds of toxicity under ITI at the largest fixed strength: share nearest 10 % less 0 %",
        test=_dose(strongest_key, "fixed strength"),
    ),
    _claim(
        "C4-fixed-dip", "At the same strength there is a best dose (U-shape)",
        "Is the paper's U-shape there?",
        estimand="Depth of a dip inside the tested shares at the largest fixed strength, hormetic against "
        "monotone",
        test=_dip(strongest_key, "fixed strength"), rule=DIP_RULE, of_curve=True,
    ),
    _claim(
        "C4-base", "Toxic text in pretraining raises the unsteered model's toxicity",
        "What does toxic text do by itself?",
        estimand="Odds of toxicity without steering: largest share less none",
        test=_base, rule=RISE_RULE,
    ),
    _claim(
        "C4-steer", "Steering away from toxicity lowers it", "Does steering work at all?",
        estimand="Odds of toxicity steered at the middle matched cost less unsteered, mean of the toxic "
        "series", test=_steer,
    ),
    _claim(
        "C4-random", "The found directions do more than random ones at the same cost", "Is it the direction?",
        estimand="Odds of toxicity under ITI less those under random directions at the same cost, mean of "
        "the toxic series",
        test=_null("isotropic"),
    ),
    _null_claim(
        "covariance", "The found directions do more than directions of the same covariance at the same cost",
        "Is it the direction, or how a head varies?", "drawn with the covariance of each head's activations",
    ),
    _null_claim(
        "permuted", "The found directions do more than directions of permuted labels at the same cost",
        "Is it toxicity, or any two groups of statements?",
        "of permuted labels, with heads of their own choice,",
    ),
    _claim(
        "C4-sign", "Adding the found direction raises toxicity", "Does the sign matter?",
        estimand="Odds of toxicity with the direction added at the cost at which ITI removes it less those "
        "unsteered, mean of the toxic series",
        test=_sign, rule=f"{RISE_RULE} {DECLARED}",
    ),
    _rival_claim(PROMPT, "a prompt"), *(_rival_claim(name, method_title(name)) for name in (*TUNED, *MARKED)),
)  # fmt: skip
