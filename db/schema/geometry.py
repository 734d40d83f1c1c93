"""Tables of what was found inside the models: probe sets, probes, directions, activations and projections."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from hormesis.db.schema.base import Base, Blob, HeadRow, Json, Key, Name, ProbeSetRow, StudyRow


class ProbeSet(StudyRow):
    """Labelled statements with fixed train / select / test splits by group."""

    __tablename__ = "probe_set"
    __table_args__ = (UniqueConstraint("study_id", "name"),)

    name: Mapped[Name]
    revision: Mapped[str]
    source: Mapped[str]


class Example(Base):
    """One labelled statement of a probe set."""

    __tablename__ = "example"
    __table_args__ = (UniqueConstraint("probe_set_id", "key"),)

    id: Mapped[Key]
    probe_set_id: Mapped[int] = mapped_column(ForeignKey("probe_set.id", ondelete="CASCADE"))
    key: Mapped[str]
    """Content hash; stable across runs, unlike a position."""
    text: Mapped[str]
    label: Mapped[int]
    """1 toxic, 0 not."""
    group: Mapped[str | None]
    source: Mapped[str | None]
    score: Mapped[float | None]
    split: Mapped[str]
    """`train`, `select` or `test`."""


class Probe(HeadRow):
    """A linear classifier on one head. Accuracies are balanced accuracies, fractions of one."""

    __tablename__ = "probe"
    __table_args__ = (UniqueConstraint("checkpoint_id", "probe_set_id", "position", "layer", "head"),)

    select_accuracy: Mapped[float]
    accuracy: Mapped[float]
    accuracy_low: Mapped[float]
    accuracy_high: Mapped[float]
    auroc: Mapped[float]
    auroc_low: Mapped[float]
    auroc_high: Mapped[float]
    shuffled_accuracy: Mapped[float]
    """Test accuracy of the same probe fitted on shuffled labels; selectivity = accuracy − this."""
    majority: Mapped[float]
    """Plain accuracy of always answering the commoner class of the test split."""
    separation: Mapped[float]
    """Distance of the class means along the direction, in pooled standard deviations (test split)."""
    rank: Mapped[int | None]
    """Place among the selected heads (1 is best by the select split); null where not selected."""
    n_train: Mapped[int]
    n_select: Mapped[int]
    n_test: Mapped[int]


class Direction(ProbeSetRow):
    """Unit vector of a head that points to toxicity, and sigma, the spread of activations along it."""

    __tablename__ = "direction"
    __table_args__ = (
        UniqueConstraint(
            "checkpoint_id", "probe_set_id", "position", "method", "layer", "head", name="uq_direction_head"
        ),
    )

    position: Mapped[str]
    method: Mapped[str]
    """`mass_mean` or `probe`."""
    layer: Mapped[int]
    head: Mapped[int]
    sigma: Mapped[float]
    vector: Mapped[Blob]
    """float32, little endian, head_dim values."""


class ExampleList(Base):
    """An ordered list of example ids, shared by the activation blocks whose rows follow it."""

    __tablename__ = "example_list"

    id: Mapped[Key]
    hash: Mapped[str] = mapped_column(unique=True)
    count: Mapped[int]
    ids: Mapped[Blob]
    """int64, little endian."""


class ActivationBlock(ProbeSetRow):
    """Activations of one head: a float16 matrix, examples by head_dim."""

    __tablename__ = "activation_block"
    __table_args__ = (
        UniqueConstraint(
            "checkpoint_id", "probe_set_id", "position", "layer", "head", name="uq_activation_block_head"
        ),
    )

    example_list_id: Mapped[int] = mapped_column(ForeignKey("example_list.id"))
    position: Mapped[str]
    layer: Mapped[int]
    head: Mapped[int]
    rows: Mapped[int]
    columns: Mapped[int]
    scale: Mapped[float] = mapped_column(default=1.0)
    """Stored value × scale = activation; keeps large activations inside float16."""
    data: Mapped[Blob]


class Projection(StudyRow):
    """Coordinates computed once: of directions over heads and arms, or of one head's activations."""

    __tablename__ = "projection"
    __table_args__ = (UniqueConstraint("study_id", "key"),)

    checkpoint_id: Mapped[int | None] = mapped_column(ForeignKey("checkpoint.id", ondelete="CASCADE"))
    key: Mapped[str]
    """Natural key, e.g. `directions/umap-2` or `toxic-10-s0/L2H3/pca-3`."""
    subject: Mapped[str]
    """`directions` or `activations`."""
    method: Mapped[str]
    """`umap` or `pca`."""
    dimensions: Mapped[int]
    layer: Mapped[int | None]
    head: Mapped[int | None]
    parameters: Mapped[Json]
    n: Mapped[int]


class ProjectionPoint(Base):
    """One point of a projection: a head of a checkpoint, or an example."""

    __tablename__ = "projection_point"
    __table_args__ = (
        Index("ix_projection_point_projection_id_example_id", "projection_id", "example_id"),
        {"sqlite_with_rowid": False},
    )

    projection_id: Mapped[int] = mapped_column(
        ForeignKey("projection.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    checkpoint_id: Mapped[int | None] = mapped_column(ForeignKey("checkpoint.id", ondelete="CASCADE"))
    layer: Mapped[int | None]
    head: Mapped[int | None]
    example_id: Mapped[int | None] = mapped_column(ForeignKey("example.id", ondelete="CASCADE"))
    x: Mapped[float]
    y: Mapped[float]
    z: Mapped[float | None]
