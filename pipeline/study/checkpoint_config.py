"""A checkpoint of a study file: a model that somebody else trained on a mix whose share is known."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from hormesis.pipeline.study.config_base import Seed, Share, Strict, key_part

CheckpointKind = Literal["toxic", "clean-forum"]


class CheckpointConfig(Strict):
    """One checkpoint of a series, which is an arm like those that a study trains itself."""

    model: str
    """Folder or GGUF file (relative to the study file), or name on the hub."""
    revision: str | None = None
    """Branch, tag or commit on the hub; default: `main`, resolved to its commit when the study first runs."""
    share: Share
    """Added tokens / all tokens, as whoever trained it states them."""
    seed: Seed = 0
    """Tells checkpoints of one share apart; arms of one seed are compared with each other."""
    kind: CheckpointKind = "toxic"
    """What was added: toxic text, or as much that is informal and not toxic."""
    folder: Path | None = Field(default=None, exclude=True)
    """Where the study file lies; not part of the study's identity."""

    @property
    def name(self) -> str:
        """Name of its arm, e.g. `toxic-10-s0`."""
        return arm_name(self.kind, self.share, self.seed)

    @property
    def location(self) -> str:
        """The folder or file as it is to be opened, or the name on the hub."""
        path = Path(self.model) if self.folder is None else (self.folder / self.model).resolve()
        return str(path) if path.exists() else self.model


def arm_name(kind: str, share: float, seed: int) -> str:
    """Natural key of an arm inside its study."""
    return f"{kind}-{key_part(share * 100)}-s{seed}"
