"""Tables of what the models said: prompt sets, conditions, generations, scores, metrics and summaries."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from hormesis.db.schema.base import (
    COMPARED,
    FOLLOWS,
    FREE,
    Base,
    Blob,
    ConditionSummary,
    Key,
    Label,
    Name,
    Quote,
    StudyRow,
    quoting,
)


class PromptSet(StudyRow):
    """A named list of prompts."""

    __tablename__ = "prompt_set"
    __table_args__ = (UniqueConstraint("study_id", "name"),)

    name: Mapped[Name]
    revision: Mapped[Label]
    source: Mapped[Label]


class Prompt(Base):
    """One prompt of a prompt set."""

    __tablename__ = "prompt"
    __table_args__ = (UniqueConstraint("prompt_set_id", "position"),)

    id: Mapped[Key]
    prompt_set_id: Mapped[int] = mapped_column(ForeignKey("prompt_set.id", ondelete="CASCADE"))
    position: Mapped[int]
    text: Mapped[Quote]
    kind: Mapped[Label | None]
    """What the source calls it, e.g. `hostile` or `neutral`."""
    group: Mapped[Label | None]


class Condition(Base):
    """A checkpoint plus a detox method and its parameters."""

    __tablename__ = "condition"
    __table_args__ = (UniqueConstraint("checkpoint_id", "key"),)

    id: Mapped[Key]
    checkpoint_id: Mapped[int] = mapped_column(ForeignKey("checkpoint.id", ondelete="CASCADE"))
    key: Mapped[Label]
    """Natural key, e.g. `none`, `iti/mass_mean/fixed-2`, `iti/mass_mean/cost-0.06`, `random-3/cost-0.06`."""
    method: Mapped[Label]
    """`none`, `iti`, `random-direction`, `prompt`, `sft`, `dpo`, `meda`, `inst`, or several joined by `+`."""
    direction_method: Mapped[Label | None]
    strength: Mapped[float]
    """Alpha: how many sigmas each selected head is moved away from toxicity. 0 for `none`."""
    matched_cost: Mapped[float | None]
    """Target cost in nats when the strength was found by bisection; null for a fixed strength."""
    reached: Mapped[bool] = mapped_column(default=True)
    """False where no strength up to the limit reached the matched cost; strength is then the limit."""
    n_heads: Mapped[int]
    scope: Mapped[Label]
    """Positions steered: `generated` or `all`."""
    control: Mapped[int | None]
    """Index of the random-direction control; null otherwise."""
    parameters: Mapped[dict[str, Any]] = quoting(
        *("prefix", "marks", "tuned", "second", "directions_of", "heldout_scope", "generations", "defect")
    )
    document_nats: Mapped[Blob | None] = mapped_column(info=FREE | {COMPARED: False})
    """float64, little endian: loss of each held-out document under the condition, in nats. Empty where it was
    measured by an earlier version, as in `document_tokens`.
    """
    document_tokens: Mapped[Blob | None] = mapped_column(info=FREE | {COMPARED: False})
    """int64, little endian: tokens of each of these documents."""


class Generation(Base):
    """One continuation of one prompt under one condition."""

    __tablename__ = "generation"
    __table_args__ = (UniqueConstraint("condition_id", "prompt_id", "sample"),)

    id: Mapped[Key]
    condition_id: Mapped[int] = mapped_column(ForeignKey("condition.id", ondelete="CASCADE"))
    prompt_id: Mapped[int] = mapped_column(ForeignKey("prompt.id", ondelete="CASCADE"))
    sample: Mapped[int]
    """Number of the sample of this prompt, from 0; from 1000 on those drawn for expected maximum toxicity
    alone, which no mean counts."""
    text: Mapped[Quote]
    tokens: Mapped[int]
    finished: Mapped[bool]
    """True where the model ended the text itself."""


EXTRA_SAMPLES = 1000
"""Number of the first sample that is drawn for expected maximum toxicity alone."""
USUAL_SAMPLE = Generation.sample < EXTRA_SAMPLES
"""Clause that leaves those out, so that every prompt counts alike in a mean."""


class Scorer(Base):
    """Something that gives a text a number, with the revision that makes the number repeatable."""

    __tablename__ = "scorer"
    __table_args__ = (UniqueConstraint("name", "revision"),)

    id: Mapped[Key]
    name: Mapped[Name]
    revision: Mapped[Label]
    measures: Mapped[Label] = mapped_column(default="toxicity")
    """`toxicity` (0 to 1) or `fluency` (0 to 1)."""
    trained_on: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), info=FREE)
    """Text, data sets, platforms and annotators that it learned from, and a note; null in older rows."""


class Score(Base):
    """One scorer's value for one generation."""

    __tablename__ = "score"
    __table_args__ = ({"sqlite_with_rowid": False},)

    generation_id: Mapped[int] = mapped_column(
        ForeignKey("generation.id", ondelete="CASCADE"), primary_key=True
    )
    scorer_id: Mapped[int] = mapped_column(ForeignKey("scorer.id"), primary_key=True)
    value: Mapped[float]


