"""The audit agrees with what the product stores, and sees one altered number of each kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sqlalchemy import create_engine, select, text, update

from hormesis.db.blocks import encode_float64, encode_int64
from hormesis.db.engine import open_writer
from hormesis.db.schema import (
    Arm,
    Attack,
    AttackOutcome,
    AttackTrial,
    CapabilityScore,
    Checkpoint,
    Condition,
)
from hormesis.db.schema import Scorer as ScorerRow
from hormesis.db.write import read_session, write_session
from hormesis.pipeline.attacks.judging import rate_interval
from hormesis.pipeline.claims.evaluate import evaluate
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import silent
from hormesis.pipeline.probing.head_accuracy import ArmGroup
from hormesis.pipeline.stages.score import Scoring, _write_metrics
from hormesis.pipeline.statistics import proportion, ratio_interval
from hormesis.pipeline.study.config import parse_study
from hormesis.pipeline.summaries.arms import arms_of_study
from hormesis.pipeline.summaries.capability_summary import summarise_capability
from hormesis.pipeline.summaries.summary import summarise
from tests.audit.__main__ import audit, main
from tests.fixtures.seeded_database import Size
from tests.fixtures.seeded_evaluation import add_evaluation
from tests.fixtures.seeded_geometry import add_geometry
from tests.fixtures.seeded_study import add_study
from tests.fixtures.shared_worlds import copied_world, copy_database
from tests.fixtures.tiny_study import finished_study

SIZE = Size(
    layers=2, heads=4, head_dim=4, prompts=(("forum-prompts", 40),), examples=120, selected=2, train_points=2,
)  # fmt: skip
OF_ARMS = (
    "generation_id IN (SELECT g.id FROM generation g JOIN condition k ON k.id = g.condition_id"
    " JOIN checkpoint c ON c.id = k.checkpoint_id JOIN arm a ON a.id = c.arm_id WHERE a.share {} 0.1)"
)
RENAMED: dict[str, dict[str, Any]] = {
    "random-4/cost-0.06": {"key": "prompt", "method": "prompt", "matched_cost": None, "control": None},
    "iti/mass_mean/fixed-1": {
        "key": "iti/second/cost-0.06", "direction_method": "second", "matched_cost": 0.06,
    },
}  # fmt: skip
"""Conditions of the seeded study that become a rival method, and directions of a second source."""


def planted(folder: Path) -> None:
    """Two seeds, a dip, empty texts and documents' losses, summed up and judged by the product."""
    engine = open_writer(f"sqlite:///{folder / 'study.sqlite'}")
    study, checkpoints = add_study(engine, SIZE, 0)
    add_evaluation(engine, SIZE, study, checkpoints=checkpoints, seed=0)
    add_geometry(engine, SIZE, study, checkpoints=checkpoints, seed=0)
    rng = np.random.default_rng(3)
    with write_session(engine) as session:
        for key, columns in RENAMED.items():
            session.execute(text(f"UPDATE metric SET key = replace(key, '{key}', '{columns['key']}')"))
            session.execute(update(Condition).where(Condition.key == key).values(**columns))
        for condition in session.scalars(select(Condition)):
            nats = rng.gamma(40, 2, 30) * (1 + 0.05 * condition.strength)
            condition.document_nats = encode_float64(nats)
            condition.document_tokens = encode_int64(np.arange(30, 60))
        for values, arms in (
            ("1.0 WHERE generation_id % 3 = 1", "<>"),
            ("0.05 WHERE generation_id % 9 <> 1", "="),
        ):
            session.execute(text(f"UPDATE score SET value = {values} AND {OF_ARMS.format(arms)}"))
        # One seed of the largest share says nothing more often than the other.
        more = OF_ARMS.format("= 0.25 AND a.seed = 1 AND 1 >")
        empty = f"generation_id % 11 = 3 OR (generation_id % 8 = 1 AND {more})"
        session.execute(
            text(f"UPDATE generation SET text = ' ' WHERE {empty.replace('generation_id', 'id')}")
        )
        session.execute(
            text("DELETE FROM score WHERE generation_id IN (SELECT id FROM generation WHERE text = ' ')")
        )
    with read_session(engine) as session:
        scorers = session.execute(select(ScorerRow.id, ScorerRow.name, ScorerRow.measures)).all()
    scorings = [
        Scoring(name, measures, (number,), None, pd.DataFrame()) for number, name, measures in scorers
    ]
    context = StudyContext(parse_study({"name": "seeded"}), study, folder, engine)
    # Two arms show the rules; the others keep what the seeded study made up.
    for checkpoint in (checkpoint for checkpoint in checkpoints if checkpoint.share == 0.25):
        _write_metrics(context, checkpoint.id, scorings, reporter=silent())
    for arm in (arm for arm in arms_of_study(context) if arm.share == 0.25):
        summarise(context, arm)
    evaluate(engine, study)
    engine.dispose()


