"""What a study would do: stages to run, tokens, time and disk. Reads rows and sources, runs nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from db.engine import DatabaseProblem, open_reader, reading
from db.schema import Arm, StageRun, Study, TrainPoint
from pipeline.config import StudyConfig
from pipeline.config_methods import PreferenceConfig, TuningConfig
from pipeline.context import plan_arms
from pipeline.mixes import added_tokens
from pipeline.registry import Inputs, arm_stages
from pipeline.scales import check_heads, estimate, model_config, train_settings
from pipeline.toy.stage import models, toy_stage
from pipeline.workers import cores

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
    toy_models: int
    """Models of the toy experiment that are left to train, about a fifth of a second of one core each."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def plan_study(config: StudyConfig, database_url: str) -> StudyEstimate:
    """Estimate a study. Reads the database where there is one; makes and changes none.

    Raises SourceError where a source is missing, so that a plan that prints can be run, and DatabaseProblem
    for a database that cannot be read.
    """
    from pipeline.stages.text import source_revisions

    check_heads(config)
    revisions = source_revisions(config)
    inputs = Inputs(config, revisions)
    known = _known(config, database_url)
    done, rate = known.done, known.rate
    words = FORUM_VOCABULARY if config.tokenizer.kind == "word" else config.tokenizer.vocabulary
    architecture = model_config(config.scale, words, eos=0)
    settings = train_settings(config.scale, config.training, seed=0)
    arms, tokens = [], 0
    for arm in plan_arms(config):
        size = config.clean_tokens + added_tokens(config.clean_tokens, arm.share)
        left = tuple(
            stage.name
            for stage in arm_stages(inputs, arm)
            if done.get((stage.name, arm.name)) != stage.input_hash
        )
        tokens += size if "train" in left else 0
        arms.append(ArmEstimate(arm.name, arm.kind, arm.share, arm.seed, size, left))
    one = estimate(architecture, settings, max((arm.tokens for arm in arms), default=0))
    width = 2 if words < 65_536 else 4
    side_by_side = min(cores(), max(1, len(arms)))
    tuning = tuning_tokens(config) * sum("methods" in arm.stages_left for arm in arms)
    left_to_do = [stage for arm in arms for stage in arm.stages_left if stage not in ("mix", "train")]
    other = _other_seconds(left_to_do, known, tuning)
    pools = sum(arm.tokens for arm in arms) * width
    return StudyEstimate(
        name=config.name,
        hash=config.hash,
        scale=config.scale,
        parameters=one.parameters,
        arms=tuple(arms),
        tokens_to_train=tokens,
        tokens_to_tune=tuning,
        disk_bytes=pools + len(arms) * (1 + len(config.methods.tuned)) * one.checkpoint_bytes,
        memory_bytes=one.memory_bytes * side_by_side,
        seconds=tokens / (rate * side_by_side) if rate else None,
        rate=rate,
        other_seconds=None if other is None else other / side_by_side,
        sources=revisions,
        toy_models=_toy_models(config, done),
    )


def _toy_models(config: StudyConfig, done: dict[tuple[str, str], str]) -> int:
    stage = toy_stage(config)
    return models(config) if stage and done.get((stage.name, stage.subject)) != stage.input_hash else 0


PAIR_TOKENS = 64
"""Tokens of one side of a pair with its prompt, at most about; longer contexts do not make pairs longer."""


def tuning_tokens(config: StudyConfig) -> int:
    """Tokens that fine-tuning one checkpoint reads forward and backward: both sides of a pair for `dpo`,
    whose reference pass over all pairs counts a third.
    """
    methods, total = config.methods, 0
    for name in methods.tuned:
        settings: TuningConfig = getattr(methods, name)
        is_preference = isinstance(settings, PreferenceConfig)
        total += settings.steps * settings.batch_size * PAIR_TOKENS * (2 if is_preference else 1)
        total += 2 * methods.pairs * PAIR_TOKENS // 3 if is_preference else 0
    return total


@dataclass(frozen=True)
class _Known:
    """What a database tells: finished stages, the mean training rate and mean seconds of stages at this
    scale.
    """

    done: dict[tuple[str, str], str]
    rate: float | None
    seconds: dict[str, float]


def _other_seconds(stages: list[str], known: _Known, tuning: int) -> float | None:
    """Seconds of these stages one after another; fine-tuning never measured is taken from the training
    rate.
    """
    seconds = dict(known.seconds)
    if "methods" in stages and "methods" not in seconds and known.rate:
        seconds["methods"] = tuning / known.rate / stages.count("methods")
    if any(stage not in seconds for stage in stages):
        return None
    return sum(seconds[stage] for stage in stages)


def _known(config: StudyConfig, database_url: str) -> _Known:
    """Finished stages of this study, and what was measured at this scale."""
    stages = (
        select(StageRun.stage, StageRun.subject, StageRun.input_hash)
        .join(Study, StageRun.study_id == Study.id)
        .where(Study.hash == config.hash, StageRun.status == "done")
    )
    speed = (
        select(func.avg(TrainPoint.tokens_per_second))
        .join(Arm, TrainPoint.arm_id == Arm.id)
        .join(Study, Arm.study_id == Study.id)
        .where(Study.scale == config.scale)
    )

    times = (
        select(StageRun.stage, func.avg(StageRun.seconds))
        .join(Study, StageRun.study_id == Study.id)
        .where(Study.scale == config.scale, StageRun.status == "done")
        .group_by(StageRun.stage)
    )

    def look(connection: Connection) -> _Known:
        done = {(stage, subject): key for stage, subject, key in connection.execute(stages)}
        rate = connection.scalar(speed)
        seconds = {stage: float(mean) for stage, mean in connection.execute(times)}
        return _Known(done, float(rate) if rate else None, seconds)

    try:
        return reading(open_reader(database_url), look)
    except DatabaseProblem as problem:
        if problem.kind in ("missing", "empty"):
            return _Known({}, None, {})
        raise


def readable_bytes(count: float) -> str:
    """E.g. 1.2 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
