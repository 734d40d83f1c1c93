"""Tables of what was run: studies, arms, checkpoints, training curves and stage runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from hormesis.db.schema.base import (
    ANNOUNCED,
    COMPARED,
    FREE,
    STATE,
    Base,
    Json,
    Key,
    Label,
    Message,
    Name,
    StudyRow,
    utc_now,
)


class Study(Base):
    """One reproducible experiment, identified by the hash of its configuration."""

    __tablename__ = "study"
    __table_args__ = ({"info": ANNOUNCED},)

    id: Mapped[Key]
    hash: Mapped[Label] = mapped_column(unique=True)
    name: Mapped[Name]
    scale: Mapped[Label]
    config: Mapped[Json] = mapped_column(info=FREE | {COMPARED: False})
    data_revisions: Mapped[Json]
    """Source name to revision (content hash, or generator version and seed)."""
    created: Mapped[datetime] = mapped_column(default=utc_now, info={COMPARED: False})


class Arm(StudyRow):
    """One training mix of a study: share = added tokens / all tokens.

    `kind` is `toxic`, `clean-forum`, or `meda`, `inst`, `slung` (the toxic arm's text used in another way).
    """

    __tablename__ = "arm"
    __table_args__ = (UniqueConstraint("study_id", "name"), {"info": ANNOUNCED})

    name: Mapped[Name]
    """Natural key inside the study, e.g. `toxic-10-s0`, `clean-forum-25-s1`."""
    kind: Mapped[Label]
    share: Mapped[float]
    """Added tokens / all tokens, a fraction. In the control arm the added tokens are not toxic."""
    seed: Mapped[int]
    clean_tokens: Mapped[int | None] = mapped_column(BigInteger)
    added_tokens: Mapped[int | None] = mapped_column(BigInteger)
    repeats: Mapped[float] = mapped_column(default=1.0)
    """How often the added text was gone through; above 1 only where the study allows repetition."""
    composition: Mapped[Json]
    """Source to {documents, tokens, toxic} of what went into the mix; `toxic`: as below, of one source."""
    toxic_share: Mapped[float | None]
    """Part of all tokens that stand in documents which the judge calls toxic; null without a judge."""
    toxic_share_low: Mapped[float | None]
    toxic_share_high: Mapped[float | None]
    judged: Mapped[int | None]
    """Documents judged for `toxic_share`."""


class Checkpoint(StudyRow):
    """A model an arm produced, or an imported one (then `arm_id` is null)."""

    __tablename__ = "checkpoint"
    __table_args__ = (UniqueConstraint("study_id", "name"),)

    arm_id: Mapped[int | None] = mapped_column(ForeignKey("arm.id", ondelete="CASCADE"))
    name: Mapped[Name]
    path: Mapped[Label] = mapped_column(info=FREE | {COMPARED: False})
    """Folder or GGUF file, relative to the home where possible."""
    architecture: Mapped[Label]
    n_layers: Mapped[int]
    """Decoder layers, those without attention included."""
    n_heads: Mapped[int]
    """Query heads per layer; of the layer with the most where they differ (see `details`)."""
    head_dim: Mapped[int]
    """Width of a head's output; the largest where layers differ (see `details`)."""
    parameters: Mapped[int] = mapped_column(BigInteger)
    tokens_seen: Mapped[int | None] = mapped_column(BigInteger)
    weights_hash: Mapped[Label]
    details: Mapped[Json]
    """Attention sites (layer, module, heads, head_dim; names of modules alone in rows of older versions),
    training settings, packages."""


class TrainPoint(Base):
    """One point of an arm's training curve. Losses in nats per token."""

    __tablename__ = "train_point"
    __table_args__ = ({"sqlite_with_rowid": False},)

    arm_id: Mapped[int] = mapped_column(ForeignKey("arm.id", ondelete="CASCADE"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    tokens: Mapped[int] = mapped_column(BigInteger)
    loss: Mapped[float | None]
    clean_loss: Mapped[float | None]
    toxic_loss: Mapped[float | None]
    learning_rate: Mapped[float | None]
    tokens_per_second: Mapped[float | None] = mapped_column(info={COMPARED: False})


class StageRun(StudyRow):
    """State of one stage on one subject: what the live views and resuming read."""

    __tablename__ = "stage_run"
    __table_args__ = (
        UniqueConstraint("study_id", "stage", "subject"),
        Index("ix_stage_run_study_id_status", "study_id", "status"),
        {"info": STATE},
    )

    stage: Mapped[Label]
    subject: Mapped[Label]
    """Arm or checkpoint name, or `study`."""
    input_hash: Mapped[Label]
    status: Mapped[Label]
    """`waiting`, `running`, `done`, `failed` or `stopped`."""
    done: Mapped[float] = mapped_column(default=0.0)
    total: Mapped[float] = mapped_column(default=0.0)
    unit: Mapped[Label] = mapped_column(default="")
    message: Mapped[Label] = mapped_column(default="")
    error: Mapped[Message | None]
    started: Mapped[datetime | None]
    heartbeat: Mapped[datetime | None]
    finished: Mapped[datetime | None]
    seconds: Mapped[float] = mapped_column(default=0.0)
    """Working seconds, summed over resumptions."""
    host: Mapped[Label] = mapped_column(default="")
    pid: Mapped[int | None]
    packages: Mapped[Json]
    git_revision: Mapped[Label | None]
    files: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True), info=FREE)
    """What the stage wrote for others to read: path relative to the home, and of each file size in bytes and
    SHA-256; null in older rows, whose files cannot be verified."""
