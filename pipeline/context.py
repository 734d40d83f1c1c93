"""What every stage is given: the study, where its rows and files go, and how to hear a request to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine

from db.contract.methods import VARIANTS
from pipeline.config import Role, StudyConfig


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
    """All arms of a study, first seed first, so that a first dose-response curve appears early."""
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


def _never() -> bool:
    return False


@dataclass(frozen=True)
class StudyContext:
    """A study under way. One per process: the engine holds connections that must not cross a fork."""

    config: StudyConfig
    study_id: int
    home: Path
    """State of all studies; files lie under `files/<kind>/<hash of inputs>`."""
    engine: Engine
    should_stop: Callable[[], bool] = field(default=_never)

    def folder(self, kind: str, key: str) -> Path:
        """Where files of one kind made from one set of inputs lie. Not created."""
        return self.home / "files" / kind / key

    def relative(self, path: Path) -> str:
        """A path as rows keep it: relative to the home, so that a moved home still works."""
        resolved, home = path.resolve(), self.home.resolve()
        return str(resolved.relative_to(home)) if resolved.is_relative_to(home) else str(resolved)
