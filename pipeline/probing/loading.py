"""From a checkpoint's rows back to a model in memory and the directions to steer it with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from sqlalchemy import ColumnElement, and_, select

from hormesis.backend.model.models import LoadedModel, load_model
from hormesis.backend.model.steering import HeadDirection
from hormesis.db.blocks import decode_float32
from hormesis.db.contract.methods import has_own_heads
from hormesis.db.manifest import require_intact
from hormesis.db.read.runs import stored_files
from hormesis.db.schema import Checkpoint, Direction, Probe, ProbeSet
from hormesis.db.write import read_session
from hormesis.pipeline.execution.context import StudyContext

SMALL = 20_000_000
"""Parameters below which bfloat16 gains nothing on a CPU."""


@dataclass(frozen=True)
class CheckpointFacts:
    """The columns of a checkpoint that later stages need."""

    id: int
    name: str
    path: Path
    parameters: int
    weights_hash: str


def checkpoint_facts(context: StudyContext, checkpoint_id: int) -> CheckpointFacts:
    """Read a checkpoint's row; its path is resolved against the home."""
    with read_session(context.engine) as session:
        row = session.get_one(Checkpoint, checkpoint_id)
        path = Path(row.path)
        return CheckpointFacts(
            row.id,
            row.name,
            path if path.is_absolute() else context.home / path,
            row.parameters,
            row.weights_hash,
        )


def open_checkpoint(context: StudyContext, checkpoint_id: int, *, half: bool = False) -> LoadedModel:
    """The model of a checkpoint, kept until another is asked for.

    `half`: in bfloat16 where it is large enough for that to be faster on a CPU, else in float32. Raises
    ModelError where the files are gone, DamagedFile where they are not what was written.
    """
    checkpoint = checkpoint_facts(context, checkpoint_id)
    return open_weights(context, checkpoint.path, half=half and checkpoint.parameters >= SMALL)


def open_weights(context: StudyContext, path: Path, *, half: bool = False) -> LoadedModel:
    """The model in a folder, kept until another is asked for. `half`: in bfloat16. Raises as above."""
    return _open(str(intact_weights(context, path)), half)


def intact_weights(context: StudyContext, path: Path) -> Path:
    """The folder of a model whose files are those that the study wrote. Raises DamagedFile."""
    with read_session(context.engine) as session:
        units = stored_files(session.connection(), context.study_id)
    return require_intact(path, units, context.home)


@lru_cache(maxsize=1)
def _open(path: str, half: bool) -> LoadedModel:
    loaded = load_model(path, dtype="bfloat16" if half else "float32")
    if torch.cuda.is_available():
        loaded.model.to("cuda")
    return loaded


def probe_set_id(context: StudyContext) -> int:
    """The study's probe set."""
    with read_session(context.engine) as session:
        return session.execute(select(ProbeSet.id).where(ProbeSet.study_id == context.study_id)).scalar_one()


def same_head(first: Any, second: Any) -> ColumnElement[bool]:
    """The condition that rows of two tables are of the same head, checkpoint, probe set and position."""
    key_columns = ("checkpoint_id", "probe_set_id", "position", "layer", "head")
    return and_(*(getattr(first, name) == getattr(second, name) for name in key_columns))


def steering_directions(context: StudyContext, checkpoint_id: int, method: str) -> list[HeadDirection]:
    """The heads that an intervention of this direction method moves: the selected ones, best first, or those
    that the set chose itself, by layer and head.
    """
    query = select(Direction).where(
        Direction.checkpoint_id == checkpoint_id,
        Direction.probe_set_id == probe_set_id(context),
        Direction.position == context.config.probe.position,
        Direction.method == method,
    )
    if has_own_heads(method):
        query = query.order_by(Direction.layer, Direction.head)
    else:
        query = query.join(Probe, same_head(Probe, Direction))
        query = query.where(Probe.rank.is_not(None)).order_by(Probe.rank)
    with read_session(context.engine) as session:
        return [
            HeadDirection(row.layer, row.head, decode_float32(row.vector), row.sigma)
            for row in session.scalars(query)
        ]
