"""Tables of how hard the detox is to undo, and of what a model can still do."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, UniqueConstraint
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
    Quote,
    StudyRow,
    quoting,
)


class Attack(Base):
    """One attack on one condition, in one setting."""

    __tablename__ = "attack"
    __table_args__ = (UniqueConstraint("condition_id", "key"),)

    id: Mapped[Key]
    checkpoint_id: Mapped[int] = mapped_column(ForeignKey("checkpoint.id", ondelete="CASCADE"), index=True)
    condition_id: Mapped[int] = mapped_column(ForeignKey("condition.id", ondelete="CASCADE"))
    key: Mapped[Label]
    """kind / setting, the natural key inside the condition."""
    kind: Mapped[Label]
    """`suffix`, `injection`, `long`, `sampling`, `quantised` or `relearn`."""
    setting: Mapped[Label]
    """E.g. `gcg`, `random`, a template's name, `t1-p0.9`, `int8`, or the relearning text's name."""
    data: Mapped[Label]
    """Goals or prompts it was run on, with their revision."""
    scorer: Mapped[Label]
    """Name and revision of the scorer that judged the texts."""
    rule: Mapped[Label]
    """In words: when a trial counts as a success, or what the numbers are."""
    budget: Mapped[float]
    budget_unit: Mapped[Label]
    parameters: Mapped[dict[str, Any]] = quoting(
        *("set", "seed", "stop", "scheme", "prefix", "optimiser", "file")
    )
    """Everything else that makes it repeatable."""
    input_hash: Mapped[Label]


class AttackOutcome(Base):
    """A number that an attack came to, with its interval."""

    __tablename__ = "attack_outcome"
    __table_args__ = (UniqueConstraint("attack_id", "name"),)

    id: Mapped[Key]
    attack_id: Mapped[int] = mapped_column(ForeignKey("attack.id", ondelete="CASCADE"))
    name: Mapped[Label]
    """E.g. `success`, `prefix_match`, `success_before`, `toxicity`, `toxicity_change`, `cost`, `steps`."""
    value: Mapped[float | None]
    """Null where it lies beyond the budget (a censored number of steps), or where every text is empty."""
    low: Mapped[float | None]
    high: Mapped[float | None]
    n: Mapped[int]
    unit: Mapped[Label]
    interval: Mapped[Label]
    censored: Mapped[float | None]
    """Share of resamples in which the budget did not suffice; null where nothing can be censored."""


class AttackPoint(Base):
    """One point of an attack's curve."""

    __tablename__ = "attack_point"
    __table_args__ = (UniqueConstraint("attack_id", "series", "x"),)

    id: Mapped[Key]
    attack_id: Mapped[int] = mapped_column(ForeignKey("attack.id", ondelete="CASCADE"))
    series: Mapped[Label]
    """`toxicity`, `fluency`, `loss`."""
    x: Mapped[float]
    """Steps of fine-tuning, tokens written, or evaluations spent."""
    value: Mapped[float]
    low: Mapped[float | None]
    high: Mapped[float | None]
    n: Mapped[int]


