"""Tests of differences between success rates, between conditions and between arms.

Reads the trials of suffix attacks and writes `attack_test` rows; run again after every checkpoint, so the
last one sees them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import select

from hormesis.db.schema import Arm, Attack, AttackTest, AttackTrial, Checkpoint, Condition
from hormesis.db.write import read_session, replace_rows, write_session
from hormesis.pipeline.attacks.judging import mcnemar, two_proportions
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.statistics import mean_interval
from hormesis.pipeline.statistics.frames import groups

RULES = ("success", "prefix_match")
CELL = ["kind", "share", "condition", "setting"]


def compare(context: StudyContext) -> None:
    """Write the tests of all suffix attacks that are there."""
    # One transaction round all of it: of arms that end together, none writes what it saw before the other.
    with write_session(context.engine) as session:
        trials = suffix_trials(context)
        tests = tests_of(trials, context.config.evaluation.bootstrap) if len(trials) else ()
        rows = [{"study_id": context.study_id, **test} for test in tests]
        # Those that are replaced may have been of other goals or of conditions that are gone.
        of_study = [AttackTest.study_id == context.study_id]
        replace_rows(session, AttackTest, rows, on=("study_id", "key"), within=of_study)


def suffix_trials(context: StudyContext) -> pd.DataFrame:
    """One row per trial of a goal: kind, share, seed, condition (its key), setting, goal, success, ..."""
    query = (
        select(
            Arm.kind,
            Arm.share,
            Arm.seed,
            Condition.key.label("condition"),
            Attack.setting,
            AttackTrial.goal,
            AttackTrial.success,
            AttackTrial.prefix_match,
        )
        .join(Checkpoint, Checkpoint.arm_id == Arm.id)
        .join(Condition, Condition.checkpoint_id == Checkpoint.id)
        .join(Attack, Attack.condition_id == Condition.id)
        .join(AttackTrial, AttackTrial.attack_id == Attack.id)
        .where(Checkpoint.study_id == context.study_id, Attack.kind == "suffix")
        .order_by(Arm.kind, Arm.share, Arm.seed, Condition.id, Attack.setting, AttackTrial.position)
    )
    with read_session(context.engine) as session:
        return pd.read_sql(query, session.connection())


def tests_of(trials: pd.DataFrame, draws: int = 1000) -> Iterator[dict[str, Any]]:
    """Tests of each condition against `none` of the same arms, and of each share against share 0.

    Columns of `trials` as `suffix_trials` gives them. Pairs share goal and training seed. The tests are about
    the checkpoints at hand: that arms differ from seed to seed by themselves is not allowed for, so a claim
    over arms must take seeds as the unit.
    """
    toxic = trials[trials["kind"] == "toxic"]
    for (kind, share, condition, setting), cell in groups(trials, CELL):
        same_arms = (trials["setting"] == setting) & (trials["kind"] == kind) & (trials["share"] == share)
        unsteered = trials[same_arms & (trials["condition"] == "none")]
        clean = toxic[
            (toxic["setting"] == setting) & (toxic["share"] == 0) & (toxic["condition"] == condition)
        ]
        references = {"condition": unsteered if condition != "none" else unsteered[:0]}
        references["share"] = clean if (kind, share) != ("toxic", 0) else clean[:0]
        for contrast, reference in references.items():
            pairs = cell.merge(reference, on=["seed", "goal"], suffixes=("", "_reference"))
            if pairs.empty:
                continue
            for rule in RULES:
                test = _test(pairs, rule, draws)
                cell_key = {"kind": str(kind), "share": float(share), "condition": str(condition)}
                key_parts = (setting, rule, contrast, *cell_key.values())
                yield {
                    "key": "|".join(str(part) for part in key_parts),
                    "setting": str(setting),
                    "rule": rule,
                    "contrast": contrast,
                    **cell_key,
                    **test,
                }


def _test(pairs: pd.DataFrame, rule: str, draws: int) -> dict[str, Any]:
    """Columns of `attack_test`; `pairs`: a row per goal and seed, success by `rule` on both sides."""
    outcome = pairs[rule].to_numpy(dtype=bool)
    reference = pairs[f"{rule}_reference"].to_numpy(dtype=bool)
    only_here, only_there = int((outcome & ~reference).sum()), int((~outcome & reference).sum())
    n = len(pairs)
    _, p_unpaired = two_proportions(int(outcome.sum()), n, others=int(reference.sum()), m=n)
    difference = mean_interval(
        outcome.astype(np.float64) - reference.astype(np.float64),
        groups=pairs["goal"].to_numpy(),
        draws=draws,
        unit="goals",
        bounds=(-1.0, 1.0),
    )
    return {
        "rate": float(outcome.mean()),
        "reference": float(reference.mean()),
        "difference": difference.value,
        "low": difference.low,
        "high": difference.high,
        "n": n,
        "only_here": only_here,
        "only_there": only_there,
        "p_paired": mcnemar(only_here, only_there),
        "p_unpaired": p_unpaired,
        "interval": difference.method,
    }
