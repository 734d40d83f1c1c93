"""From a requested pane to what is done: which heads, by which vectors, and what it was measured to cost.

Knows the tables of probes, directions, conditions and metrics; nothing of models. A pane that asks for what
the database does not hold is refused here, before it waits in the queue.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from backend.service.catalogue import Catalogue, CheckpointFacts, facts
from backend.service.costs import Measured, measured_cost
from backend.service.messages import Pane
from backend.service.methods import DIRECTION_METHODS, RANDOM
from backend.service.ranked_heads import PaneProblem, Place, RankedHeads, StoredDirection


@dataclass(frozen=True, eq=False)
class PanePlan:
    """A pane with everything the database knows about it."""

    pane: Pane
    checkpoint: CheckpointFacts
    steering: tuple[StoredDirection, ...]
    """Heads to move, best first; empty for `none`."""
    reading: tuple[StoredDirection, ...]
    """Directions that tokens are projected on; empty where the checkpoint has none."""
    cost: Measured


def plan_panes(catalogue: Catalogue, panes: list[Pane]) -> list[PanePlan]:
    """Plan every pane of a request from one state of the database.

    Raises UnknownCheckpoint or PaneProblem, naming the pane (counted from 0), and DatabaseProblem.
    """
    return catalogue.ask(lambda connection: [_named(connection, *numbered) for numbered in enumerate(panes)])


def _named(connection: Connection, index: int, pane: Pane) -> PanePlan:
    try:
        return _plan(connection, pane)
    except PaneProblem as problem:
        raise PaneProblem(f"panes.{index}: {problem}") from None


def _plan(connection: Connection, pane: Pane) -> PanePlan:
    checkpoint = facts(connection, pane.checkpoint_id)
    ranked = RankedHeads.read(connection, pane.checkpoint_id)
    if ranked is None:
        if pane.method == "none":
            return PanePlan(pane, checkpoint, (), (), measured_cost(connection, pane, [], []))
        raise PaneProblem(f"checkpoint {checkpoint.name} has no probes yet, so there are no heads to steer")
    reading = _reading(connection, ranked)
    if pane.method == "none":
        return PanePlan(pane, checkpoint, (), reading, measured_cost(connection, pane, [], []))
    heads = ranked.take(_wanted(pane))
    name = pane.direction if pane.method == "iti" else f"{RANDOM}{pane.control}"
    found = ranked.directions(connection, name, heads)
    if len(found) < len(heads):
        raise PaneProblem(
            f"checkpoint {checkpoint.name} has {name} directions for {len(found)} of {len(heads)} heads"
        )
    steering = tuple(found[place] for place in heads)
    return PanePlan(
        pane, checkpoint, steering, reading, measured_cost(connection, pane, heads, ranked.places)
    )


def _wanted(pane: Pane) -> int | list[Place] | None:
    return [(one.layer, one.head) for one in pane.heads] if isinstance(pane.heads, list) else pane.heads


def _reading(connection: Connection, ranked: RankedHeads) -> tuple[StoredDirection, ...]:
    """What tokens are projected on: the same for every pane of a checkpoint, so that panes compare."""
    heads = ranked.selected or ranked.places[:1]
    for method in DIRECTION_METHODS:
        found = ranked.directions(connection, method, heads)
        if found:
            return tuple(found.values())
    return ()
