"""What a study would do: stages to run, tokens, time and disk. Reads rows and sources, runs nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from db.address import sqlite_path
from db.engine import DatabaseProblem, open_reader, reading
from db.problems import parse_url
from db.schema import Arm, StageRun, Study, TrainPoint
from pipeline.config import StudyConfig
from pipeline.context import plan_arms
from pipeline.mixes import added_tokens
from pipeline.registry import Inputs, arm_stages
from pipeline.scales import check_heads, estimate, model_config, train_settings
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
    disk_bytes: int
    memory_bytes: int
    seconds: float | None
    rate: float | None
    sources: dict[str, str]

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
    done, rate = _known(config, database_url)
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
    pools = sum(arm.tokens for arm in arms) * width
    return StudyEstimate(
        name=config.name,
        hash=config.hash,
        scale=config.scale,
        parameters=one.parameters,
        arms=tuple(arms),
        tokens_to_train=tokens,
        disk_bytes=pools + len(arms) * one.checkpoint_bytes,
        memory_bytes=one.memory_bytes * min(cores(), max(1, len(arms))),
        seconds=tokens / (rate * min(cores(), max(1, len(arms)))) if rate else None,
        rate=rate,
        sources=revisions,
    )


def _known(config: StudyConfig, database_url: str) -> tuple[dict[tuple[str, str], str], float | None]:
    """Finished stages of this study, and the mean training rate seen at this scale."""
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

    def look(connection: Connection) -> tuple[dict[tuple[str, str], str], float | None]:
        done = {(stage, subject): key for stage, subject, key in connection.execute(stages)}
        rate = connection.scalar(speed)
        return done, float(rate) if rate else None

    try:
        return reading(open_reader(database_url), look)
    except DatabaseProblem as problem:
        if problem.kind in ("missing", "empty"):
            return {}, None
        raise


def readable_bytes(count: float) -> str:
    """E.g. 1.2 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def database_file(url: str) -> Path | None:
    """The SQLite file of a URL, or None for other databases. Raises DatabaseProblem for what is no URL."""
    return sqlite_path(parse_url(url))
