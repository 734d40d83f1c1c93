"""Rows of a study, its arms and checkpoints by their names, and how another process opens the study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Select, select

from hormesis.db.engine import DatabaseProblem, open_reader, open_writer, reading
from hormesis.db.files import remove_all_temporaries
from hormesis.db.schema import Arm, Checkpoint, Study
from hormesis.db.write import insert_missing, read_session, write_session
from hormesis.pipeline.execution.arms import ArmPlan
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.foreign import is_commit_of_checkpoint
from hormesis.pipeline.execution.stage import StageFailed
from hormesis.pipeline.study.config import StudyConfig


@dataclass(frozen=True)
class StudyHandle:
    """What a process needs to open a study for itself; plain values, so that it can be pickled."""

    config: StudyConfig
    study_id: int
    home: Path
    database_url: str
    revisions: tuple[tuple[str, str], ...]

    def open(self, should_stop: Callable[[], bool]) -> StudyContext:
        """The study as this process sees it."""
        return StudyContext(
            config=self.config,
            study_id=self.study_id,
            home=self.home,
            engine=_engine(self.database_url),
            revisions=dict(self.revisions),
            should_stop=should_stop,
        )


@cache
def _engine(url: str) -> Engine:
    return open_writer(url)


def known_revisions(config: StudyConfig, database_url: str) -> dict[str, str] | None:
    """Revisions of what the study has read, none before; None where the database does not have the study.

    Makes and changes no database.
    """
    query = select(Study.data_revisions).where(Study.hash == config.hash)
    try:
        return reading(open_reader(database_url), lambda connection: connection.scalar(query))
    except DatabaseProblem as problem:
        return None if problem.kind in ("missing", "empty") else {}


def register(config: StudyConfig, *, home: Path, database_url: str, revisions: dict[str, str]) -> StudyHandle:
    """A study's row, untouched once written but for its gates; its home is made where it is missing.

    A branch of the hub stays at the commit it had when the study first ran. What killed processes left half
    written in the home is removed. Raises DatabaseProblem for a database that cannot be written.
    """
    home.mkdir(parents=True, exist_ok=True)
    remove_all_temporaries(home / "files")
    _engine.cache_clear()  # the database may have been replaced since this process last ran a study
    study_id = study_row(_engine(database_url), config)
    with read_session(_engine(database_url)) as session:
        stored = session.get_one(Study, study_id).data_revisions
    commits = {name: stored[name] for name in revisions if is_commit_of_checkpoint(name, stored.get(name))}
    return StudyHandle(config, study_id, home, database_url, tuple(sorted((revisions | commits).items())))


def study_row(engine: Engine, config: StudyConfig) -> int:
    """Id of the study with this configuration; its row is written on first sight, gates when they change."""
    values = config.model_dump(mode="json")
    columns = {"hash": config.hash, "name": config.name, "scale": config.scale, "config": values}
    study_id = _id_of_row(
        engine,
        select(Study.id).where(Study.hash == config.hash),
        Study,
        {**columns, "data_revisions": {}},
        on=("hash",),
    )
    with read_session(engine) as session:
        stored = session.get_one(Study, study_id).config
    if stored.get("gates") != values.get("gates"):
        gates = {"gates": values["gates"]} if "gates" in values else {}
        rest = {name: value for name, value in stored.items() if name != "gates"}
        with write_session(engine) as session:
            session.get_one(Study, study_id).config = rest | gates
    return study_id


def new_arm_row(context: StudyContext, arm: ArmPlan) -> dict[str, Any]:
    """An arm's row before its mix is made."""
    columns = {"name": arm.name, "kind": arm.kind, "share": arm.share, "seed": arm.seed}
    return {"study_id": context.study_id, **columns, "composition": {}}


def arm_row(context: StudyContext, arm: ArmPlan) -> int:
    """Id of an arm; its row is written on first sight."""
    study_id = context.study_id
    return _id_of_row(
        context.engine,
        select(Arm.id).where(Arm.study_id == study_id, Arm.name == arm.name),
        Arm,
        new_arm_row(context, arm),
        on=("study_id", "name"),
    )


def _id_of_row(
    engine: Engine, query: Select[int], model: type[Study | Arm], row: dict[str, Any], *, on: Sequence[str]
) -> int:
    """The id that a query finds, once the row of natural key `on` is there: its own or another process's."""
    with read_session(engine) as session:
        row_id = session.scalar(query)
    if row_id is not None:
        return row_id
    with write_session(engine) as session:
        insert_missing(session, model, [row], on=on)
        return session.scalars(query).one()


def checkpoint_id_of(context: StudyContext, name: str) -> int:
    """Id of a checkpoint of this study. Raises StageFailed where it is missing."""
    query = select(Checkpoint.id).where(Checkpoint.study_id == context.study_id, Checkpoint.name == name)
    with read_session(context.engine) as session:
        checkpoint_id = session.scalar(query)
    if checkpoint_id is None:
        raise StageFailed(f"the checkpoint {name} is missing although its training is marked as done")
    return checkpoint_id
