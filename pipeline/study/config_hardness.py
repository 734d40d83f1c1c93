"""The study file's sections on attacks and on capability: which, on what, and with how large a budget.

Both are off by default: an attack on every condition of every arm can cost more than the study itself.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from hormesis.db.contract.attacks import RELEARN, AttackKind
from hormesis.db.contract.methods import DPO, NONE, PROMPT, SFT
from hormesis.pipeline.study.config_base import Positive, Strict

Count = Annotated[int, Field(ge=1)]
TESTED = (NONE, PROMPT, "iti/*/cost-0.06", SFT, DPO, f"{DPO}+iti/*/cost-0.06")
"""Part of every study's hash: a new method is named in study files and not added here."""


class Chosen(Strict):
    """Which checkpoints and conditions a section is about."""

    conditions: tuple[str, ...] = TESTED
    """Keys of conditions, or patterns with `*`; those a checkpoint does not have are passed over. `none`, the
    unsteered checkpoint, is always among them: everything is compared with it."""
    shares: tuple[float, ...] | None = None
    """Only arms of these shares; default all."""
    kinds: tuple[str, ...] | None = None
    """Only arms of these kinds (`toxic`, `clean-forum`, ...); default all."""
    seeds: tuple[int, ...] | None = None
    """Only these training seeds; default all."""
    folder: Path | None = Field(default=None, exclude=True)
    """Where the study file lies; not part of the study's identity."""

    def wants_arm(self, kind: str, share: float, seed: int) -> bool:
        """Whether an arm is among those chosen; imported checkpoints always are."""
        near = self.shares is None or any(abs(share - one) < 1e-9 for one in self.shares)
        kinds = self.kinds is None or kind in self.kinds
        return near and kinds and (self.seeds is None or seed in self.seeds)

    def wants_condition(self, key: str) -> bool:
        """Whether a condition is among those chosen."""
        return key == "none" or any(fnmatchcase(key, pattern) for pattern in self.conditions)

    def located(self, path: str) -> Path:
        """A path of the study file as it is to be opened."""
        return Path(path) if self.folder is None else (self.folder / path).resolve()


class SuffixConfig(Strict):
    """Search of adversarial suffixes (GCG). The paper's search: 200 goals, 500 steps of 512 candidates."""

    goals: Count = 8
    steps: Count = 16
    candidates: Count = 32
    top_k: Count = 48
    suffix_tokens: Count = 6
    random_search: bool = True
    """Also search at random with as many evaluations: what the gradient adds."""
    new_tokens: Count = 24
    """Length of the continuations that are judged."""
    file: str | None = None
    """AdvBench-like file with columns `goal` and `target`; default: goals in the forum language."""


class RelearnConfig(Strict):
    """Fine-tuning the detox away."""

    stops: tuple[Count, ...] = (1, 2, 4, 8, 16, 32, 64)
    """Steps after which toxicity is measured; the last is the budget."""
    batch_size: Count = 8
    sequence_length: Annotated[int, Field(ge=8)] | None = None
    """Default: the model's context, 256 at most."""
    learning_rate: Positive | None = None
    """Default: a tenth of the scale's own rate."""
    seeds: Count = 2
    """Orders of the toxic text."""
    prompts: Count = 64

    @field_validator("stops")
    @classmethod
    def _ascending(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or list(value) != sorted(set(value)):
            raise ValueError("must be ascending numbers of steps, at least one")
        return value


class HardnessConfig(Chosen):
    """Attacks on detoxified models."""

    attacks: tuple[AttackKind, ...] = ()
    """Which attacks are run; none by default."""
    prompts: Count = 64
    """Prompts of the first prompt set for injections, long texts, the sweep and rounded weights."""
    temperatures: tuple[Annotated[float, Field(ge=0)], ...] = (0.0, 0.7, 1.0, 1.4)
    top_ps: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.5, 0.9, 1.0)
    blocks: Count = 8
    """Long texts are scored block by block."""
    block_tokens: Count = 24
    injection: Literal["auto", "forum", "english"] = "auto"
    suffix: SuffixConfig = SuffixConfig()
    relearn: RelearnConfig = RelearnConfig()

    @property
    def texts(self) -> tuple[AttackKind, ...]:
        """The attacks of the stage `attack`: all but relearning."""
        return tuple(kind for kind in self.attacks if kind != RELEARN)


class CapabilityConfig(Chosen):
    """What a model can still do."""

    tasks: tuple[Literal["minimal_pairs", "blimp", "mcq", "cross_entropy"], ...] = ()
    """Which tasks are run; none by default."""
    items: Count = 500
    """At most this many pairs, or questions of each set (a fixed random choice, spread over phenomena)."""
    mcq_items: Count | None = Field(default=None, exclude_if=lambda value: value is None)
    """Questions of each multiple-choice set, where there are to be fewer or more than `items`."""
    blimp: str | None = None
    """Parquet file with the columns of BLiMP."""
    mcq: str | None = None
    """Parquet file with `question`, `choices`, `answer_index`, `source`."""
    sets: tuple[str, ...] | None = None
    """Only these sources of the multiple-choice file."""
    tokens_per_source: Annotated[int, Field(ge=100)] = 4000
    """Held-out tokens of each source."""
    harness: tuple[str, ...] = ()
    """Tasks of lm-evaluation-harness by name (needs the extra `harness` and the tasks' data)."""
    harness_limit: Count | None = None

    @field_validator("harness")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("names a task twice")
        return value

    @property
    def wanted(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.tasks or self.harness)
