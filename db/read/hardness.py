"""Queries about attacks and capability: over seeds, and of attacks outcomes, trials, tests of differences."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sqlalchemy import Engine, select

from hormesis.db.read.columns import ARM, BY_ARM, CONDITION, columns_of, study_rows
from hormesis.db.read.frame import Query, frame
from hormesis.db.schema import (
    Arm,
    Attack,
    AttackOutcome,
    AttackSummary,
    AttackTest,
    AttackTrial,
    CapabilitySummary,
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
    query = _of_conditions(study_id, *ATTACK, *columns_of(AttackOutcome, "id", "attack_id"))
    query = query.join(AttackOutcome, AttackOutcome.attack_id == Attack.id)
    return frame(engine, query.order_by(Attack.id, AttackOutcome.id))


def attack_summaries(engine: Engine, study_id: int) -> pd.DataFrame:
    """Every number of every attack over the seeds of an arm, points of curves among them (x not null).

    Columns: kind, share, condition (its key), method, strength, matched_cost, attack, setting, name, x,
    value, low, high, n_seeds, n, unit, interval.
    """
    query = _over_seeds(AttackSummary, study_id).order_by(AttackSummary.x.nulls_first(), AttackSummary.id)
    return frame(engine, query)


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


def capability_summaries(engine: Engine, study_id: int) -> pd.DataFrame:
    """What the models of an arm can do, over its seeds, by condition, task, part and measure.

    Columns: kind, share, condition (its key), method, strength, matched_cost, task, part, measure, chance,
    change (against unsteered, same items), change_low, change_high, value, low, high, n_seeds, n, unit,
    interval.
    """
    order = (CapabilitySummary.task, CapabilitySummary.part, CapabilitySummary.measure)
    return frame(engine, _over_seeds(CapabilitySummary, study_id).order_by(*order))


def _over_seeds(table: type[AttackSummary] | type[CapabilitySummary], study_id: int) -> Query:
    """A study's rows of a summary, toxic arms by share first, then conditions by method and strength."""
    columns = columns_of(table, "id", "study_id", "key", "condition_key")
    query: Query = select(*columns[:2], table.condition_key.label("condition"), *columns[2:])
    return query.where(table.study_id == study_id).order_by(
        table.kind.desc(), table.share, table.method, table.strength.nulls_first(), table.condition_key
    )


def _of_conditions(study_id: int, *columns: Any) -> Query:
    """Attacks with their checkpoint, arm and condition; conditions in the order they were made."""
    query: Query = select(Checkpoint.name.label("checkpoint"), *ARM, *CONDITION, *columns)
    return (
        query.select_from(Attack)
        .join(Condition, Attack.condition_id == Condition.id)
        .join(Checkpoint, Attack.checkpoint_id == Checkpoint.id)
        .outerjoin(Arm, Checkpoint.arm_id == Arm.id)
        .where(Checkpoint.study_id == study_id)
        .order_by(*BY_ARM, Checkpoint.name, Condition.id)
    )
