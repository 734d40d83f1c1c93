"""Arms of a study: its training mixes, planned from the configuration."""

from __future__ import annotations

from dataclasses import dataclass

from hormesis.db.contract.methods import VARIANTS
from hormesis.pipeline.study.config import StudyConfig
from hormesis.pipeline.study.source_config import Role


@dataclass(frozen=True)
class ArmPlan:
    """One training mix to be made: its natural key, kind, added share and seed."""

    name: str
    kind: str
    share: float
    seed: int

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
    """All arms, each with its share of added text; first seed first, so that a first curve appears early."""
    arms = []
    for seed in config.seeds:
        for share in config.shares:
            arms.append(ArmPlan(f"toxic-{share * 100:g}-s{seed}", "toxic", share, seed))
        for control in config.controls:
            share = config.control_share or max(config.shares)
            arms.append(ArmPlan(f"{control}-{share * 100:g}-s{seed}", control, share, seed))
        for variant in config.variants:
            for share in config.shares_of_variants:
                arms.append(ArmPlan(f"{variant}-{share * 100:g}-s{seed}", variant, share, seed))
    return arms
