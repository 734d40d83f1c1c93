"""Putting an existing checkpoint through a study's probing, steering and evaluation."""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import Engine, select

from backend.export import save_plain
from backend.models import LoadedModel, load_model
from db.engine import open_writer
from db.schema import Checkpoint
from db.write import read_session
from pipeline import workers
from pipeline.arm_job import ArmOutcome, StudyHandle, run_checkpoint
from pipeline.config import StudyConfig
from pipeline.context import StudyContext, plan_arms
from pipeline.lock import study_lock
from pipeline.progress import Stopped
from pipeline.registry import Inputs, checkpoint_stages, register
from pipeline.runner import Watch
from pipeline.stage import Stage, StageFailed, announce, run_stage
from pipeline.study_job import project_stage
from pipeline.threads import Background, stop_on_ctrl_c


class NameTaken(ValueError):
    """The name belongs to another checkpoint of the study; the message is one line for the person."""


def default_name(model: str) -> str:
    """A name for a model from where it lies."""
    path = Path(model)
    stem = path.stem if path.suffix == ".gguf" else path.name or model
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-") or "model"


def import_checkpoint(
    model: str,
    config: StudyConfig,
    *,
    name: str | None,
    home: Path,
    database_url: str,
    watch: Watch | None = None,
) -> ArmOutcome:
    """Load, check and register a model, then run every stage on it that is not done.

    Raises ModelError, SourceError and the like (ValueError, one line) before anything is written.
    """
    from pipeline.stages.text import prepare, source_revisions

    name = name or default_name(model)
    revisions = source_revisions(config)
    held = [load_model(model)]
    workers.limit_threads(workers.cores())
    weights = held[0].weights_hash()
    home.mkdir(parents=True, exist_ok=True)
    engine = open_writer(database_url)
    study_id = register(engine, config)
    _require_free(engine, study_id, name, weights, {arm.name for arm in plan_arms(config)})
    handle = StudyHandle(config, study_id, home, database_url, tuple(sorted(revisions.items())))
    background = Background()
    context = StudyContext(config, study_id, home, engine, lambda: background.stopping)

    def work() -> ArmOutcome:
        try:
            run_stage(
                context,
                Stage("text", "study", handle.inputs.text),
                lambda reporter: prepare(context, handle.inputs, reporter),
            )
            # Taken out of the list, so that the stages, which load it anew, do not hold the model twice.
            checkpoint = _registered(context, held.pop(), model, name, weights)
            worked = _stages(context, handle.inputs, name, weights, checkpoint)
        except Stopped:
            return ArmOutcome(name, "stopped")
        except StageFailed as error:
            return ArmOutcome(name, "failed", str(error))
        return ArmOutcome(name, "done", worked=worked)

    with study_lock(home, config.hash), stop_on_ctrl_c(background.ask_to_stop):
        return background.run(work, lambda: watch(study_id) if watch else None)


def _require_free(engine: Engine, study_id: int, name: str, weights: str, arms: set[str]) -> None:
    """Raise NameTaken where the study has another checkpoint, or an arm, of this name."""
    query = select(Checkpoint.weights_hash).where(Checkpoint.study_id == study_id, Checkpoint.name == name)
    with read_session(engine) as session:
        found = session.scalar(query)
    if found not in (None, weights) or name in arms:
        raise NameTaken(f"this study has another checkpoint named '{name}'; give this one a name by --name")


def _registered(context: StudyContext, loaded: LoadedModel, model: str, name: str, weights: str) -> int:
    from pipeline.stages.train import register_checkpoint

    return register_checkpoint(
        context,
        loaded,
        name,
        _kept(context, loaded, model, weights),
        arm_row=None,
        tokens_seen=None,
        weights_hash=weights,
        details={"imported": model},
    )


def _kept(context: StudyContext, loaded: LoadedModel, model: str, weights: str) -> Path:
    """A folder that later stages load from: the model's own, or a copy of a GGUF file or hub model.

    A copy, because a GGUF file takes many times longer to read and a hub cache may be swept.
    """
    if Path(model).is_dir():
        return Path(model)
    folder = context.folder("imported", weights)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        save_plain(loaded, folder)
    return folder


def _stages(context: StudyContext, inputs: Inputs, name: str, weights: str, checkpoint: int) -> bool:
    from pipeline.stages.project import project
    from pipeline.stages.summary import summarise_imported

    stages = checkpoint_stages(inputs, name, weights)
    for stage in stages:
        announce(context, stage)
    worked = run_checkpoint(context, inputs, stages, checkpoint)
    summarise_imported(context, name)
    return run_stage(context, project_stage(context, inputs), lambda r: project(context, r)) or worked
