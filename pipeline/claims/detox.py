"""C4, detoxification: base toxicity, steering, its controls, the dose at matched cost or fixed strength."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hormesis.db.contract.methods import MARKED, PROMPT, TUNED, method_title
from hormesis.pipeline.claims.compare import (
    changes,
    costs_said,
    dose_against_none,
    largest_against_none,
    matched_key,
    mean_of,
    percent,
    strongest_key,
    toxic_only,
)
from hormesis.pipeline.claims.declared import DIRECTION, Claim, Missing, Outcome, Scope, directional
from hormesis.pipeline.claims.dips import DIP_RULE, dip_at
from hormesis.pipeline.claims.rows import TOXIC, Arms, StudyRows, paper_dose

LEAST = 3.0
"""Points of toxicity (0 to 100) that would matter."""
RULE = DIRECTION.format(least=LEAST, unit="points")
SCORES = "generations and their scores (mean score times 100), same prompts in every arm"
Key = Callable[[StudyRows], tuple[str, float] | None]


def _base(rows: StudyRows, scope: Scope) -> Outcome:
    arms = rows.grids("none", scope.prompt_set, scope.scorer)
    effect, shares = largest_against_none(toxic_only(arms))
    return directional(effect, +1, LEAST, "points", shares, 100)


def _steer(rows: StudyRows, scope: Scope) -> Outcome:
    chosen = matched_key(rows)
    if chosen is None:
        return Missing("needs steering at a matched cost")
    key, cost = chosen
    steered, plain = (rows.grids(name, scope.prompt_set, scope.scorer) for name in (key, "none"))
    arms = toxic_only(changes(steered, plain))
    detail = f"steered less unsteered at +{cost:g} nats, mean of {len(arms)} arms"
    return directional(mean_of(arms, arms), -1, LEAST, "points", detail, 100)


def random_mean(rows: StudyRows, scope: Scope) -> Arms:
    """Scores under random directions, mean over the controls that every arm has."""
    mine = rows.conditions[rows.conditions["method"] == "random-direction"]
    every = [rows.grids(str(key), scope.prompt_set, scope.scorer) for key in sorted(set(mine["key"]))]
    if not every:
        return {}
    arms = [
        arm for arm in every[0] if all(arm in one and one[arm].shape == every[0][arm].shape for one in every)
    ]
    return {arm: np.mean([one[arm] for one in every], axis=0) for arm in arms}


def _random(rows: StudyRows, scope: Scope) -> Outcome:
    mine = rows.conditions[rows.conditions["method"] == "random-direction"]
    costs = sorted({float(cost) for cost in mine["matched_cost"].dropna()})
    if not costs:
        return Missing("needs random directions at a matched cost")
    key = f"iti/{rows.direction}/cost-{costs[0]:g}"
    arms = toxic_only(changes(rows.grids(key, scope.prompt_set, scope.scorer), random_mean(rows, scope)))
    count = mine["control"].nunique()
    missed = int((~mine["reached"].astype(bool)).sum())
    detail = f"ITI less the mean of {count} random directions at +{costs[0]:g} nats, mean of {len(arms)} arms"
    detail += f"; {missed} of {len(mine)} random conditions never reached that cost" if missed else ""
    return directional(mean_of(arms, arms), -1, LEAST, "points", detail, 100)


def _dose(choose: Key, what: str) -> Callable[[StudyRows, Scope], Outcome]:
    def test(rows: StudyRows, scope: Scope) -> Outcome:
        chosen = choose(rows)
        if chosen is None:
            return Missing(f"needs steering at a {what}")
        key, size = chosen
        arms = toxic_only(rows.grids(key, scope.prompt_set, scope.scorer))
        found, said = dose_against_none(arms)
        if isinstance(found, Missing):
            return found
        dose = paper_dose(arms) or 0.0
        at = f"+{size:g} nats" if what == "matched cost" else f"strength {size:g}"
        detail = f"{said} at {at}{costs_said(rows, key, (TOXIC, dose), (TOXIC, 0.0))}"
        return directional(found, -1, LEAST, "points", detail + _fluency(rows, scope, key), 100)

    return test


def _fluency(rows: StudyRows, scope: Scope, key: str) -> str:
    """The change of fluency between the same arms, where a scorer measures it."""
    known = rows.scopes[
        (rows.scopes["measures"] == "fluency") & (rows.scopes["prompt_set"] == scope.prompt_set)
    ]
    if known.empty:
        return ""
    arms = toxic_only(rows.grids(key, scope.prompt_set, str(known["scorer"].iloc[0])))
    found, _ = dose_against_none(arms)
    if isinstance(found, Missing):
        return ""
    low, high = found.interval()
    said = f"{found.value:+.2f} [{low:+.2f}, {high:+.2f}]".replace("-", "−")
    return f"; fluency {said}, and broken text scores as non-toxic"


def _dip(choose: Key, what: str) -> Callable[[StudyRows, Scope], Outcome]:
    def test(rows: StudyRows, scope: Scope) -> Outcome:
        chosen = choose(rows)
        return Missing(f"needs steering at a {what}") if chosen is None else dip_at(rows, scope, chosen[0])

    return test


def _rival(method: str) -> Callable[[StudyRows, Scope], Outcome]:
    """ITI in the 10 % arm against a rival: in the same arm, or (MEDA, INST) the rival's own arm."""

    def test(rows: StudyRows, scope: Scope) -> Outcome:
        chosen = matched_key(rows)
        if chosen is None or method not in set(rows.conditions["key"]):
            return Missing(f"needs the method {method} and steering at a matched cost")
        key, cost = chosen
        steered = rows.grids(key, scope.prompt_set, scope.scorer)
        rival = rows.grids(method, scope.prompt_set, scope.scorer)
        dose = paper_dose(steered)
        if dose is None:
            return Missing("needs an arm with toxic text")
        own = (TOXIC, dose)
        other = own if own in rival else (method, dose)
        if own not in steered or other not in rival or steered[own].shape != rival[other].shape:
            return Missing(f"needs {method} with as many seeds at {percent(dose)}")
        pool = {
            arm: steered[arm] - rival[against]
            for arm in toxic_only(steered)
            for against in [arm if arm in rival else (method, arm[1])]
            if against in rival and rival[against].shape == steered[arm].shape
        }
        effect = mean_of({own: steered[own] - rival[other]}, pool)
        detail = f"{percent(dose)}: ITI at +{cost:g} nats less {method}"
        detail += costs_said(rows, key, own).replace("measured cost", "ITI cost")
        detail += costs_said(rows, method, other).replace("measured cost", f"{method} cost")
        return directional(effect, -1, LEAST, "points", detail, 100)

    return test