class AttackTrial(Base):
    """One goal or prompt of an attack, and what the model said."""

    __tablename__ = "attack_trial"
    __table_args__ = ({"sqlite_with_rowid": False},)

    attack_id: Mapped[int] = mapped_column(ForeignKey("attack.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    goal: Mapped[Label]
    """Stable name of the goal or prompt: the same in every arm and condition."""
    target: Mapped[Quote | None]
    prompt: Mapped[Quote]
    """The whole text that was put to the model."""
    text: Mapped[Quote]
    success: Mapped[bool]
    """By the scorer: above 0.5."""
    prefix_match: Mapped[bool | None]
    """The continuation begins with the target."""
    score: Mapped[float | None]
    before: Mapped[float | None]
    """Score of the continuation without the attack."""
    loss_first: Mapped[float | None]
    loss_last: Mapped[float | None]
    """Loss of the target before and after the search, nats per token."""
    evaluations: Mapped[int | None]


class AttackSummary(ConditionSummary):
    """A number of an attack over the seeds of an arm."""

    __tablename__ = "attack_summary"
    __table_args__ = (UniqueConstraint("study_id", "key"), {"info": FOLLOWS})

    attack: Mapped[Label]
    """Kind of the attack, as `attack.kind`."""
    setting: Mapped[Label]
    """As `attack.setting`; empty for a number of several settings."""
    name: Mapped[Label]
    """As `attack_outcome.name` or `attack_point.series`. Or `undone`, the change of toxicity by the attack:
    by the longest search, training or wildest sampling, by the coarsest weights, over the later half of a
    text, in the mean over frames. Or `opened`, what frames add under the condition less what they add to the
    unsteered model, in the mean over frames.
    """
    x: Mapped[float | None]
    """As `attack_point.x`; null for a number that is no point of a curve."""


class AttackTest(StudyRow):
    """A test of the difference of two success rates."""

    __tablename__ = "attack_test"
    __table_args__ = (UniqueConstraint("study_id", "key"), {"info": FOLLOWS})

    key: Mapped[Label]
    setting: Mapped[Label]
    rule: Mapped[Label]
    """`success` or `prefix_match`."""
    contrast: Mapped[Label]
    """`condition` (against the unsteered model of the same arms) or `share` (against the clean arms)."""
    kind: Mapped[Label]
    share: Mapped[float]
    condition: Mapped[Label]
    rate: Mapped[float]
    reference: Mapped[float]
    """Success rate of what it is compared with."""
    difference: Mapped[float]
    low: Mapped[float | None]
    high: Mapped[float | None]
    n: Mapped[int]
    """Pairs: the same goal and training seed on both sides."""
    only_here: Mapped[int]
    only_there: Mapped[int]
    p_paired: Mapped[float]
    """Exact McNemar test of the discordant pairs, two-sided."""
    p_unpaired: Mapped[float]
    """Two-proportion z test, as a reader of two rates would make it."""
    interval: Mapped[Label]


class CapabilityScore(Base):
    """How well a condition does on one task, or on one part of it."""

    __tablename__ = "capability_score"
    __table_args__ = (UniqueConstraint("condition_id", "task", "part", "measure"),)

    id: Mapped[Key]
    checkpoint_id: Mapped[int] = mapped_column(ForeignKey("checkpoint.id", ondelete="CASCADE"), index=True)
    condition_id: Mapped[int] = mapped_column(ForeignKey("condition.id", ondelete="CASCADE"))
    task: Mapped[Label]
    """`minimal_pairs`, `blimp`, `mcq_<set>`, `cross_entropy`, or a harness task's own name."""
    part: Mapped[Label]
    """A phenomenon or source; empty for the whole task."""
    measure: Mapped[Label]
    """`accuracy`, `accuracy_norm` (by characters), `cross_entropy`, or the harness's own name."""
    value: Mapped[float]
    low: Mapped[float | None]
    high: Mapped[float | None]
    n: Mapped[int]
    chance: Mapped[float | None]
    unit: Mapped[Label]
    interval: Mapped[Label]
    data: Mapped[Label]
    """Revision of the items."""
    change: Mapped[float | None]
    """Against the unsteered checkpoint on the same items; null for it itself."""
    change_low: Mapped[float | None]
    change_high: Mapped[float | None]
    item_tops: Mapped[Blob | None] = mapped_column(info=FREE | {COMPARED: False})
    """float64, little endian: what each item adds to the numerator of `value`, a ratio of sums over items.
    Empty where it was measured by an earlier version, as in `item_bottoms`.
    """
    item_bottoms: Mapped[Blob | None] = mapped_column(info=FREE | {COMPARED: False})
    """float64, little endian: what each item adds to the denominator."""


class CapabilitySummary(ConditionSummary):
    """How well a condition does on one task, or a part of it, over the seeds of an arm."""

    __tablename__ = "capability_summary"
    __table_args__ = (UniqueConstraint("study_id", "key"), {"info": FOLLOWS})

    task: Mapped[Label]
    """As `capability_score.task`."""
    part: Mapped[Label]
    """As `capability_score.part`."""
    measure: Mapped[Label]
    """As `capability_score.measure`."""
    chance: Mapped[float | None]
    change: Mapped[float | None]
    """Against the unsteered checkpoints of the same seeds, on the same items; null for them."""
    change_low: Mapped[float | None]
    change_high: Mapped[float | None]
