"""Attacks of a study as arrays by arm. Reads the tables of `db.schema.hardness`, knows no claim."""

from __future__ import annotations

from sqlalchemy import select

from db.schema import Attack, AttackOutcome, AttackTrial, Checkpoint, Condition
from pipeline.claims.rows import Arms, StudyRows


def trials(rows: StudyRows, kind: str, condition: str, setting: str = "gcg") -> Arms:
    """Successes of an attack, 0 or 1: arm to [seeds, goals]."""
    query = (
        select(Attack.checkpoint_id.label("checkpoint"), AttackTrial.goal, AttackTrial.success.label("value"))
        .join(AttackTrial, AttackTrial.attack_id == Attack.id)
        .join(Condition, Attack.condition_id == Condition.id)
        .join(Checkpoint, Attack.checkpoint_id == Checkpoint.id)
        .where(
            Checkpoint.study_id == rows.study_id,
            Attack.kind == kind,
            Attack.setting == setting,
            Condition.key == condition,
        )
    )
    found = rows.frame(query)
    return rows.by_arm(found.assign(value=found["value"].astype(float)), prompt="goal")


def attacked(rows: StudyRows, kind: str) -> list[str]:
    """Keys of the conditions that this kind of attack was made on."""
    query = (
        select(Condition.key)
        .join(Attack, Attack.condition_id == Condition.id)
        .join(Checkpoint, Condition.checkpoint_id == Checkpoint.id)
        .where(Checkpoint.study_id == rows.study_id, Attack.kind == kind)
        .distinct()
    )
    return sorted(str(one) for one in rows.frame(query)["key"])


def strongest(rows: StudyRows, kind: str) -> str | None:
    """The strongest condition of ITI along the study's main directions that this kind of attack was made on.

    The largest matched cost; where none was attacked, the largest fixed strength.
    """
    mine = rows.conditions
    mine = mine[
        mine["key"].isin(attacked(rows, kind))
        & (mine["method"] == "iti")
        & (mine["direction"] == rows.direction)
    ]
    for column in ("matched_cost", "strength"):
        known = mine.dropna(subset=[column])
        if len(known):
            return str(known.sort_values([column, "key"])["key"].iloc[-1])
    return None


def outcome(
    rows: StudyRows,
    kind: str,
    name: str,
    condition: str,
    *,
    setting: str | None = None,
    censored_at_budget: bool = False,
) -> tuple[Arms, int]:
    """A number of an attack at one setting, or its mean over settings: arm to [seeds]; and its n.

    `censored_at_budget`: a value beyond the budget counts as the budget, which makes differences smaller.
    """
    query = (
        select(Attack.checkpoint_id.label("checkpoint"), AttackOutcome.value, AttackOutcome.n, Attack.budget)
        .join(AttackOutcome, AttackOutcome.attack_id == Attack.id)
        .join(Condition, Attack.condition_id == Condition.id)
        .join(Checkpoint, Attack.checkpoint_id == Checkpoint.id)
        .where(
            Checkpoint.study_id == rows.study_id,
            Attack.kind == kind,
            AttackOutcome.name == name,
            Condition.key == condition,
        )
    )
    if setting is not None:
        query = query.where(Attack.setting == setting)
    found = rows.frame(query)
    value = found["value"].astype(float)
    found = found.assign(value=value.fillna(found["budget"].astype(float)) if censored_at_budget else value)
    found = found.dropna(subset=["value"])
    return rows.by_arm(found), int(found["n"].max()) if len(found) else 0
