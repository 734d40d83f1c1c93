"""Putting an existing checkpoint through a study's probing, steering and evaluation."""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import select

from hormesis.backend.model.export import save_plain
from hormesis.backend.model.models import LoadedModel, load_model
from hormesis.db.schema import Checkpoint
from hormesis.db.write import read_session
from hormesis.pipeline.execution import workers
from hormesis.pipeline.execution.arms import plan_arms
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.executors import InlineExecutor
from hormesis.pipeline.execution.lock import study_lock
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.execution.study import register
from hormesis.pipeline.execution.threads import stop_on_ctrl_c
from hormesis.pipeline.execution.walk import TaskOutcome, Watch, announce_all, walk
from hormesis.pipeline.stages import GRAPH, project
from hormesis.pipeline.stages.train import register_checkpoint
from hormesis.pipeline.study.config import StudyConfig
from hormesis.pipeline.text.revisions import source_revisions
from hormesis.pipeline.text.source_rows import describe_sources


class NameTaken(ValueError):
    """The name belongs to another checkpoint of the study; the message is one line for the person."""


def default_name(model_reference: str) -> str:
    """A name for a model from where it lies."""
    path = Path(model_reference)
    stem = path.stem if path.suffix == ".gguf" else path.name or model_reference
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-") or "model"


def import_checkpoint(
    model_reference: str,
    config: StudyConfig,
    *,
    checkpoint_name: str | None,
    home: Path,
    database_url: str,
    watch: Watch = lambda study_id: None,
) -> TaskOutcome:
    """Load, check and register a model, then run every stage on it that is not done.

    Raises ModelError, SourceError and the like (ValueError, one line) before anything is written.
    """
    checkpoint_name = checkpoint_name or default_name(model_reference)
    revisions = source_revisions(config)
    loaded_models = [load_model(model_reference)]
    workers.limit_threads(workers.cores())
    subject = Subject(checkpoint_name, weights_hash=loaded_models[0].weights_hash())
    study = register(config, home=home, database_url=database_url, revisions=revisions)
    executor = InlineExecutor()

    def registered(context: StudyContext) -> list[Subject]:
        # Taken out of the list, so that the stages, which load it anew, do not hold the model twice.
        _register(context, loaded_models.pop(), model_reference, subject=subject)
        announce_all(context, ((stage, subject) for stage in GRAPH.of_subject(config, subject)))
        return [subject]

    _require_free(study.open(lambda: False), subject)
    with study_lock(home, config.hash), stop_on_ctrl_c(executor.ask_to_stop):
        describe_sources(study.open(lambda: False))
        outcome = walk(study, GRAPH, executor, subjects=registered, after_arms=[project.STAGE], watch=watch)
    status = "stopped" if outcome.stopped else "failed" if outcome.failures else "done"
    return TaskOutcome(checkpoint_name, status, "; ".join(outcome.failures), outcome.worked)


def _require_free(context: StudyContext, subject: Subject) -> None:
    """Raise NameTaken where the study has another checkpoint, or an arm, of this name."""
    query = select(Checkpoint.weights_hash).where(
        Checkpoint.study_id == context.study_id, Checkpoint.name == subject.name
    )
    with read_session(context.engine) as session:
        weights_hash = session.scalar(query)
    arm_names = {arm.name for arm in plan_arms(context.config)}
    if weights_hash not in (None, subject.weights_hash) or subject.name in arm_names:
        raise NameTaken(
            f"this study has another checkpoint named '{subject.name}'; give this one a name by --name"
        )


def _register(context: StudyContext, loaded: LoadedModel, model_reference: str, *, subject: Subject) -> None:
    """Write the checkpoint's row; `model_reference` is the folder, file or hub name it came from."""
    register_checkpoint(
        context,
        loaded,
        subject.name,
        path=_stored(context, loaded, model_reference, weights_hash=subject.weights_hash),
        arm_id=None,
        tokens_seen=None,
        weights_hash=subject.weights_hash,
        details={"imported": model_reference},
    )


def _stored(context: StudyContext, loaded: LoadedModel, model_reference: str, *, weights_hash: str) -> Path:
    """A folder that later stages load from: the model's own, or a copy of a GGUF file or hub model.

    A copy, because a GGUF file takes many times longer to read and a hub cache may be swept.
    """
    if Path(model_reference).is_dir():
        return Path(model_reference)
    folder = context.folder("imported", weights_hash)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        save_plain(loaded, folder)
    return folder
