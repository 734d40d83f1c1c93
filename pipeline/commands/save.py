"""Saving a checkpoint under a condition as an ordinary one, loadable without hormesis.

Tuned weights are an ordinary checkpoint already; steering is folded into biases. Text before prompts cannot
be.
"""

from __future__ import annotations

import json
from math import isclose
from pathlib import Path

from sqlalchemy import select

from hormesis.backend.model.directions import HeadDirection, require_directions
from hormesis.backend.model.export import NOTE, ExportError, export_steered, save_plain
from hormesis.backend.model.loaded import LoadedModel
from hormesis.backend.model.serving import serving_lines
from hormesis.backend.model.steering import iti
from hormesis.db.contract.methods import ITI
from hormesis.db.engine import open_reader
from hormesis.db.schema import Checkpoint, Study
from hormesis.db.write import read_session
from hormesis.pipeline.commands.model_card import Origin, model_card
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.methods.condition import read_condition, read_conditions
from hormesis.pipeline.methods.open_condition import open_tuned
from hormesis.pipeline.probing.loading import open_checkpoint, steering_directions
from hormesis.pipeline.study.config import parse_study


class NoSuchCheckpoint(ValueError):
    """The database holds no checkpoint of that name."""


def save_steered(
    checkpoint_name: str, strength: float, folder: Path, *, direction: str, home: Path, database_url: str
) -> Path:
    """Write a checkpoint (of the newest study that has it), steered at every position, to a new folder.

    `strength` counts sigmas away from toxicity on the selected heads. Raises NoSuchCheckpoint,
    NoDirections, DatabaseProblem, and ExportError where the folder is taken or the architecture has no bias
    to fold into.
    """
    context, checkpoint_id = find_checkpoint(checkpoint_name, home, database_url)
    heads = stored_heads(context, checkpoint_id, direction)
    origin = Origin(
        context=context,
        checkpoint_id=checkpoint_id,
        name=checkpoint_name,
        method=ITI,
        strength=strength,
        direction=direction,
        condition=_measured_key(context, checkpoint_id, strength, direction=direction),
        heads=heads,
    )
    return _save(origin, open_checkpoint(context, checkpoint_id), folder)


def save_condition(
    checkpoint_name: str, condition_key: str, folder: Path, *, home: Path, database_url: str
) -> Path:
    """Write a checkpoint as it is under one of its conditions, e.g. `dpo` or
    `dpo+iti/mass_mean/cost-0.06`.

    Steering is saved at every position. Raises NoSuchCheckpoint, NoSuchCondition, NoDirections, ModelError
    where weights are gone, and ExportError where the folder is taken, the architecture has no bias to fold
    into, or the condition puts text before prompts, which no checkpoint can hold.
    """
    context, checkpoint_id = find_checkpoint(checkpoint_name, home, database_url)
    condition = read_condition(context, checkpoint_id, condition_key)
    if condition.prefix:
        raise ExportError(
            f"condition '{condition_key}' puts text before every prompt, which a checkpoint cannot hold; "
            f"save another one and give it that text: {condition.prefix.strip()!r}"
        )
    direction = condition.direction
    heads = stored_heads(context, checkpoint_id, direction) if direction else ()
    origin = Origin(
        context=context,
        checkpoint_id=checkpoint_id,
        name=checkpoint_name,
        method=condition.method,
        strength=condition.strength,
        direction=direction,
        condition=condition_key,
        heads=heads,
    )
    return _save(origin, open_tuned(context, checkpoint_id, condition), folder)


def serving_of(folder: Path) -> list[str]:
    """Which programs serve a folder steered and which do not; nothing for one that is not steered."""
    if not (folder / NOTE).is_file():
        return []
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return serving_lines(config["model_type"])


def stored_heads(context: StudyContext, checkpoint_id: int, direction: str) -> list[HeadDirection]:
    """The heads that steering along `direction` moves. Raises NoDirections where none are stored."""
    heads = steering_directions(context, checkpoint_id, direction)
    require_directions(heads, direction)
    return heads


def _save(origin: Origin, loaded: LoadedModel, folder: Path) -> Path:
    card = model_card(origin, str(loaded.model.config.model_type))
    if not origin.heads:
        return save_plain(loaded, folder, card=card)
    return export_steered(
        loaded,
        iti(loaded.sites, origin.heads, scope="all"),
        origin.strength,
        folder=folder,
        about=origin.about(),
        card=card,
    )


def _measured_key(
    context: StudyContext, checkpoint_id: int, strength: float, *, direction: str
) -> str | None:
    """Key of the condition by ITI alone that steers just so; None where the study has none."""
    for condition in read_conditions(context, checkpoint_id):
        is_same = condition.method == ITI and condition.direction == direction
        if is_same and isclose(condition.strength, strength):
            return condition.key
    return None


def find_checkpoint(checkpoint_name: str, home: Path, database_url: str) -> tuple[StudyContext, int]:
    """The newest study that has this checkpoint, and the checkpoint's id. Raises NoSuchCheckpoint."""
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