PLANTED = {
    "metric value": "UPDATE metric SET value = value * 1.1 WHERE name = 'toxicity' AND interval LIKE 'boo%'",
    "metric interval": "UPDATE metric SET low = low - 9 WHERE name = 'toxicity' AND interval LIKE 'boot%'",
    "metric n": "UPDATE metric SET n = n * 2 WHERE name = 'fire_rate' AND interval NOT LIKE 'seeded%'",
    "summary value": "UPDATE summary SET value = value * 1.001 WHERE name = 'fluency' AND share = 0.25",
    "summary interval": "UPDATE summary SET high = high + 0.001 WHERE name = 'toxicity' AND share = 0.25",
    "summary n": "UPDATE summary SET n = n * 2 WHERE name = 'toxicity' AND share = 0.25",
    "dose fit p": "UPDATE dose_fit SET p = p + 0.2 WHERE p IS NOT NULL",
    "dose fit evidence": "UPDATE dose_fit SET evidence_ratio = evidence_ratio * 1.01 WHERE p < 1",
    "dose fit optimum": "UPDATE dose_fit SET optimum = optimum + 0.05 WHERE optimum IS NOT NULL",
    "dose fit interval": "UPDATE dose_fit SET optimum_low = optimum_low - 0.05 WHERE optimum IS NOT NULL",
    "dose fit status": "UPDATE dose_fit SET status = 'no data yet' WHERE status = 'hormetic'",
    "verdict detectable, of dips": "UPDATE verdict SET detectable = 0.01 WHERE claim = 'C4-matched-dip'",
}
SEEDED = {
    "attack outcome value": "UPDATE attack_outcome SET value = value + 0.01 WHERE interval LIKE 'Wilson%'",
    "attack outcome interval": "UPDATE attack_outcome SET low = low - 0.01 WHERE interval LIKE 'Wilson%'",
    "capability score value": "UPDATE capability_score SET value = value + 0.01 WHERE task = 'task'",
    "capability score interval": "UPDATE capability_score SET change_low = -0.9 WHERE change IS NOT NULL"
    " AND task = 'task'",
    "attack summary value": "UPDATE attack_summary SET value = value + 0.001 WHERE name = 'success'",
    "attack summary interval": "UPDATE attack_summary SET low = low - 0.001 WHERE name = 'drift'",
    "attack summary n": "UPDATE attack_summary SET n = n * 2 WHERE name = 'success'",
    "capability summary n": "UPDATE capability_summary SET n = n * 2 WHERE task = 'task' AND change IS NULL",
    "capability summary value": "UPDATE capability_summary SET change = change + 0.001 WHERE change < 0",
    "capability summary interval": "UPDATE capability_summary SET high = high + 0.001 WHERE task = 'task'",
    "verdict value": "UPDATE verdict SET value = value * 1.001 WHERE claim = 'C4-base'",
    "verdict interval": "UPDATE verdict SET low = low * 0.999 WHERE claim = 'R-selectivity'",
    "verdict p": "UPDATE verdict SET p = p * 1.01 WHERE claim = 'C4-random'",
    "verdict Holm's p": "UPDATE verdict SET p_holm = p_holm * 1.01 WHERE claim = 'C2-detection'",
    "verdict tests": "UPDATE verdict SET tests = tests + 1 WHERE claim = 'C5-steer'",
    "verdict room": "UPDATE verdict SET room = room * 1.01 WHERE claim = 'R-relative'",
    "verdict detectable": "UPDATE verdict SET detectable = detectable * 1.01 WHERE claim = 'R-control'",
    "verdict n": "UPDATE verdict SET n = n * 2 WHERE claim = 'R-control-steered'",
    "verdict seeds": "UPDATE verdict SET n_seeds = n_seeds + 1 WHERE claim = 'C4-steer'",
    "verdict status": "UPDATE verdict SET status = 'supported' WHERE claim = 'C1-literal'",
}  # fmt: skip
CONSEQUENCES = {"verdict Holm's p", "verdict status", "dose fit status", "capability summary interval"}
"""Faults where another number of the row, or of its family, was altered."""
TINY = {
    "cost value": "UPDATE metric SET value = value + 0.0001 WHERE name = 'cost'",
    "cost interval": "UPDATE metric SET high = high + 1 WHERE name = 'cost'",
    "cross_entropy value": "UPDATE metric SET value = value * 1.0001 WHERE name = 'cross_entropy'",
    "cross_entropy interval": "UPDATE metric SET low = low - 1 WHERE name = 'cross_entropy'",
    "head summary value": "UPDATE head_summary SET value = value + 0.001 WHERE name = 'mean'",
    "cost n": "UPDATE metric SET n = n * 2 WHERE name = 'cost'",
    "head summary n": "UPDATE head_summary SET n = n * 2 WHERE name = 'median'",
    "head summary interval": "UPDATE head_summary SET high = high + 0.1 WHERE name = 'mean'",
}


