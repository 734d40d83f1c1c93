"""Stage `train`: one arm's model, its training curve and its checkpoint row.

Weights are kept by the hash of everything that decides them, so another study with the same training finds
them and trains nothing; the curve comes back with them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backend.models import LoadedModel, load_model
from db.schema import Checkpoint, TrainPoint
from db.write import upsert, write_session
from pipeline.context import ArmPlan, StudyContext
from pipeline.lock import taking_turns
from pipeline.pools import Pool
from pipeline.progress import Reporter
from pipeline.provenance import packages
from pipeline.registry import Inputs
from pipeline.scales import model_config, train_settings
from pipeline.stages.mix import open_or_build
from pipeline.stages.tokens import corpus_folder, pool
from pipeline.tokenization import load_tokenizer
from pipeline.training import Point, TrainResult, train


def train_arm(context: StudyContext, inputs: Inputs, arm: ArmPlan, arm_row: int, reporter: Reporter) -> None:
    """Train, or go on training, and register the checkpoint."""
    # Another study with the same training would write to the same folder.
    with taking_turns(context.home, f"train-{inputs.train(arm)}", reporter.check):
        result = run_training(context, inputs, arm, arm_row, reporter)
    reporter.say("checking the checkpoint")
    register_checkpoint(
        context,
        load_model(result.model, dtype="float32"),
        arm.name,
        result.model,
        arm_row=arm_row,
        tokens_seen=result.tokens,
        weights_hash=inputs.train(arm),
        details={"steps": result.steps, "precision": result.precision},
    )


def run_training(
    context: StudyContext, inputs: Inputs, arm: ArmPlan, arm_row: int | None, reporter: Reporter
) -> TrainResult:
    """The training itself, which every process of a distributed run calls alike.

    `arm_row` None: write nothing to the database (processes other than the first).
    """
    config = context.config
    tokenizer = load_tokenizer(corpus_folder(context, inputs) / "tokenizer")
    settings = train_settings(config.scale, config.training, seed=arm.seed)
    architecture = model_config(
        config.scale,
        len(tokenizer),
        eos=tokenizer.eos_token_id,
        pad=tokenizer.pad_token_id,
        context=settings.sequence_length,
    )
    mix = open_or_build(context, inputs, arm)
    tokens_per_step = settings.batch_size * settings.sequence_length

    def windows(found: Pool | None) -> Any:
        if found is None:
            return None
        return found.windows(settings.sequence_length, config.evaluation.heldout_tokens)

    def progress(step: int, steps: int) -> None:
        reporter.report(step * tokens_per_step, steps * tokens_per_step, "tokens")

    def on_point(point: Point) -> None:
        if arm_row is not None:
            _write_point(context, arm_row, point)

    return train(
        context.folder("checkpoints", inputs.train(arm)),
        mix=mix,
        tokenizer=tokenizer,
        config=architecture,
        settings=settings,
        heldout_clean=windows(pool(context, inputs, "heldout_clean")),
        heldout_toxic=windows(pool(context, inputs, "heldout_toxic")),
        on_point=on_point,
        progress=progress,
    )


def _write_point(context: StudyContext, arm_row: int, point: Point) -> None:
    row = {
        "arm_id": arm_row,
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
    path: Path,
    *,
    arm_row: int | None,
    tokens_seen: int | None,
    weights_hash: str,
    details: dict[str, Any],
) -> int:
    """Write the row of a checkpoint that loads and steers; gives its id."""
    row = {
        "study_id": context.study_id,
        "arm_id": arm_row,
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
            "sites": [site.module for site in loaded.sites],
            "content": loaded.weights_hash(),
            "packages": packages(),
        },
    }
    with write_session(context.engine) as session:
        upsert(session, Checkpoint, [row], on=("study_id", "name"))
        return int(session.query(Checkpoint.id).filter_by(study_id=context.study_id, name=name).scalar())
