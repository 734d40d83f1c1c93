"""Saving a steered checkpoint as an ordinary one: the shift folded into biases, loadable without hormesis."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select

from backend.export import export_steered
from backend.steering import iti
from db.engine import open_writer
from db.schema import Checkpoint, Study
from db.write import read_session
from pipeline.config import parse_study
from pipeline.context import StudyContext
from pipeline.loading import open_checkpoint, selected_directions


class NoSuchCheckpoint(ValueError):
    """The database holds no checkpoint of that name, or none that was probed."""


def save_steered(
    name: str, strength: float, folder: Path, *, direction: str, home: Path, database_url: str
) -> Path:
    """Write checkpoint `name` (of the newest study that has it), steered at every position, to a new folder.

    `strength` counts sigmas away from toxicity on the selected heads. Raises NoSuchCheckpoint, and
    ExportError where the folder is taken or the architecture has no bias to fold into.
    """
    engine = open_writer(database_url)
    query = (
        select(Checkpoint.id, Study.id, Study.config)
        .join(Study, Checkpoint.study_id == Study.id)
        .where(Checkpoint.name == name)
        .order_by(Study.id.desc())
    )
    with read_session(engine) as session:
        found = session.execute(query).first()
    if found is None:
        raise NoSuchCheckpoint(f"the database holds no checkpoint '{name}'; see hormesis status")
    checkpoint, study_id, config = found
    context = StudyContext(parse_study(config), study_id, home, engine)
    heads = selected_directions(context, checkpoint, direction)
    if not heads:
        raise NoSuchCheckpoint(f"checkpoint '{name}' has no {direction} directions; run its probes first")
    loaded = open_checkpoint(context, checkpoint)
    return export_steered(loaded, iti(loaded.sites, heads, scope="all"), strength, folder)
