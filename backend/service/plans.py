"""From a requested pane to what is done: which heads, by which vectors, and what it was measured to cost.

Knows the tables of probes, directions, conditions and metrics; nothing of models. A pane that asks for what
the database does not hold is refused here, before it waits in the queue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from backend.service.catalogue import DIRECTION_METHODS, Catalogue, CheckpointFacts, facts
from backend.service.messages import Cost, Pane
from backend.service.settings import ServiceError
from db.blocks import decode_float32
from db.schema import Condition, Direction, Metric, Probe

Place = tuple[int, int]
"""(layer, head)."""


class PaneProblem(ServiceError):
    """A pane asks for heads or directions that the database does not hold."""


@dataclass(frozen=True, eq=False)
class StoredDirection:
    """A head's direction as stored: float32 unit vector that points to toxicity, and sigma along it."""

    layer: int
    head: int
    vector: NDArray[np.float32]
    sigma: float


@dataclass(frozen=True, eq=False)
class PanePlan:
    """A pane with everything the database knows about it."""

    pane: Pane
    checkpoint: CheckpointFacts
    steering: tuple[StoredDirection, ...]
    """Heads to move, best first; empty for `none`."""
    reading: tuple[StoredDirection, ...]
    """Directions that tokens are projected on; empty where the checkpoint has none."""
    cost: Cost | None


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
    ranked = _RankedHeads.read(connection, pane.checkpoint_id)
    if ranked is None:
        if pane.method == "none":
            return PanePlan(pane, checkpoint, (), (), None)
        raise PaneProblem(f"checkpoint {checkpoint.name} has no probes yet, so there are no heads to steer")
    reading = _reading(connection, ranked)
    if pane.method == "none":
        return PanePlan(pane, checkpoint, (), reading, _cost(connection, pane, 0))
    heads = ranked.best(pane.heads)
    name = pane.direction if pane.method == "iti" else f"random-{pane.control}"
    found = ranked.directions(connection, name, heads)
    if len(found) < len(heads):
        raise PaneProblem(
            f"checkpoint {checkpoint.name} has {name} directions for {len(found)} of {len(heads)} heads"
        )
    steering = tuple(found[place] for place in heads)
    return PanePlan(pane, checkpoint, steering, reading, _cost(connection, pane, len(heads)))


def _reading(connection: Connection, ranked: _RankedHeads) -> tuple[StoredDirection, ...]:
    """What tokens are projected on: the same for every pane of a checkpoint, so that panes compare."""
    heads = ranked.selected or ranked.places[:1]
    for method in DIRECTION_METHODS:
        found = ranked.directions(connection, method, heads)
        if found:
            return tuple(found.values())
    return ()


@dataclass(frozen=True)
class _RankedHeads:
    """Heads of a checkpoint, best first, of one probe set and position."""

    checkpoint_id: int
    probe_set_id: int
    position: str
    places: list[Place]
    selected: list[Place]

    @classmethod
    def read(cls, connection: Connection, checkpoint_id: int) -> _RankedHeads | None:
        """Selected heads by rank, then the others by select accuracy; None where no head was probed.

        Where there are several probe sets, the one that heads were selected by (the first of those).
        """
        here = Probe.checkpoint_id == checkpoint_id
        chosen = connection.execute(
            select(Probe.probe_set_id, Probe.position)
            .where(here)
            .group_by(Probe.probe_set_id, Probe.position)
            .order_by(func.count(Probe.rank).desc(), Probe.probe_set_id, Probe.position)
            .limit(1)
        ).one_or_none()
        if chosen is None:
            return None
        probe_set_id, position = chosen
        rows = connection.execute(
            select(Probe.layer, Probe.head, Probe.rank)
            .where(here, Probe.probe_set_id == probe_set_id, Probe.position == position)
            .order_by(Probe.rank.is_(None), Probe.rank, Probe.select_accuracy.desc(), Probe.layer, Probe.head)
        ).all()
        places = [(row.layer, row.head) for row in rows]
        selected = [(row.layer, row.head) for row in rows if row.rank is not None]
        return cls(checkpoint_id, probe_set_id, position, places, selected)

    def best(self, count: int | None) -> list[Place]:
        """The `count` best heads; None takes those selected. Raises PaneProblem where there are too few."""
        if count is None:
            if not self.selected:
                raise PaneProblem("no heads are selected yet; say how many in heads")
            return self.selected
        if count > len(self.places):
            raise PaneProblem(f"{count} heads asked for, {len(self.places)} were probed")
        return self.places[:count]

    def directions(
        self, connection: Connection, method: str, places: list[Place]
    ) -> dict[Place, StoredDirection]:
        """Stored directions of one method at the given heads; heads without one are left out."""
        wanted = set(places)
        rows = connection.execute(
            select(Direction.layer, Direction.head, Direction.vector, Direction.sigma).where(
                Direction.checkpoint_id == self.checkpoint_id,
                Direction.probe_set_id == self.probe_set_id,
                Direction.position == self.position,
                Direction.method == method,
            )
        )
        return {
            (layer, head): StoredDirection(layer, head, decode_float32(vector), sigma)
            for layer, head, vector, sigma in rows
            if (layer, head) in wanted
        }


def _cost(connection: Connection, pane: Pane, n_heads: int) -> Cost | None:
    """Measured cost of the very same condition; None where it was not measured, never a guess."""
    query = (
        select(Condition.key, Metric.value, Metric.low, Metric.high, Metric.interval)
        .join(Metric, Metric.condition_id == Condition.id)
        .where(
            Metric.checkpoint_id == pane.checkpoint_id,
            Condition.checkpoint_id == pane.checkpoint_id,
            Metric.name == "cost",
            Condition.method == pane.method,
        )
        .order_by(Condition.id, Metric.id)
    )
    if pane.method != "none":
        query = query.where(
            func.abs(Condition.strength - pane.strength) <= 1e-6 * max(1.0, pane.strength),
            Condition.n_heads == n_heads,
            Condition.scope == pane.scope,
            Condition.control == pane.control
            if pane.method == "random-direction"
            else Condition.control.is_(None),
        )
    if pane.method == "iti":
        query = query.where(Condition.direction_method == pane.direction)
    row = connection.execute(query.limit(1)).one_or_none()
    if row is None:
        return None
    return Cost(value=row.value, low=row.low, high=row.high, source=f"condition {row.key}; {row.interval}")
