"""Queries about attacks and capability: outcomes, curves, trials, tests of differences, scores."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sqlalchemy import Engine, select

from hormesis.db.read.columns import ARM, ARM_NAMES, BY_ARM, CONDITION, columns_of, study_rows
from hormesis.db.read.frame import Query, frame
from hormesis.db.schema import (
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
    query = _of_conditions(Attack, study_id, *ATTACK, *columns_of(AttackOutcome, "id", "attack_id"))
    query = query.join(AttackOutcome, AttackOutcome.attack_id == Attack.id)
    return frame(engine, query.order_by(Attack.id, AttackOutcome.id), optional=ARM_NAMES)


def attack_points(engine: Engine, study_id: int) -> pd.DataFrame:
    """Curves of attacks: who and what, series, x (steps, tokens or evaluations), value, low, high, n."""
    query = _of_conditions(Attack, study_id, *ATTACK, *columns_of(AttackPoint, "id", "attack_id"))
    query = query.join(AttackPoint, AttackPoint.attack_id == Attack.id)
    return frame(engine, query.order_by(Attack.id, AttackPoint.series, AttackPoint.x), optional=ARM_NAMES)


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
    """A row per goal or prompt of one attack, in their order: what was put to the model and what it said."""
    query: Query = select(*columns_of(AttackTrial, "attack_id")).where(AttackTrial.attack_id == attack_id)
    return frame(engine, query.order_by(AttackTrial.position))


def attack_tests(engine: Engine, study_id: int) -> pd.DataFrame:
    """Tests of differences between success rates: all columns of `attack_test` but its keys."""
    query = study_rows(AttackTest, study_id).order_by(
        AttackTest.contrast,
        AttackTest.kind.desc(),
        AttackTest.share,
        AttackTest.condition,
        AttackTest.setting,
        AttackTest.rule,
    )
    return frame(engine, query)


def capability_scores(engine: Engine, study_id: int) -> pd.DataFrame:
    """Every capability score: where it is from, task, part, measure, numbers, chance, and paired change."""
    columns = columns_of(CapabilityScore, "id", "checkpoint_id", "condition_id")
    query = _of_conditions(CapabilityScore, study_id, *columns)
    query = query.order_by(CapabilityScore.task, CapabilityScore.part, CapabilityScore.measure)
    return frame(engine, query, optional=ARM_NAMES)


def _of_conditions(source: type[Attack] | type[CapabilityScore], study_id: int, *columns: Any) -> Query:
    """Rows of `source` with their checkpoint, arm and condition; conditions in the order they were made."""
    query: Query = select(Checkpoint.name.label("checkpoint"), *ARM, *CONDITION, *columns)
    return (
        query.select_from(source)
        .join(Condition, source.condition_id == Condition.id)
        .join(Checkpoint, source.checkpoint_id == Checkpoint.id)
        .outerjoin(Arm, Checkpoint.arm_id == Arm.id)
        .where(Checkpoint.study_id == study_id)
        .order_by(*BY_ARM, Checkpoint.name, Condition.id)
    )
