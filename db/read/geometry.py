"""Queries about the inside of models; heads are read at `position`: `last` token or `mean` over tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, and_, func, select
from sqlalchemy.orm import aliased

from hormesis.db.blocks import decode_float16, decode_float32, decode_int64
from hormesis.db.engine import reading
from hormesis.db.read.columns import ARM, BY_ARM, EXAMPLE, sets_with_counts
from hormesis.db.read.frame import frame, frame_on
from hormesis.db.schema import (
    ActivationBlock,
    Arm,
    Checkpoint,
    Direction,
    DirectionProfile,
    Example,
    ExampleList,
    MapAgreement,
    Probe,
    ProbeSet,
    Projection,
    ProjectionPoint,
)

_CHUNK = 5_000


def probe_sets(engine: Engine, study_id: int) -> pd.DataFrame:
    """Probe sets with the number of their examples: id, name, revision, source, examples."""
    return sets_with_counts(engine, ProbeSet, study_id, member=Example.probe_set_id, name="examples")


def study_probes(engine: Engine, study_id: int, position: str = "last") -> pd.DataFrame:
    """Probes of every checkpoint of a study, with checkpoint (name), kind, share and seed of its arm.

    Checkpoints come in the order of `checkpoints`, heads by layer and head; imported ones have no kind,
    share and seed. Where a checkpoint was probed on several sets, the first one counts.
    """
    any_probe = aliased(Probe)
    first_set_id = (
        select(func.min(any_probe.probe_set_id))
        .where(any_probe.checkpoint_id == Checkpoint.id, any_probe.position == position)
        .scalar_subquery()
    )
    query = (
        select(
            *Probe.__table__.columns,
            (Probe.accuracy - Probe.shuffled_accuracy).label("selectivity"),
            Checkpoint.name.label("checkpoint"),
            *ARM,
        )
        .select_from(Checkpoint)
        .join(Probe, (Probe.checkpoint_id == Checkpoint.id) & (Probe.position == position))
        .outerjoin(Arm, Checkpoint.arm_id == Arm.id)
        .where(Checkpoint.study_id == study_id, Probe.probe_set_id == first_set_id)
        .order_by(*BY_ARM, Checkpoint.name, Probe.layer, Probe.head)
    )
    return frame(engine, query)


def projections(engine: Engine, study_id: int) -> pd.DataFrame:
    """Every projection of a study: all columns of `projection` (parameters as a dict), and the checkpoint."""
    query = (
        select(*Projection.__table__.columns, Checkpoint.name.label("checkpoint"))
        .outerjoin(Checkpoint, Projection.checkpoint_id == Checkpoint.id)
        .where(Projection.study_id == study_id)
        .order_by(Projection.subject.desc(), Projection.key)
    )
    return frame(engine, query)


def projection_points(
    engine: Engine, projection_id: int, max_points: int = 15_000, *, with_text: bool = False
) -> pd.DataFrame:
    """A row per point: position (its number in the projection), x, y, z, and what it stands for.

    Columns: checkpoint_id, checkpoint, kind, share, seed, layer, head (for directions); example_id, label,
    group, source, score, split (for activations); text only with `with_text`. Where there are more than
    `max_points`, every n-th by position; `projection.n` says how many there are.
    """
    count_query = select(Projection.n).where(Projection.id == projection_id)

    def read(connection: Connection) -> pd.DataFrame:
        stride = max(1, -(-int(connection.execute(count_query).scalar() or 0) // max(max_points, 1)))
        columns = [
            ProjectionPoint.position,
            ProjectionPoint.x,
            ProjectionPoint.y,
            ProjectionPoint.z,
            ProjectionPoint.checkpoint_id,
            Checkpoint.name.label("checkpoint"),
            *ARM,
            ProjectionPoint.layer,
            ProjectionPoint.head,
            ProjectionPoint.example_id,
            *EXAMPLE,
            *([Example.text] if with_text else []),
        ]
        query = (
            select(*columns)
            .outerjoin(Checkpoint, ProjectionPoint.checkpoint_id == Checkpoint.id)
            .outerjoin(Arm, Checkpoint.arm_id == Arm.id)
            .outerjoin(Example, ProjectionPoint.example_id == Example.id)
            .where(ProjectionPoint.projection_id == projection_id)
            .order_by(ProjectionPoint.position)
            .limit(max_points)
        )
        if stride > 1:
            query = query.where(ProjectionPoint.position % stride == 0)
        return frame_on(connection, query)

    return reading(engine, read)


def map_agreements(engine: Engine, study_id: int) -> pd.DataFrame:
    """Figures of merit of the maps of directions: all columns of `map_agreement`, by key and measure."""
    query = (
        select(*MapAgreement.__table__.columns)
        .where(MapAgreement.study_id == study_id)
        .order_by(MapAgreement.key, MapAgreement.measure)
    )
    return frame(engine, query)


def statement_scores(
    engine: Engine, checkpoint_id: int, *, layer: int, head: int, position: str = "last"
) -> pd.DataFrame:
    """Scores of the fixed test statements along one head's direction, the highest first.

    Columns: id, label, group, source, score (its own, where the source has one), split, and projection: of
    the head's activation, in standard deviations over these statements from their mean. Empty where there
    are none.
    """
    profile = DirectionProfile
    query = (
        select(profile.columns, profile.scale, profile.data, profile.heads, ExampleList.ids)
        .join(ExampleList, profile.example_list_id == ExampleList.id)
        .where(
            profile.checkpoint_id == checkpoint_id,
            profile.position == position,
            profile.space == "functional",
            profile.method.not_like("random-%"),
        )
    )
    count = select(func.max(Probe.head) + 1).where(Probe.checkpoint_id == checkpoint_id)

    def read(connection: Connection) -> pd.DataFrame:
        row = connection.execute(query).first()
        heads_per_layer = connection.execute(count).scalar()
        if row is None or heads_per_layer is None or layer * heads_per_layer + head >= row.heads:
            return _examples(connection, np.array([], dtype=np.int64)).assign(
                projection=pd.Series(dtype=float)
            )
        profile_rows = decode_float16(row.data, row.columns, row.scale)
        of_head = profile_rows[layer * heads_per_layer + head].astype(np.float64)
        spread = float(of_head.std()) or 1.0
        examples = _examples(connection, decode_int64(row.ids))
        scores = examples.assign(projection=(of_head - of_head.mean()) / spread)
        return scores.sort_values("projection", ascending=False, kind="stable").reset_index(drop=True)

    return reading(engine, read)


def directions(engine: Engine, checkpoint_id: int, position: str = "last") -> pd.DataFrame:
    """Stored unit vectors of heads that point to toxicity, best head first.

    Columns: method, layer, head, rank (missing where not steered), sigma, vector (float32 [head_dim]). Where
    there are several probe sets, the one that most heads were selected by.
    """
    key_columns = ("checkpoint_id", "probe_set_id", "position", "layer", "head")
    is_same_head = and_(*(getattr(Probe, key) == getattr(Direction, key) for key in key_columns))
    chosen_set_id = (
        select(Probe.probe_set_id)
        .where(Probe.checkpoint_id == checkpoint_id, Probe.position == position)
        .group_by(Probe.probe_set_id)
        .order_by(func.count(Probe.rank).desc(), Probe.probe_set_id)
        .limit(1)
        .scalar_subquery()
    )
    query = (
        select(
            Direction.method, Direction.layer, Direction.head, Probe.rank, Direction.sigma, Direction.vector
        )
        .join(Probe, is_same_head)
        .where(Direction.checkpoint_id == checkpoint_id, Direction.position == position)
        .where(Direction.probe_set_id == chosen_set_id)
        .order_by(Direction.method, Probe.rank.nulls_last(), Probe.select_accuracy.desc())
        .order_by(Direction.layer, Direction.head)
    )
    rows = frame(engine, query)
    vectors = pd.Series([decode_float32(data) for data in rows["vector"]], index=rows.index, dtype="object")
    return rows.assign(vector=vectors)


@dataclass(frozen=True, eq=False)
class HeadActivations:
    """Activations of one head [examples, head_dim] float32, and a row per example in the same order."""

    values: NDArray[np.float32]
    examples: pd.DataFrame


def kept_heads(engine: Engine, study_id: int, position: str = "last") -> pd.DataFrame:
    """Heads with activations: checkpoint_id, checkpoint, layer, head, rows (examples), columns (width)."""
    query = (
        select(
            ActivationBlock.checkpoint_id,
            Checkpoint.name.label("checkpoint"),
            ActivationBlock.layer,
            ActivationBlock.head,
            ActivationBlock.rows,
            ActivationBlock.columns,
        )
        .join(Checkpoint, ActivationBlock.checkpoint_id == Checkpoint.id)
        .where(Checkpoint.study_id == study_id, ActivationBlock.position == position)
        .order_by(Checkpoint.name, ActivationBlock.layer, ActivationBlock.head)
    )
    return frame(engine, query)


def activations(
    engine: Engine,
    checkpoint_id: int,
    *,
    layer: int,
    head: int,
    position: str = "last",
    probe_set_id: int | None = None,
) -> HeadActivations | None:
    """One head's stored activations with id, label, group, source, score and split of their examples.

    `probe_set_id` None takes the first set. None where the study did not keep this head.
    """
    query = (
        select(ActivationBlock.columns, ActivationBlock.scale, ActivationBlock.data, ExampleList.ids)
        .join(ExampleList, ActivationBlock.example_list_id == ExampleList.id)
        .where(
            ActivationBlock.checkpoint_id == checkpoint_id,
            ActivationBlock.position == position,
            ActivationBlock.layer == layer,
            ActivationBlock.head == head,
        )
        .order_by(ActivationBlock.probe_set_id)
        .limit(1)
    )
    if probe_set_id is not None:
        query = query.where(ActivationBlock.probe_set_id == probe_set_id)

    def read(connection: Connection) -> HeadActivations | None:
        row = connection.execute(query).first()
        if row is None:
            return None
        head_dim, scale, values_blob, ids_blob = row
        return HeadActivations(
            decode_float16(values_blob, head_dim, scale), _examples(connection, decode_int64(ids_blob))
        )

    return reading(engine, read)


def _examples(connection: Connection, example_ids: NDArray[np.int64]) -> pd.DataFrame:
    """A row per id of `example_ids` `(n,)`, in that order, without the text of the examples."""
    parts = []
    for start in range(0, max(len(example_ids), 1), _CHUNK):
        chunk_ids = example_ids[start : start + _CHUNK].tolist()
        query = select(Example.id, *EXAMPLE).where(Example.id.in_(chunk_ids))
        parts.append(frame_on(connection, query))
    return pd.concat(parts).set_index("id").reindex(example_ids).rename_axis("id").reset_index()
