"""Stages of a study: names as stored, titles for people, order, and what each is done for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Level(StrEnum):
    """What a stage is done for: once for the study, for every arm, or for every checkpoint."""

    STUDY = "study"
    ARM = "arm"
    CHECKPOINT = "checkpoint"


@dataclass(frozen=True)
class StageTitle:
    """A stage as the database names it and as people read it."""

    name: str
    title: str
    level: Level


STAGES: Final = (
    StageTitle("text", "Text", Level.STUDY),
    StageTitle("mix", "Mix", Level.ARM),
    StageTitle("train", "Training", Level.ARM),
    StageTitle("load", "Loading", Level.CHECKPOINT),
    StageTitle("probe", "Probes", Level.CHECKPOINT),
    StageTitle("geometry", "Geometry", Level.CHECKPOINT),
    StageTitle("methods", "Methods", Level.CHECKPOINT),
    StageTitle("condition", "Conditions", Level.CHECKPOINT),
    StageTitle("generate", "Generation", Level.CHECKPOINT),
    StageTitle("score", "Scores", Level.CHECKPOINT),
    StageTitle("capability", "Capability", Level.CHECKPOINT),
    StageTitle("attack", "Attacks", Level.CHECKPOINT),
    StageTitle("relearn", "Relearning", Level.CHECKPOINT),
    StageTitle("project", "Projections", Level.STUDY),
    StageTitle("toy", "Toy experiment", Level.STUDY),
    StageTitle("verdicts", "Verdicts", Level.STUDY),
)
"""In the order in which they run."""
_TITLES: Final = {stage.name: stage.title for stage in STAGES}
_LEVELS: Final = {stage.name: stage.level for stage in STAGES}
_NAMES: Final = tuple(_TITLES)


def stage_order(name: str) -> tuple[int, str]:
    """Sort key: the order in which stages follow one another, unknown ones last by name."""
    return (_NAMES.index(name) if name in _TITLES else len(_NAMES), name)


def stage_title(name: str) -> str:
    """A stage's title; an unknown one keeps its name."""
    return _TITLES.get(name, name)


def stage_level(name: str) -> Level:
    """What a stage is done for. Raises KeyError for an unknown one."""
    return _LEVELS[name]


def stages_after_arms() -> tuple[str, ...]:
    """Names of the study's stages that begin when every arm is done."""
    last = max(place for place, stage in enumerate(STAGES) if stage.level is not Level.STUDY)
    return _NAMES[last + 1 :]
