"""What every stage is given: the study, where its rows and files go, and how to hear a request to stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from sqlalchemy import Engine

from hormesis.pipeline.execution.inputs import Inputs
from hormesis.pipeline.study.config import StudyConfig


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
    revisions: Mapping[str, str] = field(default_factory=dict)
    """Revisions by `role/number/title`, `scoring/NAME` and `section/...`, of `pipeline.text.reading`."""
    should_stop: Callable[[], bool] = field(default=_never)

    @cached_property
    def inputs(self) -> Inputs:
        """The hash chain of this study."""
        return Inputs(self.config, self.revisions)

    def folder(self, file_kind: str, input_hash: str) -> Path:
        """Where files of one kind made from one set of inputs lie. Not created."""
        return self.home / "files" / file_kind / input_hash

    def relative(self, path: Path) -> str:
        """A path as rows keep it: relative to the home, so that a moved home still works."""
        resolved, home = path.resolve(), self.home.resolve()
        return str(resolved.relative_to(home)) if resolved.is_relative_to(home) else str(resolved)
