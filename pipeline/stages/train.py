"""Stage `train`: one arm's model, its training curve and its checkpoint row.

Weights are kept by the hash of everything that decides them, so another study with the same training finds
them and trains nothing; the curve comes back with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hormesis.backend.model.models import LoadedModel, load_model
from hormesis.db.manifest import require_intact
from hormesis.db.schema import Checkpoint, TrainPoint
from hormesis.db.write import upsert, write_session
from hormesis.pipeline.execution.arms import ArmPlan
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.lock import taking_turns
from hormesis.pipeline.execution.progress import Reporter, silent
from hormesis.pipeline.execution.provenance import packages
from hormesis.pipeline.execution.stage import Subject, arm_of
from hormesis.pipeline.execution.study import arm_row
from hormesis.pipeline.stages.mix import open_or_build
from hormesis.pipeline.stages.tokens import corpus_folder, pool
from hormesis.pipeline.study.scales import model_config, train_settings
from hormesis.pipeline.study.source_config import Role
from hormesis.pipeline.text.tokenization import load_tokenizer

if TYPE_CHECKING:
    from hormesis.pipeline.training.train import Point, TrainResult


def training_folder(context: StudyContext, arm: ArmPlan) -> Path:
    """Where an arm is trained: `run.json` and, when it is done, `model/`."""
    return context.folder("checkpoints", context.inputs.train(arm))


def train_arm(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    """Train, or go on training, and register the checkpoint."""
    arm = arm_of(subject)
    arm_id = arm_row(context, arm)
    # Another study with the same training would write to the same folder.
    with taking_turns(context.home, f"train-{context.inputs.train(arm)}", reporter.check):
        result = run_training(context, arm, arm_id, reporter=reporter)
    reporter.say("checking the checkpoint")
    register_checkpoint(
        context,
        load_model(require_intact(result.model), dtype="float32"),
        arm.name,
        path=result.model,
        arm_id=arm_id,
        tokens_seen=result.tokens,
        weights_hash=context.inputs.train(arm),
        details={"steps": result.steps, "precision": result.precision},
    )


def run_training(
    context: StudyContext, arm: ArmPlan, arm_id: int | None, *, reporter: Reporter
) -> TrainResult:
    """The training itself, which every process of a distributed run calls alike.

    `arm_id` None: write nothing to the database (processes other than the first).
    """
    # Imported here: it brings the Trainer, which a plan and a finished study need not wait for.
    from hormesis.pipeline.training.train import train

    config = context.config
    tokenizer = load_tokenizer(corpus_folder(context) / "tokenizer")
    settings = train_settings(config.scale, config.training, seed=arm.seed)
    architecture = model_config(
        config.scale,
        len(tokenizer),
        eos=tokenizer.eos_token_id,
        pad=tokenizer.pad_token_id,
        context=settings.sequence_length,
    )
    mix = open_or_build(context, arm)
    tokens_per_step = settings.batch_size * settings.sequence_length

    def windows(role: Role) -> Any:
        heldout = pool(context, role)
        if heldout is None:
            return None
        return heldout.windows(settings.sequence_length, config.evaluation.heldout_tokens)

    def progress(step: int, steps: int) -> None:
        reporter.report(step * tokens_per_step, steps * tokens_per_step, "tokens")

    def on_point(point: Point) -> None:
        if arm_id is not None:
            _write_point(context, arm_id, point)

    return train(
        training_folder(context, arm),
        mix=mix,
        tokenizer=tokenizer,
        config=architecture,
        settings=settings,
        heldout_clean=windows("heldout_clean"),
        heldout_toxic=windows("heldout_toxic"),
        on_point=on_point,
        progress=progress,
    )


def _write_point(context: StudyContext, arm_id: int, point: Point) -> None:
    """Write a point of an arm's training curve."""
    row = {
        "arm_id": arm_id,
        "step": point.step,
        "tokens": point.tokens,
        "loss": point.loss,
        "clean_loss": point.clean_loss,
        "toxic_loss": point.toxic_loss,
        "learning_rate": point.learning_rate,
        "tokens_per_second": point.tokens_per_second,
    }
    with write_session(context.engine) as session:
        upsert(session, TrainPoint, [row], on=("arm_id", "step"))


def register_checkpoint(
    context: StudyContext,
    loaded: LoadedModel,
    name: str,
    *,
    path: Path,
    arm_id: int | None,
    tokens_seen: int | None,
    weights_hash: str,
    details: dict[str, Any],
) -> int:
    """Write the row of a checkpoint that loads and steers; gives its id."""
    row = {
        "study_id": context.study_id,
        "arm_id": arm_id,
        "name": name,
        "path": context.relative(path),
        "architecture": loaded.architecture,
        "n_layers": loaded.n_layers,
        "n_heads": loaded.n_heads,
        "head_dim": loaded.head_dim,
        "parameters": loaded.parameters,
        "tokens_seen": tokens_seen,
        "weights_hash": weights_hash,
        "details": {
            **details,
            "sites": [
                {"layer": site.layer, "module": site.module, "heads": site.n_heads, "head_dim": site.head_dim}
                for site in loaded.sites
            ],
            "content": loaded.weights_hash(),
            "packages": packages(),
        },
    }
    with write_session(context.engine) as session:
        upsert(session, Checkpoint, [row], on=("study_id", "name"))
        return int(session.query(Checkpoint.id).filter_by(study_id=context.study_id, name=name).scalar())


def train_with_the_others(context: StudyContext, subject: Subject) -> None:
    """The part of a process other than the first in a distributed training; writes no rows."""
    run_training(context, arm_of(subject), None, reporter=silent())


def train_files(context: StudyContext, subject: Subject) -> Iterator[Path]:
    """The finished model."""
    yield training_folder(context, arm_of(subject)) / "model"
