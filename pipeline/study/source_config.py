"""A source of a study file: one stream of records, what is read from it and the role it plays."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from hormesis.pipeline.study.config_base import Strict

Role = Literal[
    "clean", "toxic", "informal", "heldout_clean", "heldout_toxic", "probe", "prompts", "scorer", "pairs",
    "directions",
]  # fmt: skip


class SourceConfig(Strict):
    """One stream of records and the role it plays."""

    role: Role
    kind: Literal["forum", "file", "hub"] = "forum"
    name: str = ""
    """Shown in compositions; probe and prompt sets are known by it. Default: the name of the data."""
    path: str | None = None
    """File, or glob, for `file` (relative to the study file); data set name for `hub`."""
    config: str | None = None
    """Configuration of a hub data set, e.g. `en` for C4."""
    split: str = "train"
    revision: str | None = None
    text: str = "text"
    label: str | None = None
    group: str | None = None
    source: str | None = None
    score: str | None = None
    kind_column: str | None = None
    """Column that sorts prompts into kinds."""
    prompt: str = "prompt"
    """Role `pairs`: column of what comes before either side; may be empty."""
    chosen: str = "chosen"
    """Role `pairs`: column of the text to be preferred."""
    rejected: str = "rejected"
    """Role `pairs`: column of the toxic text."""
    label_threshold: float | None = None
    """Where the label column holds a score: toxic when at or above this."""
    where: dict[str, list[str | int | float | bool]] = Field(default_factory=dict)
    """Keep rows whose column (dotted where nested) holds one of these values."""
    where_not: dict[str, list[str | int | float | bool]] = Field(default_factory=dict)
    """Drop rows whose column holds one of these values."""
    at_least: dict[str, float] = Field(default_factory=dict)
    """Keep rows whose column holds a number no smaller than this; rows without the number are dropped."""
    below: dict[str, float] = Field(default_factory=dict)
    """Keep rows whose column holds a number smaller than this; rows without the number are dropped."""
    limit: int | None = Field(default=None, gt=0)
    """At most this many records, counted after all filters."""
    min_characters: int = Field(default=1, ge=0)
    """Shorter texts are left out (length without surrounding white space)."""
    max_characters: int | None = Field(default=None, gt=0)
    """Longer texts are left out, not cut."""
    folder: Path | None = Field(default=None, exclude=True)
    """Where the study file lies; not part of the study's identity, so a moved study stays the same study."""

    @model_validator(mode="after")
    def _has_path(self) -> SourceConfig:
        if self.kind != "forum" and not self.path:
            raise ValueError(f"a source of kind {self.kind} needs a path")
        return self

    @property
    def location(self) -> str:
        """The path as it is to be opened: absolute for local files, the name for hub data sets."""
        if self.path is None:
            return ""
        if self.kind != "file" or self.folder is None:
            return self.path
        return str((self.folder / self.path).resolve())

    @property
    def title(self) -> str:
        """Name for compositions and sets."""
        return self.name or (Path(self.path).name.split(".")[0] if self.path else f"forum-{self.role}")
