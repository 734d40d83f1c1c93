"""Putting an existing checkpoint through a study's probing, steering and evaluation."""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import select

from hormesis.backend.bundled import BUNDLED, BUNDLED_NAME
from hormesis.backend.model.models import load_model
from hormesis.db.contract.plain_names import LONGEST_NAME, plain_name
from hormesis.db.contract.sites import degraded
from hormesis.db.schema import Checkpoint
from hormesis.db.write import read_session
from hormesis.pipeline.checks.beginning import check_study
from hormesis.pipeline.checks.sizes import check_size
from hormesis.pipeline.execution.arms import checkpoint_arm, plan_arms
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.executors import workers
from hormesis.pipeline.execution.executors.processes import InlineExecutor
from hormesis.pipeline.execution.lock import study_lock
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.execution.study import register
from hormesis.pipeline.execution.threads import stop_on_ctrl_c
from hormesis.pipeline.execution.walk import TaskOutcome, Watch, announce_all, walk
from hormesis.pipeline.stages import GRAPH, PROJECT, VERDICTS
from hormesis.pipeline.stages.load import size_of
from hormesis.pipeline.study.checkpoint_config import CheckpointConfig
from hormesis.pipeline.study.config import StudyConfig
from hormesis.pipeline.text.source_rows import describe_sources


class NameTaken(ValueError):
    """The name belongs to another checkpoint of the study; the message is one line for the person."""


def default_name(model_reference: str) -> str:
    """A name for a model from where it lies; the model of a package is called by what it is."""
    if model_reference == BUNDLED:
        return BUNDLED_NAME
    path = Path(model_reference)
    path = path.resolve() if path.name in ("", "..") else path
    stem = path.stem if path.suffix == ".gguf" else path.name or model_reference
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:LONGEST_NAME] or "model"


def import_checkpoint(
    model_reference: str,
    config: StudyConfig,
    *,
    checkpoint_name: str | None = None,
    of_mix: CheckpointConfig | None = None,
    home: Path,
    database_url: str,
    watch: Watch = lambda study_id: None,
) -> TaskOutcome:
    """Load and check a model, then run every stage on it that is not done.

    `of_mix`: its declared mix, which makes it an arm of the study; else it is known by its name alone. The
    outcome's message says where a model is degraded. Raises ModelError, SourceError and the like (ValueError,
    one line) before anything is written.
    """
    arm = None if of_mix is None else checkpoint_arm(of_mix)
    name = arm.name if arm is not None else plain_name(checkpoint_name or default_name(model_reference))
    if name in {planned.name for planned in plan_arms(config)}:
        raise _name_taken(name, of_mix)
    revisions = check_study(config, database_url).revisions
    loaded = load_model(model_reference)
    check_size(config, *size_of(loaded))
    weights_hash, note = loaded.weights_hash(), degraded(loaded.shapes, loaded.n_layers)
    workers.limit_threads(workers.threads_of(parameters=loaded.parameters))
    del loaded
    subject = Subject(name, arm, weights_hash, _absolute(model_reference))
    study = register(config, home=home, database_url=database_url, revisions=revisions)
    executor = InlineExecutor()

    def announced(context: StudyContext) -> list[Subject]:
        announce_all(context, ((stage, subject) for stage in GRAPH.of_subject(config, subject)))
        return [subject]

    _require_free(study.open(lambda: False), subject)
    with study_lock(home, config.hash), stop_on_ctrl_c(executor.ask_to_stop):
        describe_sources(study.open(lambda: False))
        outcome = walk(
            study, GRAPH, executor, subjects=announced, after_arms=[PROJECT, VERDICTS], watch=watch
        )
    status = "stopped" if outcome.stopped else "failed" if outcome.failures else "done"
    message = "; ".join(outcome.failures) or note
    return TaskOutcome(name, status, message, outcome.worked, tuple(outcome.notes))


def _absolute(model_reference: str) -> str:
    """A path as it is found from anywhere; a hub name as it is."""
    path = Path(model_reference)
    return str(path.absolute()) if path.exists() else model_reference


def _require_free(context: StudyContext, subject: Subject) -> None:
    """Raise NameTaken where the study has another checkpoint of this name."""
    query = select(Checkpoint.weights_hash).where(
        Checkpoint.study_id == context.study_id, Checkpoint.name == subject.name
    )
    with read_session(context.engine) as session:
        weights_hash = session.scalar(query)
    if weights_hash not in (None, subject.weights_hash):
        raise _name_taken(subject.name, subject.arm)


def _name_taken(name: str, of_mix: object) -> NameTaken:
    """`of_mix`: None for a checkpoint that is known by its name alone."""
    way_out = "another --seed" if of_mix is not None else "a name by --name"
    return NameTaken(f"this study has another checkpoint named '{name}'; give this one {way_out}")
