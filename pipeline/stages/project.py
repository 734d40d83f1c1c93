"""Stage `project`: maps of toxicity directions over heads and arms, and of chosen heads' activations.

Computed once and stored as points, because no page should wait for UMAP.
"""

from __future__ import annotations

from typing import Any, Literal

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

    Projections of heads that are no longer among the best are dropped.
    """
    reporter.say("comparing the heads of all arms")
    write_head_summaries(context)
    heads = _best_heads(context)
    total, done = len(MAPS) + len(heads) * len(ACTIVATION_MAPS), 0
    kept: list[str] = []
    points, vectors = _directions(context)
    for method, dimensions in MAPS if points else ():
        reporter.say(f"directions, {method} in {dimensions} dimensions")
        reporter.report(done, total, "maps")
        strata = [point["name"] for point in points]
        made = map_rows(
            vectors, method, dimensions, settings=context.config.projection, metric="cosine", strata=strata
        )
        key = f"directions/{method}-{dimensions}"
        _write(context, key, "directions", made, dimensions, points)
        kept.append(key)
        done += 1
    for checkpoint, name, layer, head in heads:
        for method, dimensions in ACTIVATION_MAPS:
            reporter.say(f"activations of {name} layer {layer} head {head}, {method}")
            reporter.report(done, total, "maps")
            kept.append(_project_head(context, (checkpoint, name, layer, head), method, dimensions))
            done += 1
    with write_session(context.engine) as session:
        of_study = [Projection.study_id == context.study_id]
        delete_others(session, Projection, kept, on=("key",), within=of_study)
    reporter.report(total, total, "maps")


def _project_head(
    context: StudyContext,
    place: tuple[int, str, int, int],
    method: Literal["umap", "pca"],
    dimensions: Literal[2, 3],
) -> str:
    """Project one head's activations, where they are kept; gives the projection's key."""
    checkpoint, name, layer, head = place
    key = f"{name}/L{layer}H{head}/{method}-{dimensions}"
    found = _activations(context, checkpoint, layer, head)
    if found is None:
        return key
    examples, labels, values = found
    made = map_rows(values, method, dimensions, settings=context.config.projection, strata=labels)
    points: list[dict[str, Any]] = [{"example_id": int(one)} for one in examples]
    _write(context, key, "activations", made, dimensions, points, checkpoint, layer, head)
    return key


def _directions(context: StudyContext) -> tuple[list[dict[str, Any]], Any]:
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
        for checkpoint, name, layer, head, vector in session.execute(query):
            points.append({"checkpoint_id": checkpoint, "name": name, "layer": layer, "head": head})
            vectors.append(decode_float32(vector))
    widths = {len(vector) for vector in vectors}
    if len(widths) > 1:
        # Heads of different widths (an imported checkpoint beside arms) share no space: keep the commonest.
        kept = max(widths, key=lambda width: sum(len(vector) == width for vector in vectors))
        pairs = [(p, v) for p, v in zip(points, vectors, strict=True) if len(v) == kept]
        points, vectors = [p for p, _ in pairs], [v for _, v in pairs]
    return points, np.array(vectors)


def _best_heads(context: StudyContext) -> list[tuple[int, str, int, int]]:
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
    first = f"-s{context.config.seeds[0]}" if context.config.seeds else ""
    others = tuple(f"-s{seed}" for seed in context.config.seeds[1:])
    with read_session(context.engine) as session:
        rows = session.execute(query).tuples().all()
    return [row for row in rows if row[1].endswith(first) or not row[1].endswith(others)]


def _activations(
    context: StudyContext, checkpoint: int, layer: int, head: int
) -> tuple[list[int], list[int], Any] | None:
    query = (
        select(ActivationBlock, ExampleList.ids)
        .join(ExampleList, ActivationBlock.example_list_id == ExampleList.id)
        .where(
            ActivationBlock.checkpoint_id == checkpoint,
            ActivationBlock.layer == layer,
            ActivationBlock.head == head,
            ActivationBlock.position == context.config.probe.position,
        )
    )
    with read_session(context.engine) as session:
        found = session.execute(query).first()
        if found is None:
            return None
        block, ids = found
        examples = [int(one) for one in decode_int64(ids)]
        values = decode_float16(block.data, block.columns, block.scale)
        labels = dict(
            session.execute(
                select(Example.id, Example.label).where(Example.probe_set_id == block.probe_set_id)
            )
            .tuples()
            .all()
        )
    return examples, [labels.get(one, 0) for one in examples], values


def _write(
    context: StudyContext,
    key: str,
    subject: str,
    made: Projected,
    dimensions: int,
    points: list[dict[str, Any]],
    checkpoint: int | None = None,
    layer: int | None = None,
    head: int | None = None,
) -> None:
    head_row = {
        "study_id": context.study_id,
        "checkpoint_id": checkpoint,
        "key": key,
        "subject": subject,
        "method": made.method,
        "dimensions": dimensions,
        "layer": layer,
        "head": head,
        "parameters": made.parameters,
        "n": len(made.rows),
    }
    rows: list[dict[str, Any]] = []
    with write_session(context.engine) as session:
        upsert(session, Projection, [head_row], on=("study_id", "key"))
        projection = session.execute(
            select(Projection.id).where(Projection.study_id == context.study_id, Projection.key == key)
        ).scalar_one()
        for position, (row, place) in enumerate(zip(made.rows, made.coordinates, strict=True)):
            rows.append(
                {
                    "projection_id": projection,
                    "position": position,
                    "checkpoint_id": points[row].get("checkpoint_id"),
                    "layer": points[row].get("layer"),
                    "head": points[row].get("head"),
                    "example_id": points[row].get("example_id"),
                    "x": float(place[0]),
                    "y": float(place[1]),
                    "z": float(place[2]) if dimensions == 3 else None,
                }
            )
        on, within = ("projection_id", "position"), [ProjectionPoint.projection_id == projection]
        replace_rows(session, ProjectionPoint, rows, on=on, within=within)


def project_key(context: StudyContext, subject: Subject) -> str:
    """Of the study's projections, over the checkpoints that are probed.

    The scores count as well: a study cut between an arm's last score and its summary is then not finished.
    """
    query = select(StageRun.input_hash).where(
        StageRun.study_id == context.study_id,
        StageRun.stage.in_(("probe", "score")),
        StageRun.status == "done",
    )
    with read_session(context.engine) as session:
        finished = sorted(session.scalars(query))
    return digest("project", PROBE_VERSION, finished, context.inputs.settings("projection"))


STAGE = Stage("project", key=project_key, run=project, needs=("probe", "score"), reads_rows=True)
