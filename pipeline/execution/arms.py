"""Arms of a study: its training mixes, planned from the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from hormesis.db.contract.methods import VARIANTS
from hormesis.pipeline.study.checkpoint_config import CheckpointConfig, arm_name
from hormesis.pipeline.study.config import StudyConfig
from hormesis.pipeline.study.config_sections import Selection
from hormesis.pipeline.study.source_config import Role


@dataclass(frozen=True)
class ArmPlan:
    """One training mix to be made: its natural key, kind, added share and seed."""

    name: str
    kind: str
    share: float
    seed: int
    checkpoint: CheckpointConfig | None = None
    """Trained elsewhere on a known mix; None for an arm that the study trains."""

    @property
    def added_role(self) -> Role:
        """The role of the text that is added to the clean corpus."""
        return "informal" if self.kind == "clean-forum" else "toxic"

    @property
    def marked(self) -> bool:
        """Whether its documents are annotated (`meda`, `inst`, `slung`), so that its mix is one of its
        own.
        """
        return self.kind in VARIANTS


def plan_arms(config: StudyConfig) -> list[ArmPlan]:
    """All arms, each with its share of added text; first seed first, so that a first curve appears early.

    Checkpoints that were trained elsewhere come last, in the order of the study file.
    """
    trained = [
        ArmPlan(arm_name(kind, share, seed), kind, share, seed)
        for seed in config.seeds
        for kind, share in config.mixes
    ]
    return [*trained, *map(checkpoint_arm, config.checkpoints)]


def added_tokens(clean_tokens: int, share: float) -> int:
    """Tokens to add to `clean_tokens` so that they make up `share`, below 1, of all: c * s / (1 - s)."""
    return round(clean_tokens * share / (1 - share))


class Portion(NamedTuple):
    """The part of the training documents that is one seed's: its place among `of` seeds."""

    place: int
    of: int


def portion_of(config: StudyConfig, arm: ArmPlan) -> Portion | None:
    """The documents that an arm's seed may read; None where all seeds read the same."""
    return Portion(config.seeds.index(arm.seed), len(config.seeds)) if config.sample_text else None


def checkpoint_arm(checkpoint: CheckpointConfig) -> ArmPlan:
    """The arm that a checkpoint of known mix is."""
    return ArmPlan(
        checkpoint.name, checkpoint.kind, checkpoint.share, seed=checkpoint.seed, checkpoint=checkpoint
    )


def is_chosen(section: Selection, arm: ArmPlan | None) -> bool:
    """Whether a section of the study file is about this arm; it is about every imported checkpoint (None)."""
    return arm is None or section.wants_arm(arm.kind, arm.share, arm.seed)
