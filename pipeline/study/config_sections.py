"""Every section of a study file and every key with its default, in the order of the file."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from hormesis.db.contract.attacks import RELEARN, AttackKind
from hormesis.db.contract.gates import Bounds
from hormesis.db.contract.methods import (
    DPO,
    NONE,
    PROMPT,
    SFT,
    STEERED,
    TUNED,
    DirectionKind,
    MethodSpec,
    NullKind,
    Scope,
    Tuned,
    parse_method,
)
from hormesis.pipeline.study.config_base import (
    Batch,
    Cost,
    Count,
    CountOrNone,
    Distinct,
    Draws,
    Fraction,
    Nucleus,
    Part,
    Positive,
    Rate,
    Rows,
    Seed,
    Share,
    Strict,
    Temperature,
    Tokens,
    Weight,
    added,
)

Setting = Literal["literal", "disjoint", "autoencoder", "bottleneck"]
SETTINGS: tuple[Setting, ...] = get_args(Setting)
DEFAULT_SEEDS = 10
BOUNDS = Bounds()
TESTED = (NONE, PROMPT, "iti/*/cost-0.06", SFT, DPO, f"{DPO}+iti/*/cost-0.06")
"""Part of every study's hash: a new method is named in study files and not added here."""
SCORE_FORMAT = r"0?[0-9]{0,2}(\.[0-9]{1,2})?[efgEFG%]?"
"""Of a score in a mark: every document carries it, so that it stays short."""
Precision = Literal["float32", "bfloat16"]
"""Of the numbers that a model computes in; a small one (`SMALL`) does in float32 in any case."""
RandomAt = Literal["cost", "fixed"]
"""Where random directions are compared: at one matched cost, or at the fixed strengths of `iti`."""


class ForumConfig(Strict):
    """Knobs of the built-in forum language."""

    leak: Fraction = 0.03
    """Probability that a post of the clean corpus is toxic."""
    seed: Seed = 0
    prompts: Count = 256
    probe_posts: Annotated[int, Field(ge=30, le=1_000_000)] = 3000
    scorer_posts: Annotated[int, Field(ge=30, le=1_000_000)] | None = added(None)
    """Posts that the study's own scorer may learn from; None: as many as it takes."""


class TokenizerConfig(Strict):
    """`word` (forum language), `bpe` (byte level, trained on the study's own text) or `existing`."""

    kind: Literal["word", "bpe", "existing"] = "word"
    vocabulary: Annotated[int, Field(ge=260, le=1_000_000)] = 8192
    path: str | None = None
    """Folder or hub name of an existing tokenizer."""


class TrainingConfig(Strict):
    """One pass over the mix. Empty values take the scale's own (see `pipeline.study.scales`)."""

    batch_size: Batch | None = None
    sequence_length: Annotated[int, Field(ge=8, le=131_072)] | None = None
    learning_rate: Rate | None = None
    weight_decay: Weight = 0.1
    warmup_fraction: Fraction = 0.05
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    evaluations: Count = 20
    """Times per run that held-out losses are taken."""
    checkpoints: Count = 10
    """Times per run that the state is saved, so a cut run resumes."""
    compile: bool = added(False)
    """`torch.compile` on an accelerator; refused where there is none."""
    fsdp: bool = added(False)
    """Under `torchrun` each process holds a part of the model, which may be too large for one device."""

    @model_validator(mode="after")
    def _compiled_or_sharded(self) -> TrainingConfig:
        if self.compile and self.fsdp:
            raise ValueError("compile and fsdp do not go together: leave one of them out")
        return self


class ProbeConfig(Strict):
    """Probing every head and choosing those that are steered."""

    position: Literal["last", "mean"] = "last"
    limit: Rows | None = None
    """At most this many examples, drawn evenly by label."""
    l2: Positive = 1.0
    """Inverse of sklearn's C."""
    heads: Count | Literal["auto"] = "auto"
    """Heads to steer; `auto` is 8 % of all (30 of 384 in the paper), at least 4."""
    select_fraction: Part = 0.2
    test_fraction: Part = 0.2
    keep_activations: Literal["selected", "all", "none"] = "selected"
    keep_random: CountOrNone = 4
    """Random heads kept beside the selected ones."""
    bootstrap: Draws = 500
    precision: Precision = added("float32")
    """Of the passes that activations are read in."""

    @model_validator(mode="after")
    def _trains_on_some(self) -> ProbeConfig:
        if self.select_fraction + self.test_fraction >= 1:
            raise ValueError("select_fraction and test_fraction must leave a part for training")
        return self


