"""Attacks of a study as arrays by arm, [seeds] or [seeds, goals]. Reads `schema.hardness`, knows no claim."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from hormesis.db.read.frame import Query
from hormesis.db.schema import Attack, AttackOutcome, AttackTrial, Checkpoint, Condition
from hormesis.pipeline.claims.compare import toxic_only
from hormesis.pipeline.claims.declared import Scale
from hormesis.pipeline.claims.rows import StudyRows, ValuesByArm

POINTS = Scale("points", bounds=(-100.0, 100.0))
"""Of changes of toxicity, which attacks store in points."""


def _attacks(
    study: StudyRows, attack_kind: str, condition_key: str, *columns: Any, table: type[Any]
) -> Query:
    """A query, not yet run: a row per outcome or trial (class `table`) of attacks on one condition key."""
    return (
        select(Attack.checkpoint_id.label("checkpoint"), *columns)
        .join(table, table.attack_id == Attack.id)
        .join(Condition, Attack.condition_id == Condition.id)
        .join(Checkpoint, Attack.checkpoint_id == Checkpoint.id)
        .where(
            Checkpoint.study_id == study.study_id, Attack.kind == attack_kind, Condition.key == condition_key
        )
    )


def trials(study: StudyRows, attack_kind: str, condition_key: str, *, setting: str = "gcg") -> ValuesByArm:
    """Successes of an attack, 0 or 1: arm to [seeds, goals]. `setting`: the search, `gcg` or `random`."""
    columns = (AttackTrial.goal, AttackTrial.success.label("value"))
    query = _attacks(study, attack_kind, condition_key, *columns, table=AttackTrial).where(
        Attack.setting == setting
    )
    successes = study.frame(query)
    return study.by_arm(successes.assign(value=successes["value"].astype(float)), prompt_column="goal")


def attacked(study: StudyRows, attack_kind: str) -> list[str]:
    """Sorted condition keys on which some checkpoint of the study has an attack of this kind."""
    query = (
        select(Condition.key)
        .join(Attack, Attack.condition_id == Condition.id)
        .join(Checkpoint, Condition.checkpoint_id == Checkpoint.id)
        .where(Checkpoint.study_id == study.study_id, Attack.kind == attack_kind)
        .distinct()
    )
    return sorted(str(key) for key in study.frame(query)["key"])


def strongest(study: StudyRows, attack_kind: str) -> str | None:
    """Key of the strongest condition of ITI along the main directions that this attack was made on, if any.

    The largest matched cost; where none was attacked, the largest fixed strength. `conditions`: a row per
    condition of each checkpoint.
    """
    conditions = study.conditions
    conditions = conditions[
        conditions["key"].isin(attacked(study, attack_kind))
        & (conditions["method"] == "iti")
        & (conditions["direction"] == study.direction)
    ]
    for column in ("matched_cost", "strength"):
        candidates = conditions.dropna(subset=[column])
        if len(candidates):
            return str(candidates.sort_values([column, "key"])["key"].iloc[-1])
    return None


def outcome(
    study: StudyRows,
    attack_kind: str,
    outcome_name: str,
    *,
    condition_key: str,
    setting: str | None = None,
    censored_at_budget: bool = False,
) -> tuple[ValuesByArm, int]:
    """A number of an attack at one setting, or the mean over settings: arm to [seeds]; and its n (prompts).

    `censored_at_budget`: a null value, beyond the budget, counts as the budget, so differences are smaller.
    `outcomes`: a row per checkpoint and setting.
    """
    columns = (AttackOutcome.value, AttackOutcome.n, Attack.budget)
    query = _attacks(study, attack_kind, condition_key, *columns, table=AttackOutcome).where(
        AttackOutcome.name == outcome_name
    )
    if setting is not None:
        query = query.where(Attack.setting == setting)
    outcomes = study.frame(query)
    values = outcomes["value"].astype(float)
    outcomes = outcomes.assign(
        value=values.fillna(outcomes["budget"].astype(float)) if censored_at_budget else values
    )
    outcomes = outcomes.dropna(subset=["value"])
    return study.by_arm(outcomes), int(outcomes["n"].max()) if len(outcomes) else 0


def budget(study: StudyRows, attack_kind: str) -> float:
    """The largest budget of an attack; 0 where it was not made."""
    query = (
        select(func.max(Attack.budget).label("budget"))
        .join(Checkpoint, Attack.checkpoint_id == Checkpoint.id)
        .where(Checkpoint.study_id == study.study_id, Attack.kind == attack_kind)
    )
    return float(study.frame(query)["budget"].fillna(0.0).iloc[0])


def steered_change(
    study: StudyRows, attack_kind: str, outcome_name: str, *, condition_key: str, setting: str | None = None
) -> tuple[ValuesByArm, int]:
    """The number `outcome_name` under a condition less that without steering: toxic arm to [seeds]; its n.

    Arguments as for `outcome`.
    """
    steered_by_arm, n = outcome(
        study, attack_kind, outcome_name, condition_key=condition_key, setting=setting
    )
    unsteered_by_arm, _ = outcome(study, attack_kind, outcome_name, condition_key="none", setting=setting)
    changes = {
        arm: steered - unsteered_by_arm[arm]
        for arm, steered in steered_by_arm.items()
        if arm in unsteered_by_arm and unsteered_by_arm[arm].shape == steered.shape
    }
    return toxic_only(changes), n
