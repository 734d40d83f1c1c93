"""Saving a checkpoint under a condition as an ordinary one, loadable without hormesis.

Tuned weights are an ordinary checkpoint already; steering is folded into biases. Text before prompts cannot
be.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select

from hormesis.backend.model.export import ExportError, export_steered, save_plain
from hormesis.backend.model.steering import iti
from hormesis.db.engine import open_reader
from hormesis.db.schema import Checkpoint, Study
from hormesis.db.write import read_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.methods import read_condition
from hormesis.pipeline.probing.loading import (
    checkpoint_facts,
    open_checkpoint,
    open_weights,
    steering_directions,
)
from hormesis.pipeline.study.config import parse_study


class NoSuchCheckpoint(ValueError):
    """The database holds no checkpoint of that name, or none that was probed."""


def save_steered(
    checkpoint_name: str, strength: float, folder: Path, *, direction: str, home: Path, database_url: str
) -> Path:
    """Write a checkpoint (of the newest study that has it), steered at every position, to a new folder.

    `strength` counts sigmas away from toxicity on the selected heads. Raises NoSuchCheckpoint,
    DatabaseProblem, and ExportError where the folder is taken or the architecture has no bias to fold into.
    """
    context, checkpoint_id = _find(checkpoint_name, home, database_url)
    directions = steering_directions(context, checkpoint_id, direction)
    if not directions:
        lacking = f"checkpoint '{checkpoint_name}' has no {direction} directions"
        raise NoSuchCheckpoint(f"{lacking}; run its probes first")
    loaded = open_checkpoint(context, checkpoint_id)
    return export_steered(loaded, iti(loaded.sites, directions, scope="all"), strength, folder=folder)


def save_condition(
    checkpoint_name: str, condition_key: str, folder: Path, *, home: Path, database_url: str
) -> Path:
    """Write a checkpoint as it is under one of its conditions, e.g. `dpo` or
    `dpo+iti/mass_mean/cost-0.06`.

    Steering is saved at every position. Raises NoSuchCheckpoint, NoSuchCondition, ModelError where weights
    are gone, and ExportError where the folder is taken, the architecture has no bias to fold into, or the
    condition puts text before prompts, which no checkpoint can hold.
    """
    context, checkpoint_id = _find(checkpoint_name, home, database_url)
    condition = read_condition(context, checkpoint_id, condition_key)
    if condition.prefix:
        raise ExportError(
            f"condition '{condition_key}' puts text before every prompt, which a checkpoint cannot hold; "
            f"save another one and give it that text: {condition.prefix.strip()!r}"
        )
    tuned = condition.tuned
    checkpoint_path = checkpoint_facts(context, checkpoint_id).path
    loaded = open_weights(home / str(tuned["path"]) if tuned else checkpoint_path)
    if condition.direction is None:
        return save_plain(loaded, folder)
    directions = steering_directions(context, checkpoint_id, condition.direction)
    return export_steered(
        loaded, iti(loaded.sites, directions, scope="all"), condition.strength, folder=folder
    )


def _find(checkpoint_name: str, home: Path, database_url: str) -> tuple[StudyContext, int]:
    engine = open_reader(database_url)
    query = (
        select(Checkpoint.id, Study.id, Study.config)
        .join(Study, Checkpoint.study_id == Study.id)
        .where(Checkpoint.name == checkpoint_name)
        .order_by(Study.id.desc())
    )
    with read_session(engine) as session:
        row = session.execute(query).first()
    if row is None:
        raise NoSuchCheckpoint(f"the database holds no checkpoint '{checkpoint_name}'; see hormesis status")
    checkpoint_id, study_id, config = row
    return StudyContext(parse_study(config), study_id, home, engine), checkpoint_id