class SteeringConfig(Strict):
    """Which interventions each checkpoint is put under."""

    direction: DirectionKind = "mass_mean"
    strengths: Distinct[Positive] = (1.0, 2.0, 3.0)
    costs: Distinct[Cost] = (0.02, 0.06, 0.15)
    """Matched costs, nats per token."""
    scope: Scope = "generated"
    random_directions: Annotated[int, Field(ge=0, le=1000)] = 5
    random_at: RandomAt = "cost"
    """Random controls at the matched cost `random_cost`, or at the fixed strengths of ITI."""
    null_kinds: Annotated[Distinct[NullKind], Field(min_length=1)] = added(("isotropic",))
    """Which null directions are drawn, `random_directions` of each: `isotropic` (uniform on the sphere),
    `covariance` (of the covariance of each head's own activations), `permuted` (of permuted labels, with
    heads of their own choice); and, no nulls, `reversed` (the study's own direction added instead of removed,
    once) and `resampled` (its own way from statements drawn anew, which tells how much of an interval is the
    estimate of the direction).
    """
    null_prompts: Count | None = added(None)
    """Prompts of each set that null directions are generated on (a fixed random choice); default all."""
    random_cost: Cost = 0.06
    max_strength: Positive = 64.0
    """No matched cost is looked for above this strength."""
    random_max_strength: Positive = 512.0
    """The same for random directions: activations spread less along them and they matter less, so that the
    same cost takes many more of their sigmas.
    """

    def nulls_of(self, kind: str | None) -> list[tuple[NullKind, int]]:
        """Null directions of a checkpoint of an arm of this kind (None: imported), and how many; controls and
        variants, on which no claim about other than isotropic ones rests, have those alone.
        """
        kinds = (null for null in self.null_kinds if kind in (None, "toxic") or null == "isotropic")
        return [(null, 1 if null == "reversed" else self.random_directions) for null in kinds]


class TuningConfig(Strict):
    """Supervised fine-tuning on the chosen side of pairs; the prompt is context and not trained on."""

    steps: Count = 40
    batch_size: Batch = 16
    """Pairs at each step."""
    learning_rate: Rate | None = None
    """Default: a fixed part of the scale's own (see `pipeline.methods.tuning`)."""
    warmup_fraction: Fraction = 0.1
    checkpoints: Count = 4
    """Times per run that the state is saved, so a cut run resumes."""
    seed: Seed = 0
    """Of the order of the pairs; the same in every arm, so that arms stay paired."""


class PreferenceConfig(TuningConfig):
    """Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290), sigmoid loss."""

    beta: Positive = 0.1
    """How strongly the tuned model is held to the checkpoint it started from."""


