"""Stage `project`: maps of toxicity directions over heads and arms, and of chosen heads' activations.

Computed once and stored as points, because no page should wait for UMAP.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any, Literal, NamedTuple

from sqlalchemy import select

from hormesis.db.blocks import decode_float16, decode_int64
from hormesis.db.schema import (
    ActivationBlock,
    Checkpoint,
    Example,
    ExampleList,
    Probe,
    Projection,
    ProjectionPoint,
    StageRun,
)
from hormesis.db.write import delete_others, read_session, replace_rows, upsert, write_session
from hormesis.pipeline.execution.arms import plan_arms
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.execution.provenance import digest
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.geometry.direction_maps import DirectionSet, Floats, direction_sets, write_agreements
from hormesis.pipeline.geometry.projections import Projected
from hormesis.pipeline.geometry.projections import project as map_rows
from hormesis.pipeline.summaries.head_summary import write_head_summaries

log = logging.getLogger(__name__)
PROJECT_VERSION = 2
"""Raised whenever maps or figures change."""
Method = Literal["umap", "pca"]
MAPS: tuple[tuple[Method, Literal[2, 3]], ...] = (("pca", 2), ("pca", 3), ("umap", 2), ("umap", 3))
ACTIVATION_MAPS: tuple[tuple[Method, Literal[2, 3]], ...] = (("pca", 2), ("umap", 2))


def project(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    """Write every projection of the study, and how well its heads read toxicity, arm by arm.

    `keys`: of the projections that stay. Projections of heads that are no longer among the best are dropped.
    """
    reporter.say("comparing the heads of all arms")
    write_head_summaries(context)
    best_heads = _best_heads(context)
    sets = list(direction_sets(context, partial(_is_first, context)))
    if not sets and _has_maps(context):
        log.warning("what maps are made from was left out of this copy, so the maps stay as they are")
        return
    n_maps = sum(1 + len(directions.nulls) for directions in sets) * len(MAPS)
    total, keys = n_maps + len(best_heads) * len(ACTIVATION_MAPS), list[str]()
    for directions in sets:
        reporter.say(f"directions by {directions.key}")
        for null_model, units in directions.maps():
            for method, dimensions in MAPS:
                reporter.report(len(keys), total, "maps")
                keys.append(
                    _project_directions(
                        context, directions, null_model, units=units, method=method, dimensions=dimensions
                    )
                )
    reporter.say("neighbours of directions, against chance")
    write_agreements(context, sets)
    for head in best_heads:
        for method, dimensions in ACTIVATION_MAPS:
            reporter.say(f"activations of {head.name} layer {head.layer} head {head.head}, {method}")
            reporter.report(len(keys), total, "maps")
            keys.append(_project_head(context, head, method, dimensions=dimensions))
    with write_session(context.engine) as session:
        of_study = [Projection.study_id == context.study_id]
        delete_others(session, Projection, keys, on=("key",), within=of_study)
    reporter.report(total, total, "maps")


def _has_maps(context: StudyContext) -> bool:
    with read_session(context.engine) as session:
        query = select(Projection.id).where(Projection.study_id == context.study_id).limit(1)
        return session.scalar(query) is not None


def _is_first(context: StudyContext, name: str) -> bool:
    """Whether a checkpoint is of the first seed, or imported."""
    endings = [f"-s{seed}" for seed in dict.fromkeys(arm.seed for arm in plan_arms(context.config))]
    return name.endswith(tuple(endings[:1])) or not name.endswith(tuple(endings[1:]))


def _project_directions(
    context: StudyContext,
    directions: DirectionSet,
    null_model: str | None,
    *,
    units: Floats,
    method: Method,
    dimensions: Literal[2, 3],
) -> str:
    """Project one set of directions, or a null of it, from unit rows [heads, columns]; gives the key."""
    key = "/".join(part for part in (directions.key, null_model, f"{method}-{dimensions}") if part)
    projected = map_rows(units, method, dimensions, settings=context.config.projection, metric="cosine")
    projected.parameters.update(columns=units.shape[1], left_out=directions.left_out)
    _write(
        context,
        {
            "key": key,
            "checkpoint_id": directions.checkpoint_id,
            "subject": "directions",
            "space": directions.space,
            "null_model": null_model,
            "layer": None,
            "head": None,
        },
        projected,
        points=directions.points,
    )
    return key


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
    columns = {
        "key": key,
        "checkpoint_id": head.checkpoint,
        "subject": "activations",
        "space": None,
        "null_model": None,
        "layer": head.layer,
        "head": head.head,
    }
    _write(context, columns, projected, points=[{"example_id": example} for example in example_ids])
    return key


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
    with read_session(context.engine) as session:
        heads = [_Head(*row) for row in session.execute(query)]
    return [head for head in heads if _is_first(context, head.name)]


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
        labels = {row.id: row.label for row in session.execute(label_query)}
    return example_ids, [labels.get(example, 0) for example in example_ids], values


def _write(
    context: StudyContext, columns: dict[str, Any], projected: Projected, *, points: list[dict[str, Any]]
) -> None:
    """Write a map; `columns` of its row that say what it is of, `projected.rows` index `points`."""
    projection_row = {
        **columns,
        "study_id": context.study_id,
        "method": projected.method,
        "dimensions": projected.coordinates.shape[1],
        "parameters": projected.parameters,
        "n": len(projected.rows),
        "trustworthiness": projected.trustworthiness,
        "overlap": projected.overlap,
    }
    rows: list[dict[str, Any]] = []
    with write_session(context.engine) as session:
        upsert(session, Projection, [projection_row], on=("study_id", "key"))
        map_id = session.execute(
            select(Projection.id).where(
                Projection.study_id == context.study_id, Projection.key == columns["key"]
            )
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
                    "z": float(point[2]) if len(point) == 3 else None,
                }
            )
        on, within = ("projection_id", "position"), [ProjectionPoint.projection_id == map_id]
        replace_rows(session, ProjectionPoint, rows, on=on, within=within)


def project_key(context: StudyContext, subject: Subject) -> str:
    """Hash of the finished probes, profiles and scores of all checkpoints, and the projection settings.

    The scores count as well: a study cut between an arm's last score and its summary is then not finished.
    """
    query = select(StageRun.input_hash).where(
        StageRun.study_id == context.study_id,
        StageRun.stage.in_(("probe", "geometry", "score")),
        StageRun.status == "done",
    )
    with read_session(context.engine) as session:
        finished_hashes = sorted(session.scalars(query))
    return digest("project", PROJECT_VERSION, finished_hashes, context.inputs.settings("projection"))