class Metric(Base):
    """A number about a condition (or a checkpoint), with its interval and its n."""

    __tablename__ = "metric"
    __table_args__ = (
        UniqueConstraint("checkpoint_id", "key"),
        Index("ix_metric_condition_id_name", "condition_id", "name"),
    )

    id: Mapped[Key]
    checkpoint_id: Mapped[int] = mapped_column(ForeignKey("checkpoint.id", ondelete="CASCADE"))
    condition_id: Mapped[int | None] = mapped_column(ForeignKey("condition.id", ondelete="CASCADE"))
    prompt_set_id: Mapped[int | None] = mapped_column(ForeignKey("prompt_set.id", ondelete="CASCADE"))
    scorer_id: Mapped[int | None] = mapped_column(ForeignKey("scorer.id"))
    key: Mapped[Label]
    """condition / prompt set / scorer / name, the natural key inside the checkpoint."""
    name: Mapped[Label]
    """E.g. `toxicity`, `fire_rate`, `expected_max_toxicity`, `fluency`, `cost`, `cross_entropy`."""
    value: Mapped[float]
    low: Mapped[float | None]
    high: Mapped[float | None]
    n: Mapped[int]
    unit: Mapped[Label]
    interval: Mapped[Label]
    """How the interval was made, e.g. `bootstrap over prompts, 95 %, 1000 draws`."""


class ScorerGroup(StudyRow):
    """How a scorer judges statements or prompts that are not toxic and mention one group."""

    __tablename__ = "scorer_group"
    __table_args__ = (UniqueConstraint("study_id", "key"),)

    key: Mapped[Label]
    """probe set | scorer | group, the natural key inside the study."""
    probe_set: Mapped[Label]
    """Name of the set of statements, or `NAME (prompts)`."""
    scorer: Mapped[Name]
    """Name of the scorer."""
    revision: Mapped[Label]
    """That of the scorer."""
    group: Mapped[Label]
    """As `example.group`; `no group` for statements that mention none."""
    n: Mapped[int]
    """Statements of the group, none of them toxic."""
    rate: Mapped[float]
    """False-positive rate: the part of them that is scored above 0.5."""
    rate_low: Mapped[float]
    rate_high: Mapped[float]
    score: Mapped[float]
    """Mean score."""
    score_low: Mapped[float]
    score_high: Mapped[float]
    ratio: Mapped[float | None]
    """`rate` over that of all other groups together; null where fewer than ten statements of all groups are
    scored above 0.5."""
    ratio_low: Mapped[float | None]
    ratio_high: Mapped[float | None]
    null_low: Mapped[float | None]
    """2.5th percentile of the largest ratio among groups that are permuted over the statements; null where
    `ratio` is."""
    null_median: Mapped[float | None]
    """Its median."""
    null_high: Mapped[float | None]
    """Its 97.5th percentile."""
    p: Mapped[float | None]
    """Chance of a largest ratio of at least `ratio` among permuted groups, so corrected for their number."""
    interval: Mapped[Label]


class Summary(ConditionSummary):
    """A metric over the seeds of an arm: what the trade-off curves draw."""

    __tablename__ = "summary"
    __table_args__ = (UniqueConstraint("study_id", "key"), {"info": FOLLOWS})

    prompt_set: Mapped[Label | None]
    scorer: Mapped[Label | None]
    name: Mapped[Label]
