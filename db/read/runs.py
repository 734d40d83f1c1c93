"""Queries about what was run: studies, arms, checkpoints, stages, curves, provenance, mixes."""

from __future__ import annotations

import hashlib
from functools import cache

import pandas as pd
from sqlalchemy import Connection, Engine, func, select

from hormesis.db.engine import reading
from hormesis.db.manifest import Unit, stored_units
from hormesis.db.read.columns import ARM, BY_ARM, columns_of
from hormesis.db.read.frame import Query, frame
from hormesis.db.schema import Arm, Base, Checkpoint, Generation, StageRun, Study, TrainPoint, Verdict


def studies(engine: Engine) -> pd.DataFrame:
    """Every study, newest first: id, hash, name, scale, created, arms, checkpoints."""
    arm_count = select(func.count()).where(Arm.study_id == Study.id).scalar_subquery()
    checkpoint_count = select(func.count()).where(Checkpoint.study_id == Study.id).scalar_subquery()
    query = select(
        Study.id,
        Study.hash,
        Study.name,
        Study.scale,
        Study.created,
        func.coalesce(arm_count, 0).label("arms"),
        func.coalesce(checkpoint_count, 0).label("checkpoints"),
    ).order_by(Study.created.desc(), Study.id.desc())
    return frame(engine, query)


def study_names(rows: pd.DataFrame) -> list[str]:
    """What pages and addresses call `studies`: by name, with the start of the hash where names repeat."""
    repeats = rows["name"].duplicated(keep=False)
    columns = zip(rows["name"], rows["hash"], repeats, strict=True)
    return [f"{name} ({number[:6]})" if is_repeated else str(name) for name, number, is_repeated in columns]


def study(engine: Engine, study_id: int) -> pd.DataFrame:
    """One row (none where there is no such study), with config and data_revisions as dicts."""
    return frame(engine, select(*Study.__table__.columns).where(Study.id == study_id))


def arms(engine: Engine, study_id: int) -> pd.DataFrame:
    """The study's arms by kind, share and seed, with composition as a dict and the checkpoint's id."""
    query = (
        select(*Arm.__table__.columns, Checkpoint.id.label("checkpoint_id"))
        .outerjoin(Checkpoint, Checkpoint.arm_id == Arm.id)
        .where(Arm.study_id == study_id)
        .order_by(*BY_ARM)
    )
    return frame(engine, query)


def checkpoints(engine: Engine, study_id: int) -> pd.DataFrame:
    """The study's checkpoints with their arm's kind, share and seed (empty for imported ones)."""
    query = (
        select(*Checkpoint.__table__.columns, *ARM)
        .outerjoin(Arm, Checkpoint.arm_id == Arm.id)
        .where(Checkpoint.study_id == study_id)
        .order_by(*BY_ARM, Checkpoint.name)
    )
    return frame(engine, query)


def stage_runs(engine: Engine, study_id: int) -> pd.DataFrame:
    """Every stage run of a study in the order of its making; all columns of `stage_run` but the files."""
    query = select(*columns_of(StageRun, "files")).where(StageRun.study_id == study_id).order_by(StageRun.id)
    return frame(engine, query)


def stored_files(connection: Connection, study_id: int, subject: str | None = None) -> list[Unit]:
    """What the finished stages of a study, or of one subject of it, wrote, as their rows list it."""
    query = select(StageRun.files).where(StageRun.study_id == study_id, StageRun.status == "done")
    query = query if subject is None else query.where(StageRun.subject == subject)
    return [unit for files in connection.scalars(query) for unit in stored_units(files)]


