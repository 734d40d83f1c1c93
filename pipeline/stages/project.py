"""Stage `project`: maps of toxicity directions over heads and arms, and of chosen heads' activations.

Computed once and stored as points, because no page should wait for UMAP.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from sqlalchemy import select

from hormesis.db.blocks import decode_float16, decode_float32, decode_int64
from hormesis.db.schema import (
    ActivationBlock,
    Checkpoint,
    Direction,
    Example,
    ExampleList,
    Probe,
    Projection,
    ProjectionPoint,
    StageRun,
)
from hormesis.db.write import delete_others, read_session, replace_rows, upsert, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.inputs import PROBE_VERSION
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.execution.provenance import digest
from hormesis.pipeline.execution.stage import Stage, Subject
from hormesis.pipeline.geometry.projections import Projected
from hormesis.pipeline.geometry.projections import project as map_rows
from hormesis.pipeline.summaries.head_summary import write_head_summaries

MAPS: tuple[tuple[Literal["umap", "pca"], Literal[2, 3]], ...] = (
    ("pca", 2),
    ("pca", 3),
    ("umap", 2),
    ("umap", 3),
)
ACTIVATION_MAPS: tuple[tuple[Literal["umap", "pca"], Literal[2, 3]], ...] = (("pca", 2), ("umap", 2))


def project(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    """Write every projection of the study, and how well its heads read toxicity, arm by arm.

    `points` and `vectors`: the study's directions; `keys`: of the projections that stay. Projections of heads
    that are no longer among the best are dropped.
    """
    reporter.say("comparing the heads of all arms")
    write_head_summaries(context)
    best_heads = _best_heads(context)
    total, done = len(MAPS) + len(best_heads) * len(ACTIVATION_MAPS), 0
    keys: list[str] = []
    points, vectors = _directions(context)
    for method, dimensions in MAPS if points else ():
        reporter.say(f"directions, {method} in {dimensions} dimensions")
        reporter.report(done, total, "maps")
        strata = [point["name"] for point in points]
        projected = map_rows(
            vectors, method, dimensions, settings=context.config.projection, metric="cosine", strata=strata
        )
        key = f"directions/{method}-{dimensions}"
        _write(context, key, projected, dimensions=dimensions, points=points)
        keys.append(key)
        done += 1
    for head in best_heads:
        for method, dimensions in ACTIVATION_MAPS:
            reporter.say(f"activations of {head.name} layer {head.layer} head {head.head}, {method}")
            reporter.report(done, total, "maps")
            keys.append(_project_head(context, head, method, dimensions=dimensions))
            done += 1
    with write_session(context.engine) as session:
        of_study = [Projection.study_id == context.study_id]
        delete_others(session, Projection, keys, on=("key",), within=of_study)
    reporter.report(total, total, "maps")


class _Head(NamedTuple):
    """A head of a checkpoint, with the checkpoint's name."""

    checkpoint: int
    name: str
    layer: int
    head: int


def _project_head(
    context: StudyContext,
    head: _Head,
    method: Literal["umap", "pca"],
    *,
    dimensions: Literal[2, 3],
) -> str:
    """Project one head's activations, where they are kept; gives the projection's key."""
    key = f"{head.name}/L{head.layer}H{head.head}/{method}-{dimensions}"
    activations = _activations(context, head)
    if activations is None:
        return key
    example_ids, labels, values = activations
    projected = map_rows(values, method, dimensions, settings=context.config.projection, strata=labels)
    points: list[dict[str, Any]] = [{"example_id": example} for example in example_ids]
    _write(context, key, projected, dimensions=dimensions, points=points, head=head)
    return key


def _directions(context: StudyContext) -> tuple[list[dict[str, Any]], Any]:
    """A dict (checkpoint, name, layer, head) and a vector [n, head_dim] per head, in the same order."""
    query = (
        select(Direction.checkpoint_id, Checkpoint.name, Direction.layer, Direction.head, Direction.vector)
        .join(Checkpoint, Direction.checkpoint_id == Checkpoint.id)
        .where(
            Checkpoint.study_id == context.study_id,
            Direction.method == context.config.steering.direction,
            Direction.position == context.config.probe.position,
        )
        # By name: ids follow the order in which arms happened to end, and the map must not.
        .order_by(Checkpoint.name, Direction.layer, Direction.head)
    )
    points, vectors = [], []
    with read_session(context.engine) as session:
        for checkpoint_id, name, layer, head, vector in session.execute(query):
            points.append({"checkpoint_id": checkpoint_id, "name": name, "layer": layer, "head": head})
            vectors.append(decode_float32(vector))
    widths = {len(vector) for vector in vectors}
    if len(widths) > 1:
        # Heads of different widths (an imported checkpoint beside arms) share no space: keep the commonest.
        commonest = max(widths, key=lambda width: sum(len(vector) == width for vector in vectors))
        pairs = [(p, v) for p, v in zip(points, vectors, strict=True) if len(v) == commonest]
        points, vectors = [p for p, _ in pairs], [v for _, v in pairs]
    return points, np.array(vectors)


