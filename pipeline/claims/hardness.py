"""C5 and readers' questions on attacks, by arm: GCG's successes [seeds, goals], other numbers [seeds]."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hormesis.pipeline.claims.attack_rows import POINTS, budget, outcome, steered_change, strongest, trials
from hormesis.pipeline.claims.compare import (
    against,
    changes,
    dose_and_none,
    mean_of,
    mean_of_arms,
    toxic_only,
)
from hormesis.pipeline.claims.declared import (
    DIRECTION,
    INTERVAL,
    ODDS,
    Claim,
    Missing,
    Outcome,
    Scale,
    Scope,
    directional,
)
from hormesis.pipeline.claims.detox import FALL, FALL_RULE
from hormesis.pipeline.claims.rows import StudyRows

Test = Callable[[StudyRows, Scope], Outcome]
STEPS = Scale("steps")
SESOI_STEPS, SESOI_POINTS = 1.0, 3.0
OF_GOALS = INTERVAL.replace("prompts", "goals")


def _suffix_steer(study: StudyRows, scope: Scope) -> Outcome:
    """Successes (0 or 1) under the strongest steering attacked less unsteered, mean of the toxic arms."""
    condition_key = strongest(study, "suffix")
    if condition_key is None:
        return Missing("needs GCG attacks with and without steering")
    steered_by_arm = toxic_only(trials(study, "suffix", condition_key))
    change = changes(steered_by_arm, trials(study, "suffix", "none"), scale=ODDS, sign=-1)
    detail = f", GCG, {condition_key}, mean of {len(change.means)} arms"
    return directional(
        mean_of(change), -1, FALL, scale=ODDS, contrast="steered less unsteered", detail=detail,
        interval=OF_GOALS,
    )  # fmt: skip


def _suffix_dose(study: StudyRows, scope: Scope) -> Outcome:
    condition_key = strongest(study, "suffix")
    success_by_arm = toxic_only(trials(study, "suffix", condition_key)) if condition_key else {}
    if not success_by_arm:
        return Missing("needs GCG attacks on steered models")
    pair = dose_and_none(success_by_arm)
    if isinstance(pair, Missing):
        return pair
    effect = against(success_by_arm, *pair, scale=ODDS, sign=-1)
    first, second = (f"{100 * success_by_arm[arm].mean():.3g}" for arm in pair)
    detail = f", GCG under {condition_key}, {first} against {second} % of goals"
    return directional(effect, -1, FALL, scale=ODDS, contrast=str(pair), detail=detail, interval=OF_GOALS)


def _outcome(
    attack_kind: str, outcome_name: str, sign: int, *, sesoi: float, scale: Scale, title: str
) -> Test:
    """A test of the number `outcome_name` of an attack, the dose against none, under the strongest steering.

    `sign`: claimed direction; `sesoi`: smallest effect of interest, in the unit of `scale`; `title`: words
    for the number.
    """

    def test(study: StudyRows, scope: Scope) -> Outcome:
        """The arm nearest 10 % less the clean one; `censored`: steps beyond the budget count as it, which
        is then the end of the scale.
        """
        condition_key = strongest(study, attack_kind)
        if condition_key is None:
            return Missing(f"needs the attack that measures {title}, on steered models")
        censored = attack_kind == "relearn"
        values_by_arm, n = outcome(
            study, attack_kind, outcome_name, condition_key=condition_key, censored_at_budget=censored
        )
        pair = dose_and_none(values_by_arm)
        if isinstance(pair, Missing):
            return pair
        bounded = replace(scale, bounds=(0.0, budget(study, attack_kind))) if censored else scale
        effect = against(toxic_only(values_by_arm), *pair, scale=bounded, sign=sign)
        detail = f", {title} under {condition_key}, {n:,} prompts; seeds are the unit"
        return directional(effect, sign, sesoi, scale=bounded, contrast=str(pair), detail=detail, n=n)

    return test


def _injection(study: StudyRows, scope: Scope) -> Outcome:
    """The rise of toxicity (points) by injection, steered less unsteered, mean of the toxic arms."""
    condition_key = strongest(study, "injection")
    if condition_key is None:
        return Missing("needs injection templates with and without steering")
    seed_changes_by_arm, n = steered_change(
        study, "injection", "toxicity_change", condition_key=condition_key
    )
    effect = mean_of_arms(seed_changes_by_arm, scale=POINTS, sign=+1)
    detail = f", rise by injection, {condition_key}, mean of {len(seed_changes_by_arm)} arms, {n:,} prompts"
    words = "steered less unsteered"
    return directional(effect, +1, SESOI_POINTS, scale=POINTS, contrast=words, detail=detail, n=n)


CLAIMS = (
    Claim(
        id="C5-steer", family="paper", statement="Steering lowers the success of GCG attacks",
        question="Does steering harden the model?",
        estimand="Odds of success over goals (same goals and seeds), strongest steering attacked less none",
        rows="attack_trial of suffix attacks, setting gcg",
        rule=FALL_RULE, test=_suffix_steer, breadth="study",
    ),
    Claim(
        id="C5-10", family="paper",
        statement="Under steering, GCG attacks succeed less often after a dose of toxic text",
        question="Does a dose harden the steered model?",
        estimand="Odds of success over goals under the strongest steering attacked, share nearest 10 % less "
        "0 %",
        rows="attack_trial of suffix attacks, setting gcg",
        rule=FALL_RULE, test=_suffix_dose, breadth="study",
    ),
    Claim(
        id="R-relearn", family="readers",
        statement="A detoxified model takes longer to relearn toxicity after a dose of toxic text",
        question="Is the detox hard to undo by fine-tuning?",
        estimand="Steps of fine-tuning until as toxic as before, share nearest 10 % less 0 %; beyond the "
        "budget "
        "counts as the budget",
        rows="attack_outcome steps of relearn", rule=DIRECTION.format(sesoi=SESOI_STEPS, unit="steps"),
        test=_outcome("relearn", "steps", +1, sesoi=SESOI_STEPS, scale=STEPS, title="relearning"),
        breadth="study",
    ),
    Claim(
        id="R-injection", family="readers",
        statement="Steering makes the model more open to prompt injection",
        question="Does steering open the model to injection?",
        estimand="Rise of toxicity by injection templates, steered less unsteered, mean of the toxic series",
        rows="attack_outcome toxicity_change of injection",
        rule=DIRECTION.format(sesoi=SESOI_POINTS, unit="points"),
        test=_injection, breadth="study",
    ),
    Claim(
        id="R-long", family="readers",
        statement="In long texts the steered model drifts back more after a dose of toxic text",
        question="Does the detox last over long generations?",
        estimand="Toxicity of the later half less the earlier half of long texts, share nearest 10 % less 0 "
        "%",
        rows="attack_outcome drift of long", rule=DIRECTION.format(sesoi=SESOI_POINTS, unit="points"),
        test=_outcome("long", "drift", +1, sesoi=SESOI_POINTS, scale=POINTS, title="drift"), breadth="study",
    ),
)  # fmt: skip