def _claim(
    name: str, statement: str, question: str, estimand: str, test: Callable[[StudyRows, Scope], Outcome],
    rule: str = RULE,
) -> Claim:  # fmt: skip
    return Claim(name, "paper", statement, question, estimand, SCORES, rule, test)


def _rival_claim(method: str, name: str) -> Claim:
    return _claim(
        f"C4-vs-{method}", f"With a dose of toxic text, ITI leaves less toxicity than {name}",
        "Which method removes most?",
        f"Toxicity at the share nearest 10 %: ITI at the middle matched cost less {name} at its own cost",
        _rival(method),
    )  # fmt: skip


CLAIMS = (
    _claim(
        "C4-matched-10", "At the same cost, a dose of toxic text makes the steered model less toxic",
        "Does a dose help?",
        "Toxicity under ITI at the middle matched cost: share nearest 10 % less 0 %",
        _dose(matched_key, "matched cost"),
    ),
    _claim(
        "C4-matched-dip", "At the same cost there is a best dose (U-shape)", "Is there a best dose?",
        "Depth of a dip inside the tested shares at the middle matched cost, hormetic against monotone curve",
        _dip(matched_key, "matched cost"), DIP_RULE,
    ),
    _claim(
        "C4-fixed-10", "At the same strength, a dose of toxic text makes the steered model less toxic",
        "Does the paper's comparison come out?",
        "Toxicity under ITI at the largest fixed strength: share nearest 10 % less 0 %",
        _dose(strongest_key, "fixed strength"),
    ),
    _claim(
        "C4-fixed-dip", "At the same strength there is a best dose (U-shape)",
        "Is the paper's U-shape there?",
        "Depth of a dip inside the tested shares at the largest fixed strength, hormetic against monotone",
        _dip(strongest_key, "fixed strength"), DIP_RULE,
    ),
    _claim(
        "C4-base", "Toxic text in pretraining raises the unsteered model's toxicity",
        "What does toxic text do by itself?", "Toxicity without steering: largest share less none", _base,
    ),
    _claim(
        "C4-steer", "Steering away from toxicity lowers it", "Does steering work at all?",
        "Toxicity steered at the middle matched cost less unsteered, mean of the toxic series", _steer,
    ),
    _claim(
        "C4-random", "The found directions do more than random ones at the same cost", "Is it the direction?",
        "Toxicity under ITI less that under random directions at the same cost, mean of the toxic series",
        _random,
    ),
    _rival_claim(PROMPT, "a prompt"), *(_rival_claim(name, method_title(name)) for name in (*TUNED, *MARKED)),
)  # fmt: skip
