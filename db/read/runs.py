"""Queries about what was run: studies, arms, checkpoints, stages, curves, provenance, mixes."""

from __future__ import annotations

import hashlib

import pandas as pd
from sqlalchemy import Connection, Engine, func, select

from db.engine import reading
from db.read.frame import frame
from db.schema import (
    Arm,
    Checkpoint,
    Condition,
    Generation,
    Metric,
    Probe,
    Projection,
    StageRun,
    Study,
    Summary,
    ToyEffect,
    ToyRun,
    TrainPoint,
    Verdict,
)


def studies(engine: Engine) -> pd.DataFrame:
    """Every study, newest first: id, hash, name, scale, created, arms, checkpoints."""
    arms = select(func.count()).where(Arm.study_id == Study.id).scalar_subquery()
    made = select(func.count()).where(Checkpoint.study_id == Study.id).scalar_subquery()
    query = select(
        Study.id,
        Study.hash,
        Study.name,
        Study.scale,
        Study.created,
        func.coalesce(arms, 0).label("arms"),
        func.coalesce(made, 0).label("checkpoints"),
    ).order_by(Study.created.desc(), Study.id.desc())
    return frame(engine, query)


def study(engine: Engine, study_id: int) -> pd.DataFrame:
    """One row (none where there is no such study), with config and data_revisions as dicts."""
    return frame(engine, select(*Study.__table__.columns).where(Study.id == study_id))


def arms(engine: Engine, study_id: int) -> pd.DataFrame:
    """The study's arms by kind, share and seed, with composition as a dict and the checkpoint's id."""
    query = (
        select(*Arm.__table__.columns, Checkpoint.id.label("checkpoint_id"))
        .outerjoin(Checkpoint, Checkpoint.arm_id == Arm.id)
        .where(Arm.study_id == study_id)
        .order_by(Arm.kind.desc(), Arm.share, Arm.seed)
    )
    return frame(engine, query, optional=("checkpoint_id",))


def checkpoints(engine: Engine, study_id: int) -> pd.DataFrame:
    """The study's checkpoints with their arm's kind, share and seed (empty for imported ones)."""
    query = (
        select(*Checkpoint.__table__.columns, Arm.kind, Arm.share, Arm.seed)
        .outerjoin(Arm, Checkpoint.arm_id == Arm.id)
        .where(Checkpoint.study_id == study_id)
        .order_by(Arm.kind.desc(), Arm.share, Arm.seed, Checkpoint.name)
    )
    return frame(engine, query, optional=("kind", "share", "seed"))


def stage_runs(engine: Engine, study_id: int) -> pd.DataFrame:
    """Every stage run of a study in the order of its making; all columns of `stage_run`."""
    query = select(*StageRun.__table__.columns).where(StageRun.study_id == study_id).order_by(StageRun.id)
    return frame(engine, query)


def train_points(engine: Engine, study_id: int, max_points: int = 15_000) -> pd.DataFrame:
    """Training curves with arm, kind, share and seed; losses in nats per token.

    At most `max_points` rows: each arm's curve is thinned evenly, its last step kept. `step_count` is how
    many points the arm has in the database, so a chart can say that it shows a sample.
    """
    here = select(Arm.id).where(Arm.study_id == study_id)
    numbered = (
        select(
            TrainPoint.arm_id,
            TrainPoint.step,
            func.row_number().over(partition_by=TrainPoint.arm_id, order_by=TrainPoint.step).label("place"),
            func.count().over(partition_by=TrainPoint.arm_id).label("step_count"),
        )
        .where(TrainPoint.arm_id.in_(here))
        .subquery()
    )
    total, arm_count = _train_count(engine, study_id)
    # An arm's last point is kept beside the evenly spaced ones, hence the places set aside.
    stride = max(1, -(-total // max(max_points - arm_count, 1)))
    query = (
        select(
            Arm.id.label("arm_id"),
            Arm.name.label("arm"),
            Arm.kind,
            Arm.share,
            Arm.seed,
            *(column for column in TrainPoint.__table__.columns if column.name != "arm_id"),
            numbered.c.step_count,
        )
        .select_from(numbered)
        .join(Arm, Arm.id == numbered.c.arm_id)
        .join(TrainPoint, (TrainPoint.arm_id == numbered.c.arm_id) & (TrainPoint.step == numbered.c.step))
        .where((numbered.c.place % stride == 0) | (numbered.c.place == numbered.c.step_count))
        .order_by(Arm.kind.desc(), Arm.share, Arm.seed, TrainPoint.step)
    )
    return frame(engine, query)


def _train_count(engine: Engine, study_id: int) -> tuple[int, int]:
    query = (
        select(func.count(), func.count(TrainPoint.arm_id.distinct()))
        .join(Arm, Arm.id == TrainPoint.arm_id)
        .where(Arm.study_id == study_id)
    )
    total, arm_count = reading(engine, lambda connection: connection.execute(query).one())
    return int(total), int(arm_count)


def composition(engine: Engine, study_id: int) -> pd.DataFrame:
    """What went into each mix, by arm and source: arm, kind, share, seed, source, documents, tokens."""
    query = (
        select(Arm.name.label("arm"), Arm.kind, Arm.share, Arm.seed, Arm.composition)
        .where(Arm.study_id == study_id)
        .order_by(Arm.kind.desc(), Arm.share, Arm.seed)
    )
    found = frame(engine, query)
    rows = [
        (
            row["arm"],
            row["kind"],
            row["share"],
            row["seed"],
            source,
            part.get("documents"),
            part.get("tokens"),
        )
        for row in found.to_dict("records")
        for source, part in sorted(row["composition"].items())
    ]
    names = ("arm", "kind", "share", "seed", "source", "documents", "tokens")
    kinds = ("str", "str", "float64", "int64", "str", "Int64", "Int64")
    return pd.DataFrame(rows, columns=list(names)).astype(dict(zip(names, kinds, strict=True)))


def provenance(engine: Engine, study_id: int) -> pd.DataFrame:
    """Where numbers come from, one row per stage run: study hash, data revisions, packages, git revision."""
    query = (
        select(
            Study.hash.label("study_hash"),
            Study.data_revisions,
            StageRun.stage,
            StageRun.subject,
            StageRun.input_hash,
            StageRun.finished,
            StageRun.host,
            StageRun.packages,
            StageRun.git_revision,
        )
        .join(StageRun, StageRun.study_id == Study.id)
        .where(Study.id == study_id)
        .order_by(StageRun.id)
    )
    return frame(engine, query)


def latest_change(engine: Engine) -> str:
    """A short token that changes when rows are added or a running stage reports; cheap enough to poll."""
    tables = (Study, Checkpoint, Condition, Generation, Metric, Summary, Probe, Projection, ToyRun, ToyEffect)
    newest = [select(func.max(table.id)) for table in tables]
    newest.append(select(func.max(Verdict.evaluated)))
    stages = select(
        StageRun.status, func.count(), func.max(StageRun.heartbeat), func.sum(StageRun.done)
    ).group_by(StageRun.status)

    def read(connection: Connection) -> str:
        found: list[object] = [connection.execute(query).scalar() for query in newest]
        found.extend(connection.execute(stages).all())
        return hashlib.sha256(repr(found).encode()).hexdigest()[:16]

    return reading(engine, read)
