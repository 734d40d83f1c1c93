"""Tables of what was found inside the models: probe sets, probes, directions, activations and projections."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from hormesis.db.schema.base import (
    FOLLOWS,
    FREE,
    IDS_OF,
    LIST_HASH,
    Base,
    Blob,
    HeadRow,
    Json,
    Key,
    Label,
    Name,
    ProbeSetRow,
    Quote,
    StudyRow,
)


class ProbeSet(StudyRow):
    """Labelled statements with fixed train / select / test splits by group."""

    __tablename__ = "probe_set"
    __table_args__ = (UniqueConstraint("study_id", "name"),)

    name: Mapped[Name]
    revision: Mapped[Label]
    source: Mapped[Label]


class Example(Base):
    """One labelled statement of a probe set."""

    __tablename__ = "example"
    __table_args__ = (UniqueConstraint("probe_set_id", "key"),)

    id: Mapped[Key]
    probe_set_id: Mapped[int] = mapped_column(ForeignKey("probe_set.id", ondelete="CASCADE"))
    key: Mapped[Label]
    """Content hash; stable across runs, unlike a position."""
    text: Mapped[Quote]
    label: Mapped[int]
    """1 toxic, 0 not."""
    group: Mapped[Label | None]
    source: Mapped[Label | None]
    score: Mapped[float | None]
    split: Mapped[Label]
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
    """Test accuracy of the same probe fitted on labels shuffled anew; selectivity = accuracy − this."""
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

    position: Mapped[Label]
    method: Mapped[Label]
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
    hash: Mapped[Label] = mapped_column(unique=True, info=FREE | {LIST_HASH: True})
    count: Mapped[int]
    ids: Mapped[Blob] = mapped_column(info=FREE | {IDS_OF: "example"})
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
    position: Mapped[Label]
    layer: Mapped[int]
    head: Mapped[int]
    rows: Mapped[int]
    columns: Mapped[int]
    scale: Mapped[float] = mapped_column(default=1.0)
    """Stored value × scale = activation; keeps large activations inside float16."""
    data: Mapped[Blob]


class DirectionProfile(ProbeSetRow):
    """What the directions of all heads of a checkpoint do, in a space that heads share: a float16 matrix.

    A row of the matrix per head, layer-major. Heads have bases of their own, so their vectors cannot be
    compared; these can, wherever `basis` is the same.
    """

    __tablename__ = "direction_profile"
    __table_args__ = (
        UniqueConstraint(
            "checkpoint_id", "probe_set_id", "position", "space", "method", name="uq_direction_profile_method"
        ),
    )

    position: Mapped[Label]
    """`last` token or `mean` over tokens."""
    space: Mapped[Label]
    """`functional`: activations of a fixed set of test statements along the direction; `vocabulary`: change
    of the logits of a fixed set of tokens (logit lens); `residual`: the direction through the output
    projection, in the residual stream of the checkpoint itself."""
    method: Mapped[Label]
    """How the direction was found, as `direction.method`; `random-3`: a random one, for comparison."""
    basis: Mapped[Label] = mapped_column(info=FREE | {LIST_HASH: True})
    """What the columns stand for: a hash of the statements, or of the vocabulary; the weights' for
    `residual`."""
    example_list_id: Mapped[int | None] = mapped_column(ForeignKey("example_list.id"))
    """The statements, in the order of the columns; null in the other spaces."""
    heads: Mapped[int]
    """All heads of the model."""
    columns: Mapped[int]
    """Statements, tokens, or dimensions of the residual stream."""
    scale: Mapped[float] = mapped_column(default=1.0)
    """Stored value × scale = value."""
    data: Mapped[Blob]
    """float16, little endian, in C order: `heads` by `columns`."""


class Projection(StudyRow):
    """Coordinates computed once: of directions over heads and arms, or of one head's activations."""

    __tablename__ = "projection"
    __table_args__ = (UniqueConstraint("study_id", "key"), {"info": FOLLOWS})

    checkpoint_id: Mapped[int | None] = mapped_column(ForeignKey("checkpoint.id", ondelete="CASCADE"))
    key: Mapped[Label]
    """Natural key, e.g. `functional/umap-2`, `residual/toxic-0-s0/random/pca-3`, `toxic-10-s0/L2H3/pca-2`."""
    subject: Mapped[Label]
    """`directions` or `activations`."""
    space: Mapped[Label | None]
    """What directions are compared by, as `direction_profile.space`; null for activations."""
    null_model: Mapped[Label | None]
    """`independent`: heads that share nothing but their correlation with the label; `random`: random
    directions; null for the map itself."""
    method: Mapped[Label]
    """`umap` or `pca`."""
    dimensions: Mapped[int]
    layer: Mapped[int | None]
    head: Mapped[int | None]
    parameters: Mapped[Json]
    n: Mapped[int]
    trustworthiness: Mapped[float | None]
    """How far the neighbours on the map are neighbours in the data, 1 at best (Venna and Kaski 2001)."""
    overlap: Mapped[float | None]
    """Share of a point's nearest neighbours in the data that are among its nearest on the map."""


class MapAgreement(StudyRow):
    """Whether directions that are alike belong to heads that are alike: the figure of merit of a map.

    Neighbours are the most similar directions in the data, not on the map; across checkpoints those of other
    checkpoints only.
    """

    __tablename__ = "map_agreement"
    __table_args__ = (UniqueConstraint("study_id", "key", "measure"), {"info": FOLLOWS})

    checkpoint_id: Mapped[int | None] = mapped_column(ForeignKey("checkpoint.id", ondelete="CASCADE"))
    """The checkpoint inside which heads are compared; null for all that share a basis."""
    key: Mapped[Label]
    """`functional`, `vocabulary` or e.g. `residual/toxic-0-s0`; the first part of `projection.key`."""
    space: Mapped[Label]
    """What directions are compared by, as `direction_profile.space`."""
    measure: Mapped[Label]
    """`likeness`: mean cosine of two directions that could be neighbours; `accuracy`: correlation of a head's
    accuracy with the mean of its neighbours'; `layer`, `seed`: share of neighbours with the same."""
    value: Mapped[float]
    low: Mapped[float]
    high: Mapped[float]
    expected: Mapped[float | None]
    """The share among all that could be neighbours; null where the value is no share."""
    independent_mean: Mapped[float | None]
    """Mean over draws of heads that share nothing but their correlation with the label; null where columns
    have no labels."""
    independent_high: Mapped[float | None]
    """95th percentile of those draws."""
    independent_p: Mapped[float | None]
    """Chance of a value as large as this one there."""
    random_mean: Mapped[float]
    """Mean over draws of random directions in the same heads."""
    random_high: Mapped[float]
    """95th percentile of those draws."""
    random_p: Mapped[float]
    """Chance of a value as large as this one there."""
    neighbours: Mapped[int]
    """Nearest neighbours of each head."""
    draws: Mapped[int]
    """Draws of each null."""
    heads: Mapped[int]
    """Heads compared, of all checkpoints."""
    checkpoints: Mapped[int]
    """Checkpoints that these heads belong to."""
    interval: Mapped[Label]


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
