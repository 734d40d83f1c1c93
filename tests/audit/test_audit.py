"""The audit agrees with what the product stores, and sees one altered number of each kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import create_engine, select, text

from hormesis.db.blocks import encode_float64, encode_int64
from hormesis.db.engine import open_writer
from hormesis.db.schema import Condition
from hormesis.db.schema import Scorer as ScorerRow
from hormesis.db.write import read_session, write_session
from hormesis.pipeline.claims.evaluate import evaluate
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import silent
from hormesis.pipeline.stages.score import Scoring, _write_metrics
from hormesis.pipeline.study.config import parse_study
from hormesis.pipeline.summaries.arms import arms_of_study
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


def planted(folder: Path) -> None:
    """Two seeds, a dip, empty texts and documents' losses, summed up and judged by the product."""
    engine = open_writer(f"sqlite:///{folder / 'study.sqlite'}")
    study, checkpoints = add_study(engine, SIZE, 0)
    add_evaluation(engine, SIZE, study, checkpoints=checkpoints, seed=0)
    add_geometry(engine, SIZE, study, checkpoints=checkpoints, seed=0)
    rng = np.random.default_rng(3)
    with write_session(engine) as session:
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
    "summary value": "UPDATE summary SET value = value * 1.001 WHERE name = 'fluency' AND share = 0.25",
    "summary interval": "UPDATE summary SET high = high + 0.001 WHERE name = 'toxicity' AND share = 0.25",
    "dose fit p": "UPDATE dose_fit SET p = p + 0.2 WHERE p IS NOT NULL",
    "dose fit evidence": "UPDATE dose_fit SET evidence_ratio = evidence_ratio * 1.01 WHERE p < 1",
    "dose fit optimum": "UPDATE dose_fit SET optimum = optimum + 0.05 WHERE optimum IS NOT NULL",
    "dose fit interval": "UPDATE dose_fit SET optimum_low = optimum_low - 0.05 WHERE optimum IS NOT NULL",
    "dose fit status": "UPDATE dose_fit SET status = 'no data yet' WHERE status = 'hormetic'",
    "verdict detectable, of dips": "UPDATE verdict SET detectable = 0.01 WHERE claim = 'C4-matched-dip'",
}
SEEDED = {
    "attack summary value": "UPDATE attack_summary SET value = value + 0.001 WHERE name = 'success'",
    "attack summary interval": "UPDATE attack_summary SET low = low - 0.001 WHERE name = 'drift'",
    "capability summary value": "UPDATE capability_summary SET change = change + 0.001 WHERE change < 0",
    "capability summary interval": "UPDATE capability_summary SET high = high + 0.001 WHERE task LIKE 'mcq%'",
    "verdict value": "UPDATE verdict SET value = value * 1.001 WHERE claim = 'C4-base'",
    "verdict interval": "UPDATE verdict SET low = low * 0.999 WHERE claim = 'R-selectivity'",
    "verdict p": "UPDATE verdict SET p = p * 1.01 WHERE claim = 'C4-random'",
    "verdict Holm's p": "UPDATE verdict SET p_holm = p_holm * 1.01 WHERE claim = 'C2-detection'",
    "verdict tests": "UPDATE verdict SET tests = tests + 1 WHERE claim = 'C5-steer'",
    "verdict room": "UPDATE verdict SET room = room * 1.01 WHERE claim = 'R-relative'",
    "verdict detectable": "UPDATE verdict SET detectable = detectable * 1.01 WHERE claim = 'R-control'",
    "verdict status": "UPDATE verdict SET status = 'supported' WHERE claim = 'C1-literal'",
}  # fmt: skip
TINY = {
    "cost value": "UPDATE metric SET value = value + 0.0001 WHERE name = 'cost'",
    "cost interval": "UPDATE metric SET high = high + 1 WHERE name = 'cost'",
    "cross_entropy value": "UPDATE metric SET value = value * 1.0001 WHERE name = 'cross_entropy'",
    "cross_entropy interval": "UPDATE metric SET low = low - 1 WHERE name = 'cross_entropy'",
    "head summary value": "UPDATE head_summary SET value = value + 0.001 WHERE name = 'mean'",
    "head summary interval": "UPDATE head_summary SET high = high + 0.1 WHERE name = 'mean'",
}


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
    faults = {kind for kind, count in faults_of(database).items() if count}
    assert (
        set(alterations) <= faults <= {*alterations, "verdict Holm's p", "verdict status", "dose fit status"}
    )


def test_a_planted_study_of_two_seeds(tmp_path_factory: pytest.TempPathFactory) -> None:
    check(copied_world(tmp_path_factory, "audited", planted) / "study.sqlite", PLANTED)


def test_the_seeded_study(small_database: Path, tmp_path: Path) -> None:
    copy_database(small_database, tmp_path / "study.sqlite")
    check(tmp_path / "study.sqlite", SEEDED)


def test_the_tiny_study(tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]) -> None:
    database = finished_study(tmp_path_factory)[1] / "hormesis.sqlite"
    assert main([str(database), "another"]) == 2
    assert main([str(database), "tiny"]) == 0
    check(database, TINY)
    assert main([str(database)]) == 1 and "FAULT cost value" in capsys.readouterr().out
