"""Resolving a requested pane against the database: its weights, prefix, heads, directions and measured cost.

A pane that asks for what
the database does not hold is refused here, before it waits in the queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, select

from hormesis.backend.api.model_names import checkpoint_of_name
from hormesis.backend.model.directions import HeadDirection
from hormesis.backend.service.catalogue import Catalogue, CheckpointRecord, find_checkpoint, shapes_of_row
from hormesis.backend.service.costs import PaneCost, at_matched_cost, measured_cost
from hormesis.backend.service.ranked_heads import PaneProblem, Place, RankedHeads
from hormesis.db.contract.messages import AnyPane, Pane, PaneByName, PaneSettings, ProjectionRequest
from hormesis.db.contract.methods import DIRECTIONS, ITI, NONE, RANDOM, RANDOM_DIRECTION, is_steered
from hormesis.db.location import home
from hormesis.db.schema import Checkpoint, Condition


@dataclass(frozen=True, eq=False)
class PanePlan:
    """A pane with everything the database knows about it."""

    pane: Pane
    checkpoint: CheckpointRecord
    """What is loaded: the checkpoint itself, or what its study tuned from it."""
    steering: tuple[HeadDirection, ...]
    """Heads to move, best first; empty where the method moves none."""
    reading: tuple[HeadDirection, ...]
    """Directions that tokens are projected on; empty where the checkpoint has none."""
    cost: PaneCost
    prefix: str = ""
    """Text that the method puts before the prompt."""
    origin: str = ""
    """The checkpoint whose directions are followed, where that is not the one that is loaded."""


def plan_panes(catalogue: Catalogue, panes: list[AnyPane]) -> list[PanePlan]:
    """Plan every pane of a request from one state of the database.

    Raises UnknownCheckpoint, NameProblem or PaneProblem (which names the pane, counted from 0), and
    DatabaseProblem.
    """
    return catalogue.ask(
        lambda connection: [_numbered_plan(connection, index, pane) for index, pane in enumerate(panes)]
    )


def _numbered_plan(connection: Connection, index: int, pane: AnyPane) -> PanePlan:
    """Plan the pane at `index`, which a refusal names."""
    if isinstance(pane, PaneByName):
        number = checkpoint_of_name(connection, pane.checkpoint)
        pane = Pane(checkpoint_id=number, **{name: getattr(pane, name) for name in PaneSettings.model_fields})
    try:
        return _plan(connection, pane)
    except PaneProblem as problem:
        raise PaneProblem(f"panes.{index}: {problem}") from None


def _plan(connection: Connection, pane: Pane) -> PanePlan:
    """Plan one pane; `parameters` is what the study noted of its method, `heads` are the places it steers."""
    if pane.matched_cost is not None:
        pane = at_matched_cost(connection, pane)
    checkpoint = find_checkpoint(connection, pane.checkpoint_id)
    parameters = _parameters(connection, pane, checkpoint.name)
    ranked = RankedHeads.read(connection, pane.checkpoint_id)
    heads: list[Place] = []
    steering: tuple[HeadDirection, ...] = ()
    if is_steered(pane.method):
        if ranked is None:
            raise PaneProblem(
                f"checkpoint {checkpoint.name} has no probes yet, so there are no heads to steer"
            )
        heads = ranked.take(_requested_heads(pane))
        steering = _steering(connection, pane, ranked, heads=heads, name=checkpoint.name)
    check_vectors(connection, pane)
    tuned = tuned_record(checkpoint, parameters)
    return PanePlan(
        pane=pane,
        checkpoint=tuned,
        steering=steering,
        reading=() if ranked is None else _reading(connection, ranked),
        cost=measured_cost(connection, pane, heads, ranked=[] if ranked is None else ranked.places),
        prefix=str(parameters.get("prefix", "")),
        origin=checkpoint.name if steering and tuned.key != checkpoint.key else "",
    )


def head_direction(
    connection: Connection, request: ProjectionRequest
) -> tuple[CheckpointRecord, HeadDirection]:
    """The checkpoint of a request, and the direction of the head that it names.

    Raises UnknownCheckpoint, NameProblem, and PaneProblem where the head has none.
    """
    number = request.checkpoint_id or checkpoint_of_name(connection, str(request.checkpoint))
    checkpoint = find_checkpoint(connection, number)
    place = (request.layer, request.head)
    ranked = RankedHeads.read(connection, number)
    directions = {} if ranked is None else ranked.directions(connection, request.direction, [place])
    if place not in directions:
        raise PaneProblem(
            f"head {request.head} of layer {request.layer} of {checkpoint.name} has no direction "
            f"'{request.direction}'"
        )
    return checkpoint, directions[place]


def check_vectors(connection: Connection, pane: Pane) -> None:
    """Raises PaneProblem where a vector of the request's own is meant for a place that the checkpoint lacks.

    Widths of the residual stream are no part of the rows; they are checked once the model is loaded.
    """
    if not pane.has_vectors:
        return
    columns = (Checkpoint.n_layers, Checkpoint.n_heads, Checkpoint.head_dim, Checkpoint.details)
    query = select(*columns).where(Checkpoint.id == pane.checkpoint_id)
    row = connection.execute(query).mappings().one()
    layers = [*(v.layer for v in pane.head_vectors), *(v.layer for v in pane.residual_vectors)]
    if max(layers) >= row["n_layers"]:
        raise PaneProblem(f"there is no layer {max(layers)}; the model has {row['n_layers']}, from 0")
    shapes = {shape.layer: shape for shape in shapes_of_row(row)}
    for vector in pane.head_vectors:
        shape = shapes.get(vector.layer)
        if shape is None:
            raise PaneProblem(
                f"layer {vector.layer} has no attention, so no heads; layers that have: "
                f"{', '.join(map(str, shapes))}"
            )
        if vector.head >= shape.n_heads:
            raise PaneProblem(
                f"there is no head {vector.head}; layer {vector.layer} has {shape.n_heads}, from 0"
            )
        if len(vector.vector) != shape.head_dim:
            place = f"head {vector.head} of layer {vector.layer}"
            raise PaneProblem(
                f"the vector of {place} has {len(vector.vector)} numbers, the model needs {shape.head_dim}"
            )


def _parameters(connection: Connection, pane: Pane, name: str) -> Mapping[str, Any]:
    """What the study noted about the method; nothing for those that need directions alone.

    Raises PaneProblem where the study never put the checkpoint under it.
    """
    if pane.method in (NONE, ITI, RANDOM_DIRECTION):
        return {}
    parameters = connection.execute(
        select(Condition.parameters)
        .where(Condition.checkpoint_id == pane.checkpoint_id, Condition.method == pane.method)
        .order_by(Condition.id)
        .limit(1)
    ).scalar_one_or_none()
    if parameters is None:
        raise PaneProblem(f"the study did not put checkpoint {name} under the method '{pane.method}'")
    return dict(parameters)


def tuned_record(checkpoint: CheckpointRecord, parameters: Mapping[str, Any]) -> CheckpointRecord:
    """The weights that the method made of the checkpoint, where it made any."""
    tuned = parameters.get("tuned")
    if not tuned:
        return checkpoint
    return replace(
        checkpoint,
        name=f"{checkpoint.name} after {tuned['name']}",
        source=str(home() / str(tuned["path"])),
        weights_hash=str(tuned["key"]),
    )


def _steering(
    connection: Connection, pane: Pane, ranked: RankedHeads, *, heads: list[Place], name: str
) -> tuple[HeadDirection, ...]:
    """Directions of `heads`, in their order; `name`: the checkpoint's. Raises PaneProblem where one lacks."""
    method = f"{RANDOM}{pane.control}" if pane.method == RANDOM_DIRECTION else pane.direction
    directions = ranked.directions(connection, method, heads)
    if (count := len(directions)) < len(heads):
        raise PaneProblem(f"checkpoint {name} has {method} directions for {count} of {len(heads)} heads")
    return tuple(directions[head] for head in heads)


def _requested_heads(pane: Pane) -> int | list[Place] | None:
    return [(head.layer, head.head) for head in pane.heads] if isinstance(pane.heads, list) else pane.heads


def _reading(connection: Connection, ranked: RankedHeads) -> tuple[HeadDirection, ...]:
    """What tokens are projected on: the same for every pane of a checkpoint, so that panes compare."""
    heads = ranked.selected or ranked.places[:1]
    for method in DIRECTIONS:
        directions = ranked.directions(connection, method, heads)
        if directions:
            return tuple(directions.values())
    return ()
