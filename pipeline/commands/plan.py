"""What a study would do: stages to run, tokens, time and disk. Reads rows and sources, runs nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from hormesis.db.engine import DatabaseProblem, open_reader, reading, unopened_engine
from hormesis.db.location import home
from hormesis.db.manifest import is_there, stored_units
from hormesis.db.schema import Arm, StageRun, Study, TrainPoint
from hormesis.pipeline.checks.beginning import check_study
from hormesis.pipeline.execution.arms import added_tokens
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.executors.workers import cores
from hormesis.pipeline.execution.graph import arm_subjects
from hormesis.pipeline.execution.stage import STUDY, arm_of
from hormesis.pipeline.methods.objectives import OBJECTIVES
from hormesis.pipeline.stages import GRAPH, TOY
from hormesis.pipeline.stages.toy import models as toy_models
from hormesis.pipeline.study.config import StudyConfig
from hormesis.pipeline.study.config_sections import TuningConfig
from hormesis.pipeline.study.scales import architecture, estimate, train_settings

FORUM_VOCABULARY = 400
"""About as many ids as the forum language needs; the exact number hardly moves an estimate."""


@dataclass(frozen=True)
class ArmEstimate:
    """One arm: what it would train on and what is left of it."""

    name: str
    kind: str
    share: float
    seed: int
    tokens: int
    """0 where the checkpoint was trained elsewhere."""
    stages_left: tuple[str, ...]


@dataclass(frozen=True)
class StudyEstimate:
    """A whole study. `seconds` is None where no training rate was ever measured on this database."""

    name: str
    hash: str
    scale: str
    parameters: int
    arms: tuple[ArmEstimate, ...]
    tokens_to_train: int
    tokens_to_tune: int
    """Tokens of fine-tuning steps (`sft`, `dpo`), as many as the steps read at most."""
    disk_bytes: int
    memory_bytes: int
    seconds: float | None
    rate: float | None
    other_seconds: float | None
    """Seconds of all stages but training, by the mean of each measured on this database; None where one
    was not.
    """
    sources: dict[str, str]
    unreached: tuple[str, ...]
    """What could not be seen from here, and is checked when the study is run."""
    toy_models: int
    """Models of the toy experiment that are left to train, about a fifth of a second of one core each."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def plan_study(config: StudyConfig, database_url: str) -> StudyEstimate:
    """Estimate a study. Reads the database where there is one; makes and changes none.

    `rate` is tokens per second; `tokens` are left to train on, `tuning` to fine-tune on. Asks no
    network, and raises what `run` would, so that a plan that prints can be run, but for what it lists as
    not reached; and DatabaseProblem for a database that cannot be read.
    """
    checked = check_study(config, database_url, ask=False)
    revisions = checked.revisions
    # Keys of arms and checkpoints digest no rows, so an engine that is never connected will do.
    context = StudyContext(config, 0, Path(), unopened_engine(), revisions)
    measured = _measured(config, database_url)
    rate = measured.rate
    vocabulary_size = FORUM_VOCABULARY if config.tokenizer.kind == "word" else config.tokenizer.vocabulary
    sizes = architecture(config.scale, vocabulary_size)
    settings = train_settings(config.scale, config.training, seed=0)
    arms, tokens = [], 0
    for subject in arm_subjects(context):
        arm = arm_of(subject)
        size = 0 if subject.model else config.clean_tokens + added_tokens(config.clean_tokens, arm.share)
        left = tuple(
            stage.name
            for stage in GRAPH.of_subject(config, subject)
            if measured.done.get((stage.name, arm.name)) != stage.key(context, subject)
        )
        tokens += size if "train" in left else 0
        arms.append(ArmEstimate(arm.name, arm.kind, arm.share, seed=arm.seed, tokens=size, stages_left=left))
    model = estimate(sizes, settings, max((arm.tokens for arm in arms), default=0))
    token_bytes = 2 if vocabulary_size < 65_536 else 4
    side_by_side = min(cores(), max(1, len(arms)))
    tuning = tuning_tokens(config) * sum("methods" in arm.stages_left for arm in arms)
    left_to_do = [stage for arm in arms for stage in arm.stages_left if stage not in ("mix", "train")]
    other = _other_seconds(left_to_do, measured, tuning)
    mix_bytes = sum(arm.tokens for arm in arms) * token_bytes
    n_trained = sum(arm.tokens > 0 for arm in arms)
    return StudyEstimate(
        name=config.name,
        hash=config.hash,
        scale=config.scale,
        parameters=model.parameters,
        arms=tuple(arms),
        tokens_to_train=tokens,
        tokens_to_tune=tuning,
        disk_bytes=mix_bytes + n_trained * (1 + len(config.methods.tuned)) * model.checkpoint_bytes,
        memory_bytes=model.memory_bytes * side_by_side,
        seconds=tokens / (rate * side_by_side) if rate else None,
        rate=rate,
        other_seconds=None if other is None else other / side_by_side,
        sources=revisions,
        unreached=checked.unreached,
        toy_models=_toy_models(context, measured),
    )


