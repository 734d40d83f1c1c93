"""Queries about attacks and capability: outcomes, curves, trials, tests of differences, scores."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sqlalchemy import Engine, select

from db.read.frame import Query, frame
from db.schema import (
    Arm,
    Attack,
    AttackOutcome,
    AttackPoint,
    AttackTest,
    AttackTrial,
    CapabilityScore,
    Checkpoint,
    Condition,
)

OPTIONAL = ("kind", "share", "seed")
WHERE = (
    Checkpoint.name.label("checkpoint"),
    Arm.kind,
    Arm.share,
    Arm.seed,
    Condition.key.label("condition"),
    Condition.method,
    Condition.strength,
    Condition.matched_cost,
)
ATTACK = (
    Attack.id.label("attack_id"),
    Attack.kind.label("attack"),
    Attack.setting,
    Attack.data,
    Attack.scorer,
    Attack.rule,
    Attack.budget,
    Attack.budget_unit,
)


def attack_outcomes(engine: Engine, study_id: int) -> pd.DataFrame:
    """Every number of every attack, a row per checkpoint, condition, setting and name.

    Columns: checkpoint, kind, share, seed (null for imported ones), condition, method, strength,
    matched_cost, attack_id, attack, setting, data, scorer, rule, budget, budget_unit, name, value (null
    beyond the budget), low, high, n, unit, interval, censored.
    """
    columns = [c for c in AttackOutcome.__table__.columns if c.name not in ("id", "attack_id")]
    query = (
        select(*WHERE, *ATTACK, *columns)
        .select_from(Attack)
        .join(AttackOutcome, AttackOutcome.attack_id == Attack.id)
        .join(Condition, Attack.condition_id == Condition.id)
        .join(Checkpoint, Attack.checkpoint_id == Checkpoint.id)
        .outerjoin(Arm, Checkpoint.arm_id == Arm.id)
        .where(Checkpoint.study_id == study_id)
    )
    return frame(engine, _ordered(query, Attack.id, AttackOutcome.id), optional=OPTIONAL)


def attack_points(engine: Engine, study_id: int) -> pd.DataFrame:
    """Curves of attacks: the columns that say where, attack, setting, and series, x, value, low, high, n."""
    columns = [c for c in AttackPoint.__table__.columns if c.name not in ("id", "attack_id")]
    query = (
        select(*WHERE, *ATTACK, *columns)
        .select_from(Attack)
        .join(AttackPoint, AttackPoint.attack_id == Attack.id)
        .join(Condition, Attack.condition_id == Condition.id)
        .join(Checkpoint, Attack.checkpoint_id == Checkpoint.id)
        .outerjoin(Arm, Checkpoint.arm_id == Arm.id)
        .where(Checkpoint.study_id == study_id)
    )
    return frame(engine, _ordered(query, Attack.id, AttackPoint.series, AttackPoint.x), optional=OPTIONAL)


def attack_parameters(engine: Engine, study_id: int) -> pd.DataFrame:
    """What makes each attack repeatable: attack_id, attack, setting, condition, checkpoint, parameters."""
    query = (
        select(
            Attack.id.label("attack_id"),
            Attack.kind.label("attack"),
            Attack.setting,
            Condition.key.label("condition"),
            Checkpoint.name.label("checkpoint"),
            Attack.parameters,
        )
        .join(Condition, Attack.condition_id == Condition.id)
        .join(Checkpoint, Attack.checkpoint_id == Checkpoint.id)
        .where(Checkpoint.study_id == study_id)
        .order_by(Attack.id)
    )
    return frame(engine, query)


def attack_trials(engine: Engine, attack_id: int) -> pd.DataFrame:
    """What was put to the model and what it said, in the order of the goals or prompts."""
    columns = [c for c in AttackTrial.__table__.columns if c.name != "attack_id"]
    query = select(*columns).where(AttackTrial.attack_id == attack_id).order_by(AttackTrial.position)
    return frame(engine, query)


def attack_tests(engine: Engine, study_id: int) -> pd.DataFrame:
    """Tests of differences between success rates: all columns of `attack_test` but its keys."""
    columns = [c for c in AttackTest.__table__.columns if c.name not in ("id", "study_id", "key")]
    query = (
        select(*columns)
        .where(AttackTest.study_id == study_id)
        .order_by(
            AttackTest.contrast,
            AttackTest.kind.desc(),
            AttackTest.share,
            AttackTest.condition,
            AttackTest.setting,
            AttackTest.rule,
        )
    )
    return frame(engine, query)


def capability_scores(engine: Engine, study_id: int) -> pd.DataFrame:
    """Every capability score: where it is from, task, part, measure, numbers, chance, and paired change."""
    left_out = ("id", "checkpoint_id", "condition_id")
    columns = [c for c in CapabilityScore.__table__.columns if c.name not in left_out]
    query = (
        select(*WHERE, *columns)
        .select_from(CapabilityScore)
        .join(Condition, CapabilityScore.condition_id == Condition.id)
        .join(Checkpoint, CapabilityScore.checkpoint_id == Checkpoint.id)
        .outerjoin(Arm, Checkpoint.arm_id == Arm.id)
        .where(Checkpoint.study_id == study_id)
    )
    ordered = _ordered(query, CapabilityScore.task, CapabilityScore.part, CapabilityScore.measure)
    return frame(engine, ordered, optional=OPTIONAL)


def _ordered(query: Query, *then: Any) -> Query:
    """Arms as everywhere: toxic by share, then the others; conditions in the order they were made."""
    return query.order_by(Arm.kind.desc(), Arm.share, Arm.seed, Checkpoint.name, Condition.id, *then)
