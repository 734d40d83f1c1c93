"""Ranked heads of a checkpoint, in the order they are steered in, with directions and probe results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from hormesis.backend.model.directions import HeadDirection
from hormesis.backend.service.catalogue import find_checkpoint
from hormesis.backend.service.settings import ServiceError
from hormesis.db.blocks import decode_float32
from hormesis.db.schema import Direction, Probe

Place = tuple[int, int]
"""(layer, head)."""


class PaneProblem(ServiceError):
    """A pane asks for heads or directions that the database does not hold."""


@dataclass(frozen=True)
class RankedHeads:
    """Heads of a checkpoint, best first, of one probe set and position."""

    checkpoint_id: int
    probe_set_id: int
    position: str
    places: list[Place]
    selected: list[Place]

    @classmethod
    def read(cls, connection: Connection, checkpoint_id: int) -> RankedHeads | None:
        """Selected heads by rank, then the others by select accuracy; None where no head was probed.

        Where there are several probe sets, the one that most heads were selected by (the first of those).
        """
        of_checkpoint = Probe.checkpoint_id == checkpoint_id
        probe_set = connection.execute(
            select(Probe.probe_set_id, Probe.position)
            .where(of_checkpoint)
            .group_by(Probe.probe_set_id, Probe.position)
            .order_by(func.count(Probe.rank).desc(), Probe.probe_set_id, Probe.position)
            .limit(1)
        ).one_or_none()
        if probe_set is None:
            return None
        probe_set_id, position = probe_set
        rows = connection.execute(
            select(Probe.layer, Probe.head, Probe.rank)
            .where(of_checkpoint, Probe.probe_set_id == probe_set_id, Probe.position == position)
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

    def take(self, heads: int | list[Place] | None) -> list[Place]:
        """The heads that a pane asks for: so many of the best, or those it names. Raises PaneProblem."""
        if not isinstance(heads, list):
            return self.best(heads)
        unknown = next((place for place in heads if place not in set(self.places)), None)
        if unknown is not None:
            raise PaneProblem(f"head {unknown[1]} of layer {unknown[0]} was not probed")
        return heads

    def directions(
        self, connection: Connection, method: str, places: list[Place]
    ) -> dict[Place, HeadDirection]:
        """Stored directions of one method at the given heads; heads without one are left out."""
        selection = set(places)
        rows = connection.execute(
            select(Direction.layer, Direction.head, Direction.vector, Direction.sigma).where(
                Direction.checkpoint_id == self.checkpoint_id,
                Direction.probe_set_id == self.probe_set_id,
                Direction.position == self.position,
                Direction.method == method,
            )
        )
        return {
            (layer, head): HeadDirection(layer, head, decode_float32(vector), sigma)
            for layer, head, vector, sigma in rows
            if (layer, head) in selection
        }


def list_heads(connection: Connection, checkpoint_id: int) -> list[dict[str, Any]]:
    """Every probed head by layer and head, with the keys of `messages.HeadInfo`; none where none was probed.

    Raises UnknownCheckpoint.
    """
    find_checkpoint(connection, checkpoint_id)
    ranked = RankedHeads.read(connection, checkpoint_id)
    if ranked is None:
        return []
    order_of = {place: index for index, place in enumerate(ranked.places, 1)}
    selectivity = (Probe.accuracy - Probe.shuffled_accuracy).label("selectivity")
    accuracy = (Probe.accuracy, Probe.accuracy_low, Probe.accuracy_high)
    columns = (*accuracy, Probe.auroc, selectivity, Probe.separation, Probe.n_test, Probe.rank)
    rows = connection.execute(
        select(Probe.layer, Probe.head, *columns)
        .where(
            Probe.checkpoint_id == checkpoint_id,
            Probe.probe_set_id == ranked.probe_set_id,
            Probe.position == ranked.position,
        )
        .order_by(Probe.layer, Probe.head)
    ).mappings()
    return [{**row, "order": order_of[row["layer"], row["head"]]} for row in rows]
