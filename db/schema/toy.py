"""Tables of the toy experiment: its configurations, runs, learning curves, measures and effects.

They belong to no study: a toy run reads no text and trains no language model.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from hormesis.db.schema.base import FOLLOWS, STATE, Base, Blob, Json, Key, Label, Message, Name, utc_now


class ToyExperiment(Base):
    """One configuration of the toy experiment; its runs differ in share and seed alone."""

    __tablename__ = "toy_experiment"
    __table_args__ = ({"info": STATE},)

    id: Mapped[Key]
    hash: Mapped[Label] = mapped_column(unique=True)
    """Over the configuration; the natural key together with share and seed of a run."""
    setting: Mapped[Name]
    """`literal`, `disjoint`, `autoencoder` or `bottleneck`."""
    config: Mapped[Json]
    created: Mapped[datetime] = mapped_column(default=utc_now)
    features: Mapped[int]
    dimensions: Mapped[int]
    """Dimensions in which directions can differ."""
    welch: Mapped[float]
    """Least possible value of the largest absolute cosine."""
    null_absolute: Mapped[float]
    """Expected entanglement of independent random directions, absolute cosines."""
    null_signed: Mapped[float]
    status: Mapped[Label] = mapped_column(default="running")
    """Of the last command: `running`, `done`, `stopped` or `failed`."""
    done: Mapped[float] = mapped_column(default=0.0)
    """Of the last command, in training steps times models."""
    total: Mapped[float] = mapped_column(default=0.0)
    error: Mapped[Message | None]
    heartbeat: Mapped[datetime | None]
    seconds: Mapped[float] = mapped_column(default=0.0)
    """Working seconds, summed over commands."""
    host: Mapped[Label] = mapped_column(default="")
    packages: Mapped[Json]
    git_revision: Mapped[Label | None]


class ToyRun(Base):
    """One trained model. Losses in nats per token (autoencoder: squared error), accuracies 0 to 1."""

    __tablename__ = "toy_run"
    __table_args__ = (UniqueConstraint("experiment_id", "share", "seed"),)

    id: Mapped[Key]
    experiment_id: Mapped[int] = mapped_column(ForeignKey("toy_experiment.id", ondelete="CASCADE"))
    share: Mapped[float]
    """Frequency of the rare chain over that of each other chain."""
    seed: Mapped[int]
    rare_loss: Mapped[float]
    control_loss: Mapped[float]
    rare_accuracy: Mapped[float]
    control_accuracy: Mapped[float]


class ToyPoint(Base):
    """One point of a run's learning curve, in the units of `toy_run`."""

    __tablename__ = "toy_point"
    __table_args__ = ({"sqlite_with_rowid": False},)

    run_id: Mapped[int] = mapped_column(ForeignKey("toy_run.id", ondelete="CASCADE"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    rare_loss: Mapped[float]
    control_loss: Mapped[float]
    rare_accuracy: Mapped[float]
    control_accuracy: Mapped[float]


class ToyMeasure(Base):
    """Entanglement of one run's directions: means over the rare chain's 4 features and the 8 controls."""

    __tablename__ = "toy_measure"
    __table_args__ = (UniqueConstraint("run_id", "network", "probe"),)

    id: Mapped[Key]
    run_id: Mapped[int] = mapped_column(ForeignKey("toy_run.id", ondelete="CASCADE"))
    network: Mapped[Label]
    """`trained`, or `frozen`: the seed's network at r = 1, probed with this run's mixture."""
    probe: Mapped[Label]
    """`means` (class means); `balanced`, `mixture` or `stopped` (logistic, one feature against the rest; the
    last is `mixture` trained for too short).
    """
    rare_absolute: Mapped[float]
    control_absolute: Mapped[float]
    rare_signed: Mapped[float]
    control_signed: Mapped[float]
    rare_norm: Mapped[float]
    control_norm: Mapped[float]
    vectors: Mapped[Blob]
    """float32, little endian: the 12 directions as found (not unit), by width; the rare chain's first."""


class ToyMean(Base):
    """Mean of one of a configuration's measures over the seeds, at one share."""

    __tablename__ = "toy_mean"
    __table_args__ = (
        UniqueConstraint("experiment_id", "network", "probe", "share", "name"),
        {"info": FOLLOWS},
    )

    id: Mapped[Key]
    experiment_id: Mapped[int] = mapped_column(ForeignKey("toy_experiment.id", ondelete="CASCADE"))
    network: Mapped[Label]
    probe: Mapped[Label]
    share: Mapped[float]
    """As `toy_run.share`."""
    name: Mapped[Label]
    """Column of `toy_measure`: `rare_absolute`, `control_absolute`, `rare_signed` and so on."""
    value: Mapped[float]
    low: Mapped[float | None]
    high: Mapped[float | None]
    n_seeds: Mapped[int]
    interval: Mapped[Label]


class ToyEffect(Base):
    """DiD of a configuration: over seeds, (u at low shares - u at r = 1) less the same for controls."""

    __tablename__ = "toy_effect"
    __table_args__ = (
        UniqueConstraint("experiment_id", "network", "probe", "cosine", "split"),
        {"info": FOLLOWS},
    )

    id: Mapped[Key]
    experiment_id: Mapped[int] = mapped_column(ForeignKey("toy_experiment.id", ondelete="CASCADE"))
    network: Mapped[Label]
    probe: Mapped[Label]
    cosine: Mapped[Label]
    """`absolute` or `signed`."""
    split: Mapped[Label]
    """`all` low shares, or runs whose rare accuracy is below .99 (`under-learned`) or not (`learned`)."""
    value: Mapped[float | None]
    low: Mapped[float | None]
    high: Mapped[float | None]
    n_seeds: Mapped[int]
    n_runs: Mapped[int]
    n_positive: Mapped[int]
    """Seeds whose own DiD is above zero."""
    interval: Mapped[Label]