def _toy_models(context: StudyContext, measured: _Measured) -> int:
    is_left = measured.done.get((TOY.name, STUDY.name)) != TOY.key(context, STUDY)
    return toy_models(context.config) if TOY.when(context.config, STUDY) and is_left else 0


PAIR_TOKENS = 64
"""Tokens of one side of a pair with its prompt, at most about; longer contexts do not make pairs longer."""


def tuning_tokens(config: StudyConfig) -> int:
    """Tokens that fine-tuning one checkpoint reads forward and backward: the sides of a pair that a method
    reads, and a reference pass over all pairs, which counts a third.
    """
    methods, total = config.methods, 0
    for name in methods.tuned:
        settings: TuningConfig = getattr(methods, name)
        objective = OBJECTIVES[name]
        sides = len(objective.sides)
        total += settings.steps * settings.batch_size * PAIR_TOKENS * sides
        total += sides * methods.pairs * PAIR_TOKENS // 3 if objective.has_reference else 0
    return total


@dataclass(frozen=True)
class _Measured:
    """What a database tells: finished stages whose files are there, the mean training rate and mean seconds
    of stages at this scale.
    """

    done: dict[tuple[str, str], str]
    rate: float | None
    seconds: dict[str, float]


def _other_seconds(stages: list[str], measured: _Measured, tuning: int) -> float | None:
    """Seconds of these stages (names, one per arm that needs it) one after another; fine-tuning never
    measured is taken from the training rate, for `tuning` tokens.
    """
    seconds = dict(measured.seconds)
    if "methods" in stages and "methods" not in seconds and measured.rate:
        seconds["methods"] = tuning / measured.rate / stages.count("methods")
    if any(stage not in seconds for stage in stages):
        return None
    return sum(seconds[stage] for stage in stages)


def _measured(config: StudyConfig, database_url: str) -> _Measured:
    """Finished stages of this study, and mean tokens per second and stage seconds at this scale."""
    done_query = (
        select(StageRun.stage, StageRun.subject, StageRun.input_hash, StageRun.files)
        .join(Study, StageRun.study_id == Study.id)
        .where(Study.hash == config.hash, StageRun.status == "done")
    )
    rate_query = (
        select(func.avg(TrainPoint.tokens_per_second))
        .join(Arm, TrainPoint.arm_id == Arm.id)
        .join(Study, Arm.study_id == Study.id)
        .where(Study.scale == config.scale)
    )

    seconds_query = (
        select(StageRun.stage, func.avg(StageRun.seconds))
        .join(Study, StageRun.study_id == Study.id)
        .where(Study.scale == config.scale, StageRun.status == "done")
        .group_by(StageRun.stage)
    )

    def look(connection: Connection) -> _Measured:
        done = {
            (stage, subject): key
            for stage, subject, key, files in connection.execute(done_query)
            if all(unit.is_left_out or is_there(home(), unit) for unit in stored_units(files))
        }
        rate = connection.scalar(rate_query)
        seconds = {stage: float(mean) for stage, mean in connection.execute(seconds_query)}
        return _Measured(done, float(rate) if rate else None, seconds)

    try:
        return reading(open_reader(database_url), look)
    except DatabaseProblem as problem:
        if problem.kind in ("missing", "empty"):
            return _Measured({}, None, {})
        raise


def readable_bytes(count: float) -> str:
    """E.g. 1.2 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