def add_items(database: Path) -> None:
    """Items of a task of two seeds, and exact intervals of suffixes, as stages write them."""
    engine, rng = open_writer(f"sqlite:///{database}"), np.random.default_rng(4)
    with write_session(engine) as session:
        of_gcg = (
            AttackOutcome.name == "success",
            Attack.setting == "gcg",
            Attack.id == AttackOutcome.attack_id,
        )
        for outcome in session.scalars(select(AttackOutcome).where(*of_gcg)):
            trials = select(AttackTrial.success).where(AttackTrial.attack_id == outcome.attack_id)
            estimate = rate_interval(session.scalars(trials).all())
            outcome.low, outcome.high, outcome.interval = estimate.low, estimate.high, estimate.method
        before: dict[int, NDArray[np.float64]] = {}
        of_arm = (
            Arm.kind == "toxic",
            Arm.share == 0.25,
            Condition.key.in_(("none", "iti/mass_mean/cost-0.06")),
        )
        arms = select(Condition).join(Checkpoint, Condition.checkpoint_id == Checkpoint.id).join(Arm)
        for condition in session.scalars(arms.where(*of_arm).order_by(Condition.key.desc())):
            tops = (rng.random(60) < 0.7).astype(np.float64)
            base = before.setdefault(condition.checkpoint_id, tops)
            change = None if base is tops else ratio_interval(tops - base, np.ones(60), unit="items")
            names = ("change", "change_low", "change_high")
            ends = (None,) * 3 if change is None else (change.value, change.low, change.high)
            session.add(
                CapabilityScore(
                    checkpoint_id=condition.checkpoint_id, condition_id=condition.id, task="task", part="",
                    measure="accuracy", unit="fraction", data="", chance=None,
                    item_tops=encode_float64(tops), item_bottoms=encode_float64(np.ones(60)),
                    **proportion(int(tops.sum()), 60, "items").columns, **dict(zip(names, ends, strict=True)),
                )
            )  # fmt: skip
    context = StudyContext(parse_study({"name": "seeded"}), 1, database.parent, engine)
    summarise_capability(context, ArmGroup("toxic", 0.25))
    engine.dispose()


def altered(database: Path, alterations: dict[str, str]) -> None:
    """One row altered by each statement."""
    engine = create_engine(f"sqlite:///{database}")
    with engine.begin() as connection:
        for place, statement in enumerate(alterations.values()):
            table = statement.split()[1]
            head, where = statement.split(" WHERE ")
            # Where there are several, each takes another row.
            nearest = f"abs(id - (SELECT min(id) FROM {table}) - {place})"
            rows = f"SELECT id FROM {table} WHERE {where} ORDER BY {nearest} LIMIT 1"
            assert connection.execute(text(f"{head} WHERE id IN ({rows})")).rowcount == 1, statement
    engine.dispose()


def faults_of(database: Path) -> dict[str, int]:
    """Faults by kind, of kinds that were compared."""
    engine = create_engine(f"sqlite:///{database}")
    ledger = audit(engine, 1)
    engine.dispose()
    return {kind: len(row.faults) for kind, row in ledger.kinds.items() if row.compared}


def check(database: Path, alterations: dict[str, str]) -> None:
    """Every number altered is a fault, and nothing else is one but what follows from it."""
    altered(database, alterations)
    faults = {kind: count for kind, count in faults_of(database).items() if count}
    assert set(alterations) <= set(faults) <= set(alterations) | CONSEQUENCES
    assert not [kind for kind, count in faults.items() if count > 1 and kind not in CONSEQUENCES]


@pytest.mark.slow
def test_a_planted_study_of_two_seeds(tmp_path_factory: pytest.TempPathFactory) -> None:
    check(copied_world(tmp_path_factory, "audited", planted) / "study.sqlite", PLANTED)


@pytest.mark.slow
def test_the_seeded_study(small_database: Path, tmp_path: Path) -> None:
    copy_database(small_database, tmp_path / "study.sqlite")
    add_items(tmp_path / "study.sqlite")
    check(tmp_path / "study.sqlite", SEEDED)


@pytest.mark.slow
def test_the_tiny_study(tmp_path_factory: pytest.TempPathFactory) -> None:
    database = finished_study(tmp_path_factory)[1] / "hormesis.sqlite"
    assert main([str(database), "another"]) == 2
    assert main([str(database), "tiny"]) == 0
    check(database, TINY)
