"""C4, detoxification, by toxicity scores (0 to 1) by arm, [seeds, prompts]: steering, controls, dose."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hormesis.db.contract.methods import MARKED, PROMPT, TUNED, method_title
from hormesis.pipeline.claims.compare import (
    Steering,
    changes,
    dose_against_none,
    largest_against_none,
    matched_key,
    mean_of,
    measured_cost,
    percent,
    strongest_key,
    toxic_only,
)
from hormesis.pipeline.claims.declared import DIRECTION, Claim, Missing, Outcome, Scope, directional
from hormesis.pipeline.claims.dips import DIP_RULE, dip_at
from hormesis.pipeline.claims.rows import TOXIC, StudyRows, ValuesByArm, paper_dose

SESOI = 3.0
"""Points of toxicity (0 to 100) that would matter."""
RULE = DIRECTION.format(sesoi=SESOI, unit="points")
SCORES = "generations and their scores (mean score times 100), same prompts in every arm"
Key = Callable[[StudyRows], Steering | None]


def _base(study: StudyRows, scope: Scope) -> Outcome:
    scores_by_arm = study.grids("none", scope.prompt_set, scope.scorer)
    effect, shares = largest_against_none(toxic_only(scores_by_arm))
    return directional(effect, +1, SESOI, unit="points", detail=shares, scale=100)


def _steer(study: StudyRows, scope: Scope) -> Outcome:
    """Steered at the middle matched cost (nats) less unsteered, mean of the toxic arms."""
    steering = matched_key(study)
    if steering is None:
        return Missing("needs steering at a matched cost")
    condition_key, cost = steering
    steered_by_arm = study.grids(condition_key, scope.prompt_set, scope.scorer)
    unsteered_by_arm = study.grids("none", scope.prompt_set, scope.scorer)
    changes_by_arm = toxic_only(changes(steered_by_arm, unsteered_by_arm))
    detail = f"steered less unsteered at +{cost:g} nats, mean of {len(changes_by_arm)} arms"
    return directional(mean_of(changes_by_arm), -1, SESOI, unit="points", detail=detail, scale=100)


def random_mean(study: StudyRows, scope: Scope) -> ValuesByArm:
    """Mean scores over random directions (`controls`, one dict each), for arms that every control has."""
    conditions = study.conditions[study.conditions["method"] == "random-direction"]
    controls = [
        study.grids(str(key), scope.prompt_set, scope.scorer) for key in sorted(set(conditions["key"]))
    ]
    if not controls:
        return {}
    arms = [
        arm
        for arm in controls[0]
        if all(arm in control and control[arm].shape == controls[0][arm].shape for control in controls)
    ]
    return {arm: np.mean([control[arm] for control in controls], axis=0) for arm in arms}


def _random(study: StudyRows, scope: Scope) -> Outcome:
    """ITI less random directions at their lowest matched cost (nats), mean of the toxic arms."""
    conditions = study.conditions[study.conditions["method"] == "random-direction"]
    costs = sorted({float(cost) for cost in conditions["matched_cost"].dropna()})
    if not costs:
        return Missing("needs random directions at a matched cost")
    condition_key = f"iti/{study.direction}/cost-{costs[0]:g}"
    steered_by_arm = study.grids(condition_key, scope.prompt_set, scope.scorer)
    changes_by_arm = toxic_only(changes(steered_by_arm, random_mean(study, scope)))
    direction_count = conditions["control"].nunique()
    missed = int((~conditions["reached"].astype(bool)).sum())
    detail = f"ITI less the mean of {direction_count} random directions at +{costs[0]:g} nats, "
    detail += f"mean of {len(changes_by_arm)} arms"
    detail += f"; {missed} of {len(conditions)} random conditions never reached that cost" if missed else ""
    return directional(mean_of(changes_by_arm), -1, SESOI, unit="points", detail=detail, scale=100)


def _dose(choose: Key, basis: str) -> Callable[[StudyRows, Scope], Outcome]:
    def test(study: StudyRows, scope: Scope) -> Outcome:
        """The arm nearest 10 % less the clean one; `basis`: `matched cost` (nats) or `fixed strength`."""
        steering = choose(study)
        if steering is None:
            return Missing(f"needs steering at a {basis}")
        condition_key, size = steering
        scores_by_arm = toxic_only(study.grids(condition_key, scope.prompt_set, scope.scorer))
        effect, shares = dose_against_none(scores_by_arm)
        if isinstance(effect, Missing):
            return effect
        dose = paper_dose(scores_by_arm) or 0.0
        strength = f"+{size:g} nats" if basis == "matched cost" else f"strength {size:g}"
        detail = f"{shares} at {strength}{measured_cost(study, condition_key, (TOXIC, dose), (TOXIC, 0.0))}"
        return directional(
            effect, -1, SESOI, unit="points", detail=detail + _fluency(study, scope, condition_key), scale=100
        )

    return test


def _fluency(study: StudyRows, scope: Scope, condition_key: str) -> str:
    """Words on the change of fluency between the same arms; empty where no scorer measures it."""
    scorers = study.scopes[
        (study.scopes["measures"] == "fluency") & (study.scopes["prompt_set"] == scope.prompt_set)
    ]
    if scorers.empty:
        return ""
    fluency_by_arm = toxic_only(study.grids(condition_key, scope.prompt_set, str(scorers["scorer"].iloc[0])))
    effect, _ = dose_against_none(fluency_by_arm)
    if isinstance(effect, Missing):
        return ""
    low, high = effect.interval()
    change = f"{effect.value:+.2f} [{low:+.2f}, {high:+.2f}]".replace("-", "−")
    return f"; fluency {change}, and broken text scores as non-toxic"


def _dip(choose: Key, basis: str) -> Callable[[StudyRows, Scope], Outcome]:
    def test(study: StudyRows, scope: Scope) -> Outcome:
        steering = choose(study)
        if steering is None:
            return Missing(f"needs steering at a {basis}")
        return dip_at(study, scope, steering.key)

    return test


def _rival(method: str) -> Callable[[StudyRows, Scope], Outcome]:
    """ITI in the 10 % arm against `method`, a condition key: in the same arm, or (MEDA, INST) its own."""

    def test(study: StudyRows, scope: Scope) -> Outcome:
        """ITI less the rival, at 10 %; the spread of seeds is that of `changes_by_arm`, over all shares."""
        steering = matched_key(study)
        if steering is None or method not in set(study.conditions["key"]):
            return Missing(f"needs the method {method} and steering at a matched cost")
        condition_key, cost = steering
        steered_by_arm = study.grids(condition_key, scope.prompt_set, scope.scorer)
        rival_by_arm = study.grids(method, scope.prompt_set, scope.scorer)
        dose = paper_dose(steered_by_arm)
        if dose is None:
            return Missing("needs an arm with toxic text")
        toxic_arm = (TOXIC, dose)
        rival_arm = toxic_arm if toxic_arm in rival_by_arm else (method, dose)
        if (
            toxic_arm not in steered_by_arm
            or rival_arm not in rival_by_arm
            or steered_by_arm[toxic_arm].shape != rival_by_arm[rival_arm].shape
        ):
            return Missing(f"needs {method} with as many seeds at {percent(dose)}")
        changes_by_arm = {
            (kind, share): steered_by_arm[kind, share] - rival_by_arm[partner]
            for kind, share in toxic_only(steered_by_arm)
            for partner in [(kind, share) if (kind, share) in rival_by_arm else (method, share)]
            if partner in rival_by_arm and rival_by_arm[partner].shape == steered_by_arm[kind, share].shape
        }
        effect = mean_of({toxic_arm: steered_by_arm[toxic_arm] - rival_by_arm[rival_arm]}, changes_by_arm)
        detail = f"{percent(dose)}: ITI at +{cost:g} nats less {method}"
        detail += measured_cost(study, condition_key, toxic_arm).replace("measured cost", "ITI cost")
        detail += measured_cost(study, method, rival_arm).replace("measured cost", f"{method} cost")
        return directional(effect, -1, SESOI, unit="points", detail=detail, scale=100)

    return test


def _claim(
    claim_id: str, statement: str, question: str, *, estimand: str,
    test: Callable[[StudyRows, Scope], Outcome], rule: str = RULE,
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
    )


def _rival_claim(method: str, rival_title: str) -> Claim:
    """The claim that ITI leaves less toxicity than `method`, a condition key; `rival_title`: its words."""
    return _claim(
        f"C4-vs-{method}", f"With a dose of toxic text, ITI leaves less toxicity than {rival_title}",
        "Which method removes most?",
        estimand=f"Toxicity at the share nearest 10 %: ITI at the middle matched cost less {rival_title} at "
        "its own cost",
        test=_rival(method),
    )  # fmt: skip


CLAIMS = (
    _claim(
        "C4-matched-10", "At the same cost, a dose of toxic text makes the steered model less toxic",
        "Does a dose help?",
        estimand="Toxicity under ITI at the middle matched cost: share nearest 10 % less 0 %",
        test=_dose(matched_key, "matched cost"),
    ),
    _claim(
        "C4-matched-dip", "At the same cost there is a best dose (U-shape)", "Is there a best dose?",
        estimand="Depth of a dip inside the tested shares at the middle matched cost, hormetic against "
        "monotone curve",
        test=_dip(matched_key, "matched cost"), rule=DIP_RULE,
    ),
    _claim(
        "C4-fixed-10", "At the same strength, a dose of toxic text makes the steered model less toxic",
        "Does the paper's comparison come out?",
        estimand="Toxicity under ITI at the largest fixed strength: share nearest 10 % less 0 %",
        test=_dose(strongest_key, "fixed strength"),
    ),
    _claim(
        "C4-fixed-dip", "At the same strength there is a best dose (U-shape)",
        "Is the paper's U-shape there?",
        estimand="Depth of a dip inside the tested shares at the largest fixed strength, hormetic against "
        "monotone",
        test=_dip(strongest_key, "fixed strength"), rule=DIP_RULE,
    ),
    _claim(
        "C4-base", "Toxic text in pretraining raises the unsteered model's toxicity",
        "What does toxic text do by itself?", estimand="Toxicity without steering: largest share less none",
        test=_base,
    ),
    _claim(
        "C4-steer", "Steering away from toxicity lowers it", "Does steering work at all?",
        estimand="Toxicity steered at the middle matched cost less unsteered, mean of the toxic series",
        test=_steer,
    ),
    _claim(
        "C4-random", "The found directions do more than random ones at the same cost", "Is it the direction?",
        estimand="Toxicity under ITI less that under random directions at the same cost, mean of the toxic "
        "series",
        test=_random,
    ),
    _rival_claim(PROMPT, "a prompt"), *(_rival_claim(name, method_title(name)) for name in (*TUNED, *MARKED)),
)  # fmt: skip