def _best_heads(context: StudyContext) -> list[_Head]:
    """The best heads of the first seed's checkpoints and of imported ones."""
    count = context.config.projection.activation_heads
    query = (
        select(Checkpoint.id, Checkpoint.name, Probe.layer, Probe.head)
        .join(Probe, Probe.checkpoint_id == Checkpoint.id)
        .where(
            Checkpoint.study_id == context.study_id,
            Probe.rank <= count,
            Probe.position == context.config.probe.position,
        )
        .order_by(Checkpoint.name, Probe.rank)
    )
    ending = f"-s{context.config.seeds[0]}" if context.config.seeds else ""
    other_endings = tuple(f"-s{seed}" for seed in context.config.seeds[1:])
    with read_session(context.engine) as session:
        heads = [_Head(*row) for row in session.execute(query)]
    return [head for head in heads if head.name.endswith(ending) or not head.name.endswith(other_endings)]


def _activations(context: StudyContext, head: _Head) -> tuple[list[int], list[int], Any] | None:
    """Ids of statements, their labels [n] (1 toxic) and the head's activations [n, head_dim], if stored."""
    query = (
        select(ActivationBlock, ExampleList.ids)
        .join(ExampleList, ActivationBlock.example_list_id == ExampleList.id)
        .where(
            ActivationBlock.checkpoint_id == head.checkpoint,
            ActivationBlock.layer == head.layer,
            ActivationBlock.head == head.head,
            ActivationBlock.position == context.config.probe.position,
        )
    )
    with read_session(context.engine) as session:
        row = session.execute(query).first()
        if row is None:
            return None
        block, ids = row
        example_ids = [int(example) for example in decode_int64(ids)]
        values = decode_float16(block.data, block.columns, block.scale)
        label_query = select(Example.id, Example.label).where(Example.probe_set_id == block.probe_set_id)
        labels = dict(session.execute(label_query).tuples().all())
    return example_ids, [labels.get(example, 0) for example in example_ids], values


def _write(
    context: StudyContext,
    key: str,
    projected: Projected,
    *,
    dimensions: int,
    points: list[dict[str, Any]],
    head: _Head | None = None,
) -> None:
    """Write a map of a head's activations (None: all directions); `projected.rows` index `points`."""
    projection_row = {
        "study_id": context.study_id,
        "checkpoint_id": head and head.checkpoint,
        "key": key,
        "subject": "directions" if head is None else "activations",
        "method": projected.method,
        "dimensions": dimensions,
        "layer": head and head.layer,
        "head": head and head.head,
        "parameters": projected.parameters,
        "n": len(projected.rows),
    }
    rows: list[dict[str, Any]] = []
    with write_session(context.engine) as session:
        upsert(session, Projection, [projection_row], on=("study_id", "key"))
        map_id = session.execute(
            select(Projection.id).where(Projection.study_id == context.study_id, Projection.key == key)
        ).scalar_one()
        for position, (row, point) in enumerate(zip(projected.rows, projected.coordinates, strict=True)):
            rows.append(
                {
                    "projection_id": map_id,
                    "position": position,
                    "checkpoint_id": points[row].get("checkpoint_id"),
                    "layer": points[row].get("layer"),
                    "head": points[row].get("head"),
                    "example_id": points[row].get("example_id"),
                    "x": float(point[0]),
                    "y": float(point[1]),
                    "z": float(point[2]) if dimensions == 3 else None,
                }
            )
        on, within = ("projection_id", "position"), [ProjectionPoint.projection_id == map_id]
        replace_rows(session, ProjectionPoint, rows, on=on, within=within)


def project_key(context: StudyContext, subject: Subject) -> str:
    """Hash of the finished probes and scores of all checkpoints, and the projection settings.

    The scores count as well: a study cut between an arm's last score and its summary is then not finished.
    """
    query = select(StageRun.input_hash).where(
        StageRun.study_id == context.study_id,
        StageRun.stage.in_(("probe", "score")),
        StageRun.status == "done",
    )
    with read_session(context.engine) as session:
        finished_hashes = sorted(session.scalars(query))
    return digest("project", PROBE_VERSION, finished_hashes, context.inputs.settings("projection"))


STAGE = Stage("project", key=project_key, run=project, needs=("probe", "score"), reads_rows=True)