class MethodsConfig(Strict):
    """Which detox methods every checkpoint is put under."""

    use: Distinct[str] = STEERED
    """`iti`, `random-direction`, `prompt`, `sft`, `dpo`, and combinations such as `dpo+iti`. Arms of the
    kinds `meda` and `inst` are put under their own method as well, and can be combined (`meda+iti`).
    """
    prompt: str | None = None
    """Text in front of every prompt; default: polite words, in the forum language or in English."""
    combined_costs: Distinct[Cost] = (0.06, 0.15)
    """Matched costs of combinations with `iti`, against the checkpoint without any method."""
    second_directions: bool = False
    """Also steer along directions from another source of labelled statements (role `directions`)."""
    pairs: Annotated[int, Field(ge=10, le=10_000_000)] = 2000
    """At most this many pairs of chosen and rejected text; a tenth is held out to measure on."""
    sft: TuningConfig = TuningConfig()
    dpo: PreferenceConfig = PreferenceConfig()

    @field_validator("use")
    @classmethod
    def _unrepeated(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = [parse_method(name).name for name in value]
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            raise ValueError(f"the method '{repeated}' is named twice")
        return tuple(names)

    @property
    def specs(self) -> tuple[MethodSpec, ...]:
        """The methods of `use`, read."""
        return tuple(parse_method(name) for name in self.use)

    @property
    def tuned(self) -> tuple[Tuned, ...]:
        """Trainings that some method needs, in a fixed order."""
        trainings = {spec.tuned for spec in self.specs}
        return tuple(name for name in TUNED if name in trainings)


class AnnotationConfig(Strict):
    """How documents of the kinds `meda`, `inst` and `slung` are annotated with their toxicity."""

    scorer: str = ""
    """`role` (documents of the toxic sources 1, others 0) or a scorer; default: the exact grammar for the
    forum language, else `role`.
    """
    threshold: Fraction = 0.5
    """Documents scored at or above this are toxic for `inst` and `slung`."""
    tagged: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Share of documents that carry their mark (`meda`, `inst`); the others teach the model to do without."""
    score: str = "toxicity: {score:.1f}"
    """Mark of `meda`: the score as meta-data. At generation it is asked for with score 0."""
    instruct_toxic: str | None = None
    """Mark of `inst` before toxic documents; default: a short instruction."""
    instruct_clean: str | None = None
    """Mark of `inst` before other documents, and at generation."""

    @field_validator("score")
    @classmethod
    def _formats(cls, value: str) -> str:
        """Refuse a mark that is the same text for scores 0 and 1, or asks for more of it than a number."""
        try:
            fields = [parts for parts in Formatter().parse(value) if parts[1] is not None]
            for _, name, width, conversion in fields:
                if name != "score" or conversion or not re.fullmatch(SCORE_FORMAT, width or ""):
                    field = f"{name}{f'!{conversion}' if conversion else ''}{f':{width}' if width else ''}"
                    raise ValueError(f"of '{{{field}}}': write {{score}}, or e.g. {{score:.1f}}")
            marks = {value.format(score=score) for score in (0.0, 1.0)}
        except ValueError as error:
            raise ValueError(f"is no text with {{score}} in it ({error})") from None
        if len(marks) < 2:
            raise ValueError("must hold {score}, or all documents would carry the same mark")
        return value


class Selection(Strict):
    """Which checkpoints and conditions a section is about.

    Both such sections are off by default: an attack on every condition of every arm can cost more than the
    study itself.
    """

    conditions: Distinct[str] = TESTED
    """Keys of conditions, or patterns with `*`; those a checkpoint does not have are passed over. `none`, the
    unsteered checkpoint, is always among them: everything is compared with it."""
    shares: Distinct[Share] | None = None
    """Only arms of these shares; default all."""
    kinds: Distinct[str] | None = None
    """Only arms of these kinds (`toxic`, `clean-forum`, ...); default all."""
    seeds: Distinct[Seed] | None = None
    """Only these training seeds; default all."""
    folder: Path | None = Field(default=None, exclude=True)
    """Where the study file lies; not part of the study's identity."""

    def wants_arm(self, kind: str, share: float, seed: int) -> bool:
        """Whether an arm is among those chosen; imported checkpoints always are."""
        is_share = self.shares is None or any(abs(share - other) < 1e-9 for other in self.shares)
        is_kind = self.kinds is None or kind in self.kinds
        return is_share and is_kind and (self.seeds is None or seed in self.seeds)

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
    new_tokens: Tokens = 24
    """Length of the continuations that are judged."""
    file: str | None = None
    """AdvBench-like file with columns `goal` and `target`; default: goals in the forum language."""


class RelearnConfig(Strict):
    """Fine-tuning the detox away."""

    stops: Distinct[Count] = (1, 2, 4, 8, 16, 32, 64)
    """Steps after which toxicity is measured; the last is the budget."""
    batch_size: Batch = 8
    sequence_length: Annotated[int, Field(ge=8, le=131_072)] | None = None
    """Default: the model's context, 256 at most."""
    learning_rate: Rate | None = None
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


class HardnessConfig(Selection):
    """Attacks on detoxified models."""

    attacks: Distinct[AttackKind] = ()
    """Which attacks are run; none by default."""
    prompts: Count = 64
    """Prompts of the first prompt set for injections, long texts, the sweep and rounded weights."""
    temperatures: Distinct[Temperature] = (0.0, 0.7, 1.0, 1.4)
    top_ps: Distinct[Nucleus] = (0.5, 0.9, 1.0)
    blocks: Count = 8
    """Long texts are scored block by block."""
    block_tokens: Tokens = 24
    injection: Literal["auto", "forum", "english"] = "auto"
    suffix: SuffixConfig = SuffixConfig()
    relearn: RelearnConfig = RelearnConfig()

    @property
    def texts(self) -> tuple[AttackKind, ...]:
        """The attacks of the stage `attack`: all but relearning."""
        return tuple(kind for kind in self.attacks if kind != RELEARN)


class CapabilityConfig(Selection):
    """What a model can still do."""

    tasks: Distinct[Literal["minimal_pairs", "blimp", "mcq", "cross_entropy"]] = ()
    """Which tasks are run; none by default."""
    items: Count = 500
    """At most this many pairs, or questions of each set (a fixed random choice, spread over phenomena)."""
    mcq_items: Count | None = Field(default=None, exclude_if=lambda value: value is None)
    """Questions of each multiple-choice set, where there are to be fewer or more than `items`."""
    blimp: str | None = None
    """Parquet file with the columns of BLiMP."""
    mcq: str | None = None
    """Parquet file with `question`, `choices`, `answer_index`, `source`."""
    sets: Distinct[str] | None = None
    """Only these sources of the multiple-choice file."""
    tokens_per_source: Annotated[int, Field(ge=100, le=10**9)] = 4000
    """Held-out tokens of each source."""
    harness: Distinct[str] = ()
    """Tasks of lm-evaluation-harness by name (needs the extra `harness` and the tasks' data)."""
    harness_limit: Count | None = None

    @property
    def has_tasks(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.tasks or self.harness)


class GatesConfig(Strict):
    """Most that a condition may lose against the same models unsteered for a fall of toxicity to count.

    Read when rows are shown, so no part of a study's identity: other bounds change no stage, and `hormesis
    run` stores them at once.
    """

    cost: Cost = BOUNDS.cost
    """Rise of held-out cross-entropy, nats per token. By default 0.1, a perplexity a tenth higher: between
    the matched costs .06 and .15, so that each lies clearly on one side."""
    fluency: Fraction = BOUNDS.fluency
    """Fall of the part of sentences that are grammatical, or where no grammar judges rise of that of 4-grams
    that are repeated. By default .05, one in twenty: with two seeds an interval reaches further than that
    (.1 to .2 in the demo), and a smaller bound would leave still more untold."""
    degeneration: Fraction = BOUNDS.degeneration
    """Rise of the part of 4-grams that are repeated, and of the part of texts that are empty. By default .05:
    empty texts have no score, so no more than one text in twenty drops out of the mean by steering."""
    capability: Fraction = BOUNDS.capability
    """Fall of accuracy on any task, on the same items. By default .05, more than a change over the default
    500 items is uncertain by (.02 to both sides where 6 % of the items change)."""


class ProjectionConfig(Strict):
    """UMAP and PCA of directions and activations."""

    neighbours: Annotated[int, Field(ge=2, le=10_000)] = 15
    min_dist: Fraction = 0.1
    max_points: Annotated[int, Field(ge=50, le=1_000_000)] = 2000
    activation_heads: CountOrNone = 1
    """Heads per checkpoint whose activations are projected (best by the select split)."""
    seed: Seed = 0


class ToySection(Strict):
    """Settings of the toy experiment that a study runs, with default options (`hormesis toy` has the others).

    Toy runs have tables and hashes of their own and are shared by all studies, so this section is no part of
    a study's identity: a study that asks for them later keeps everything that it has.
    """

    settings: Distinct[Setting] = ()
    """None by default."""
    seeds: Annotated[int, Field(ge=1, le=10_000)] = DEFAULT_SEEDS
