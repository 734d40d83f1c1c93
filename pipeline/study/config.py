"""The study's typed configuration: what a TOML file may say, its defaults and its hash.

Knows nothing of how a stage works. Unknown keys are refused, so a misspelt option cannot pass silently.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from hormesis.db.contract.methods import DirectionKind, Scope, Variant
from hormesis.db.origin import Origin
from hormesis.pipeline.study.config_base import Fraction, Strict
from hormesis.pipeline.study.config_hardness import CapabilityConfig, HardnessConfig
from hormesis.pipeline.study.config_methods import AnnotationConfig, MethodsConfig, RandomAt
from hormesis.pipeline.study.config_toy import ToySection

Role = Literal[
    "clean", "toxic", "informal", "heldout_clean", "heldout_toxic", "probe", "prompts", "scorer", "pairs",
    "directions",
]  # fmt: skip
Scale = Literal["nano", "mini", "small", "medium", "paper"]
PRESETS = Path(__file__).parent / "presets"
WITH_FILES = ("hardness", "capability")
"""Sections that name files of their own."""


class ConfigError(ValueError):
    """The study file says something that cannot be run; the message is one line for the person."""


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


class ForumConfig(Strict):
    """Knobs of the built-in forum language."""

    leak: Fraction = 0.03
    """Probability that a post of the clean corpus is toxic."""
    seed: int = 0
    prompts: int = Field(default=256, gt=0)
    probe_posts: int = Field(default=3000, ge=30)


class TokenizerConfig(Strict):
    """`word` (forum language), `bpe` (byte level, trained on the study's own text) or `existing`."""

    kind: Literal["word", "bpe", "existing"] = "word"
    vocabulary: int = Field(default=8192, ge=260)
    path: str | None = None
    """Folder or hub name of an existing tokenizer."""


class TrainingConfig(Strict):
    """One pass over the mix. Empty values take the scale's own (see `pipeline.study.scales`)."""

    batch_size: int | None = Field(default=None, gt=0)
    sequence_length: int | None = Field(default=None, ge=8)
    learning_rate: float | None = Field(default=None, gt=0)
    weight_decay: float = Field(default=0.1, ge=0)
    warmup_fraction: Fraction = 0.05
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    evaluations: int = Field(default=20, ge=1)
    """Times per run that held-out losses are taken."""
    checkpoints: int = Field(default=10, ge=1)
    """Times per run that the state is saved, so a cut run resumes."""


class ProbeConfig(Strict):
    """Probing every head and choosing those that are steered."""

    position: Literal["last", "mean"] = "last"
    limit: int | None = Field(default=None, gt=0)
    """At most this many examples, drawn evenly by label."""
    l2: float = Field(default=1.0, gt=0)
    """Inverse of sklearn's C."""
    heads: int | Literal["auto"] = "auto"
    """Heads to steer; `auto` is 8 % of all (30 of 384 in the paper), at least 4."""
    select_fraction: Fraction = 0.2
    test_fraction: Fraction = 0.2
    keep_activations: Literal["selected", "all", "none"] = "selected"
    keep_random: int = Field(default=4, ge=0)
    """Random heads kept beside the selected ones."""
    bootstrap: int = Field(default=500, ge=50)


class SteeringConfig(Strict):
    """Which interventions each checkpoint is put under."""

    direction: DirectionKind = "mass_mean"
    strengths: tuple[Annotated[float, Field(gt=0)], ...] = (1.0, 2.0, 3.0)
    costs: tuple[Annotated[float, Field(gt=0)], ...] = (0.02, 0.06, 0.15)
    """Matched costs, nats per token."""
    scope: Scope = "generated"
    random_directions: int = Field(default=5, ge=0)
    random_at: RandomAt = "cost"
    """Random controls at the matched cost `random_cost`, or at the fixed strengths of ITI."""
    random_cost: float = Field(default=0.06, gt=0)
    max_strength: float = Field(default=64.0, gt=0)
    """No matched cost is looked for above this strength."""
    random_max_strength: float = Field(default=512.0, gt=0)
    """The same for random directions: activations spread less along them and they matter less, so that the
    same cost takes many more of their sigmas.
    """


def _declared_scorer(name: str) -> str:
    from hormesis.backend.scorers import scorer_entry  # late: imports numpy, which other sections do not need

    scorer_entry(name)
    return name


class EvaluationConfig(Strict):
    """Generations and scores."""

    samples: int = Field(default=1, ge=1)
    new_tokens: int = Field(default=24, ge=1)
    prompt_limit: int | None = Field(default=None, gt=0)
    """At most this many prompts of each set (a fixed random choice)."""
    temperature: float = Field(default=1.0, ge=0)
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.9
    batch_size: int = Field(default=256, ge=1)
    scorers: tuple[Annotated[str, AfterValidator(_declared_scorer)], ...] = ("forum",)
    """Names of `backend.scorers.registry`, or `classifier:FOLDER_OR_NAME`; the first judges attacks."""
    heldout_tokens: int = Field(default=12_000, ge=100)
    bootstrap: int = Field(default=1000, ge=50)


class ProjectionConfig(Strict):
    """UMAP and PCA of directions and activations."""

    neighbours: int = Field(default=15, ge=2)
    min_dist: Fraction = 0.1
    max_points: int = Field(default=2000, ge=50)
    activation_heads: int = Field(default=1, ge=0)
    """Heads per checkpoint whose activations are projected (best by the select split)."""
    seed: int = 0


class StudyConfig(Strict):
    """One reproducible experiment."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,60}$")]
    scale: Scale = "nano"
    shares: tuple[Annotated[float, Field(ge=0.0, lt=1.0)], ...] = (0.0, 0.05, 0.10, 0.25)
    """Empty (with no controls): a study of imported checkpoints only."""
    controls: tuple[Literal["clean-forum"], ...] = ("clean-forum",)
    control_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Added share of the control arm; default is the largest share of the study."""
    variants: tuple[Variant, ...] = ()
    """Arms that train on a toxic arm's text in another way: `meda` and `inst` (each document says how
    toxic it is), `slung` (toxic documents stay in context, their loss is masked).
    """
    variant_shares: tuple[Annotated[float, Field(gt=0.0, lt=1.0)], ...] = ()
    """Shares at which the variants are trained; default: every share of the study above 0."""
    seeds: tuple[int, ...] = (0, 1)
    clean_tokens: int = Field(default=500_000, gt=0)
    allow_repetition: bool = False
    """Go through the added text more than once where it is too short; recorded per arm."""
    holdout_documents: int = Field(default=300, gt=0)
    """Documents set aside from a training source that has no held-out source of its own."""
    sources: tuple[SourceConfig, ...] = ()
    """Empty: the forum language plays every role."""
    forum: ForumConfig = ForumConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    training: TrainingConfig = TrainingConfig()
    probe: ProbeConfig = ProbeConfig()
    steering: SteeringConfig = SteeringConfig()
    methods: MethodsConfig = MethodsConfig()
    annotation: AnnotationConfig = AnnotationConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    hardness: HardnessConfig = HardnessConfig()
    capability: CapabilityConfig = CapabilityConfig()
    projection: ProjectionConfig = ProjectionConfig()
    toy: ToySection = ToySection()
    """The toy experiment, run beside the arms; none by default."""

    @model_validator(mode="after")
    def _consistent(self) -> StudyConfig:
        if self.shares and not self.seeds:
            raise ValueError("a study that trains arms needs at least one seed")
        if len(set(self.shares)) < len(self.shares) or len(set(self.seeds)) < len(self.seeds):
            raise ValueError("shares and seeds must not repeat")
        if self.controls and self.control_share is None and max(self.shares, default=0) == 0:
            raise ValueError("a control arm needs control_share, or a share above 0 to be equal to")
        if self.variants and not self.shares_of_variants:
            raise ValueError("variants need variant_shares, or a share of the study above 0")
        if any(len(set(found)) < len(found) for found in (self.variants, self.variant_shares)):
            raise ValueError("variants and variant_shares must not repeat")
        given = {source.role for source in self.sources}
        needed = {"probe", "prompts"} | ({"clean"} if self.shares else {"heldout_clean"})
        needed |= {"toxic"} if max(self.shares, default=0) > 0 or self.variants else set()
        needed |= {"pairs"} if self.methods.tuned else set()
        needed |= {"directions"} if self.methods.second_directions else set()
        needed |= {"informal"} if self.controls else set()
        if self.sources and needed - given:
            raise ValueError(f"no source plays the role {', '.join(sorted(needed - given))}")
        if self.tokenizer.kind == "existing" and not self.tokenizer.path:
            raise ValueError("tokenizer.kind = 'existing' needs tokenizer.path")
        if "tfidf" in self.evaluation.scorers and not self._plays("scorer"):
            raise ValueError("the tfidf scorer needs a source with role 'scorer'")
        return self

    @property
    def shares_of_variants(self) -> tuple[float, ...]:
        """Shares at which `meda`, `inst` and `slung` arms are trained; none where the study has no such
        arms.
        """
        return (self.variant_shares or tuple(one for one in self.shares if one > 0)) if self.variants else ()

    @property
    def largest_share(self) -> float:
        """The largest toxic share of any arm."""
        return max((*self.shares, *self.shares_of_variants), default=0.0)

    @property
    def speaks_forum(self) -> bool:
        """Whether the forum language plays every role."""
        return not self.sources or all(source.kind == "forum" for source in self.sources)

    def _plays(self, role: Role) -> bool:
        return not self.sources or any(source.role == role for source in self.sources)

    @property
    def hash(self) -> str:
        """Sixteen hex digits over all but the toy section, whose runs have hashes of their own; two studies
        with one hash are one study.
        """
        text = json.dumps(self.model_dump(mode="json", exclude={"toy"}), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def with_role(self, role: Role) -> tuple[SourceConfig, ...]:
        """The sources that play a role; the forum language where the study names no source at all."""
        if not self.sources:
            return (SourceConfig(role=role, kind="forum"),)
        return tuple(source for source in self.sources if source.role == role)


def _explain(error: ValidationError, where: str) -> ConfigError:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"]) or "study"
    if first["type"] == "extra_forbidden":
        text = f"{where}: unknown key '{place}'"
    else:
        text = f"{where}: {place}: {first['msg'].removeprefix('Value error, ')}"
        if not isinstance(first.get("input"), dict):
            text += f" (got {first.get('input')!r})"
    more = len(error.errors()) - 1
    return ConfigError(text + (f" (and {more} more)" if more else ""))


def parse_study(data: dict[str, Any], where: str = "study", folder: Path | None = None) -> StudyConfig:
    """Make a study from parsed TOML. Relative source paths are taken from `folder`.

    Raises ConfigError, one line, for unknown keys, wrong types and values out of range.
    """
    try:
        study = StudyConfig.model_validate(data)
    except ValidationError as error:
        raise _explain(error, where) from None
    if folder is None:
        return study
    placed = tuple(source.model_copy(update={"folder": folder}) for source in study.sources)
    apart = {name: getattr(study, name).model_copy(update={"folder": folder}) for name in WITH_FILES}
    return study.model_copy(update={"sources": placed, **apart})


def origin(name: str, data: Path | None = None) -> Origin:
    """How `load_study` was asked, in a form that holds from any folder."""
    path = Path(name)
    preset = not path.suffix and (PRESETS / f"{name}.toml").is_file()
    named = data or os.environ.get("HORMESIS_DATA")
    return Origin(name if preset else str(path.absolute()), str(Path(named).absolute()) if named else None)


def load_study(name: str) -> StudyConfig:
    """Read a TOML file, or a preset by name. Raises ConfigError for what cannot be read or run.

    Relative paths inside are taken from the study file's folder; those of a preset from `HORMESIS_DATA`
    (default `./data`).
    """
    path, folder = Path(name), Path(name).resolve().parent
    if not path.suffix and (PRESETS / f"{name}.toml").is_file():
        path = PRESETS / f"{name}.toml"
        folder = Path(os.environ.get("HORMESIS_DATA", "data")).resolve()
    if not path.is_file():
        known = ", ".join(sorted(preset.stem for preset in PRESETS.glob("*.toml")))
        raise ConfigError(f"no study file '{name}' (presets: {known})")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name} is not valid TOML: {error}") from None
    return parse_study(data, path.name, folder)