def train_points(engine: Engine, study_id: int, max_points: int = 15_000) -> pd.DataFrame:
    """Training curves with arm, kind, share and seed; losses in nats per token.

    At most `max_points` rows: each arm's curve is thinned evenly, its last step kept. `step_count` is how
    many points the arm has in the database, so a chart can say that it shows a sample.
    """
    arm_ids = select(Arm.id).where(Arm.study_id == study_id)
    # A row per point, with its place (from 1) within its arm.
    numbered = (
        select(
            TrainPoint.arm_id,
            TrainPoint.step,
            func.row_number().over(partition_by=TrainPoint.arm_id, order_by=TrainPoint.step).label("place"),
            func.count().over(partition_by=TrainPoint.arm_id).label("step_count"),
        )
        .where(TrainPoint.arm_id.in_(arm_ids))
        .subquery()
    )
    point_count, arm_count = _train_count(engine, study_id)
    # An arm's last point is kept beside the evenly spaced ones, hence the places set aside.
    stride = max(1, -(-point_count // max(max_points - arm_count, 1)))
    query = (
        select(
            Arm.id.label("arm_id"),
            Arm.name.label("arm"),
            *ARM,
            *columns_of(TrainPoint, "arm_id"),
            numbered.c.step_count,
        )
        .select_from(numbered)
        .join(Arm, Arm.id == numbered.c.arm_id)
        .join(TrainPoint, (TrainPoint.arm_id == numbered.c.arm_id) & (TrainPoint.step == numbered.c.step))
        .where((numbered.c.place % stride == 0) | (numbered.c.place == numbered.c.step_count))
        .order_by(*BY_ARM, TrainPoint.step)
    )
    return frame(engine, query)


def _train_count(engine: Engine, study_id: int) -> tuple[int, int]:
    """Number of points of a study's training curves, and of arms that have any."""
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
        .order_by(*BY_ARM)
    )
    arm_rows = frame(engine, query)
    rows = [
        (
            row["arm"],
            row["kind"],
            row["share"],
            row["seed"],
            source,
            amounts.get("documents"),
            amounts.get("tokens"),
        )
        for row in arm_rows.to_dict("records")
        for source, amounts in sorted(row["composition"].items())
    ]
    column_names = ("arm", "kind", "share", "seed", "source", "documents", "tokens")
    dtypes = ("str", "str", "float64", "int64", "str", "Int64", "Int64")
    return pd.DataFrame(rows, columns=list(column_names)).astype(dict(zip(column_names, dtypes, strict=True)))


def latest_change(engine: Engine) -> str:
    """A short token `ROWS-PROGRESS-BEAT` that changes when the database does; cheap enough to poll.

    ROWS changes when rows of results, models or texts are added, when gates change and when a stage begins or
    ends; PROGRESS also when a running stage reports new work, generations or training steps; BEAT with every
    sign of life. See `changed_part`.
    """
    newest_query, stages_query = _change_queries()

    def read(connection: Connection) -> str:
        # Largest ids, of generations first; then stage, status, count, last end, work and last sign of life.
        newest_ids = [*connection.execute(newest_query).one()]
        stage_groups = connection.execute(stages_query).all()
        rows = (newest_ids[1:], [tuple(row[:4]) for row in stage_groups])
        progress = (newest_ids[0], [row[4] for row in stage_groups])
        return "-".join(map(_short, (rows, progress, [row[5] for row in stage_groups])))

    return reading(engine, read)


@cache
def _change_queries() -> tuple[Query, Query]:
    """Newest rows (the generation first, then of every table that numbers its rows), and stages by state."""
    tables = [
        table
        for table in Base.metadata.sorted_tables
        if "id" in table.columns and table.name not in (Generation.__tablename__, StageRun.__tablename__)
    ]
    columns = [
        func.max(Generation.id),
        *(func.max(table.c.id) for table in tables),
        func.max(Verdict.evaluated),
        func.aggregate_strings(Study.config["gates"].as_string(), ","),
    ]
    newest_query = select(
        *(select(column).scalar_subquery().label(f"c{place}") for place, column in enumerate(columns))
    )
    stages_query = (
        select(
            StageRun.stage,
            StageRun.status,
            func.count(),
            func.max(StageRun.finished),
            func.sum(StageRun.done),
            func.max(StageRun.heartbeat),
        )
        .group_by(StageRun.stage, StageRun.status)
        .order_by(StageRun.stage, StageRun.status)
    )
    return newest_query, stages_query


def _short(values: object) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()[:12]


def changed_part(token: str, *, progress: bool = False, beat: bool = False) -> str:
    """The part of a change token that matters: always ROWS; PROGRESS and BEAT where asked for.

    Anything else than such a token is given back whole.
    """
    parts = token.split("-")
    if len(parts) != 3:
        return token
    return "-".join(parts[: 3 if beat else 2 if progress else 1])
