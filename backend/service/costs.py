"""Measured costs of steering (held-out cross-entropy): of a pane, of checkpoints; strengths matched to one.

A cost is given for the very same condition alone: same strength, same heads, same positions. Anything else
would be a guess.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, or_, select

from hormesis.backend.service.ranked_heads import PaneProblem
from hormesis.db.contract.measured import Cost, MeasuredSteering
from hormesis.db.contract.messages import Pane
from hormesis.db.contract.methods import NONE, RANDOM, RANDOM_DIRECTION, is_steered
from hormesis.db.schema import Condition, Metric


@dataclass(frozen=True)
class PaneCost:
    """A cost, or why there is none."""

    cost: Cost | None
    note: str = ""


def measured_cost(
    connection: Connection, pane: Pane, heads: list[tuple[int, int]], *, ranked: list[tuple[int, int]]
) -> PaneCost:
    """Look up the cost of steering `heads`, (layer, head); `ranked` are all probed heads, best first."""
    if pane.has_vectors:
        return PaneCost(None, "not measured: the request adds vectors of its own")
    if pane.method == NONE:
        return PaneCost(None, "unsteered: what costs are measured against")
    if set(heads) != set(ranked[: len(heads)]):
        return PaneCost(None, f"not measured: the study steers the best heads, not these {len(heads)}")
    row = connection.execute(_same_condition(pane, len(heads)).limit(1)).mappings().one_or_none()
    if row is not None:
        return PaneCost(_cost(row))
    settings = connection.execute(
        _method_costs(pane).with_only_columns(Condition.strength, Condition.n_heads).distinct().limit(12)
    ).all()
    if not settings or not is_steered(pane.method):
        return PaneCost(None, "not measured: the study has no cost of this method for this checkpoint")
    head_counts = sorted({count for _, count in settings})
    strengths = ", ".join(f"{strength:.3g}" for strength in sorted({strength for strength, _ in settings}))
    return PaneCost(
        None,
        f"not measured at strength {pane.strength:g} with {len(heads)} heads ({pane.scope}); "
        f"measured: strength {strengths} with {', '.join(map(str, head_counts))} heads",
    )


def measured_steerings(connection: Connection) -> dict[int, list[MeasuredSteering]]:
    """Conditions with their costs by checkpoint id, but for strengths that reached no matched cost."""
    by_checkpoint: dict[int, list[MeasuredSteering]] = defaultdict(list)
    rows = connection.execute(
        select(*_STEERING, *_COST)
        .outerjoin(Metric, (Metric.condition_id == Condition.id) & (Metric.name == "cost"))
        # Of null directions the page offers the isotropic ones alone, by their index.
        .where(Condition.method != NONE, Condition.reached)
        .where(or_(Condition.control.is_(None), Condition.key.like(f"{RANDOM}%")))
        .order_by(Condition.id, Metric.id)
    ).mappings()
    for row in rows:
        cost = None if row["value"] is None else _cost(row)
        fields = {name: row[name] for name in MeasuredSteering.model_fields if name in row}
        by_checkpoint[row["checkpoint_id"]].append(MeasuredSteering(**fields, cost=cost))
    return by_checkpoint


def at_matched_cost(connection: Connection, pane: Pane) -> Pane:
    """The pane with the strength and the number of heads that its `matched_cost` stands for.

    Raises PaneProblem where the study matched no strength to it.
    """
    query = select(Condition.matched_cost, Condition.strength, Condition.n_heads, Condition.reached).where(
        *_same_method(pane), Condition.matched_cost.is_not(None), Condition.scope == pane.scope
    )
    matched = connection.execute(query.order_by(Condition.matched_cost)).all()
    for row in matched:
        if abs(row.matched_cost - pane.matched_cost) <= 1e-9:
            if not row.reached:
                raise PaneProblem(
                    f"no strength up to {row.strength:.3g} reached a cost of {pane.matched_cost:g} nats"
                )
            return pane.model_copy(update={"strength": row.strength, "heads": row.n_heads})
    costs = ", ".join(f"{row.matched_cost:g}" for row in matched if row.reached) or "none"
    raise PaneProblem(
        f"the study matched no strength of this method to a cost of {pane.matched_cost:g} nats "
        f"({pane.scope}); costs it matched: {costs}"
    )


_STEERING = (
    Condition.checkpoint_id,
    Condition.key,
    Condition.method,
    Condition.direction_method.label("direction"),
    Condition.control,
    Condition.strength,
    Condition.n_heads.label("heads"),
    Condition.scope,
    Condition.matched_cost,
)
_COST = (Metric.value, Metric.low, Metric.high, Metric.interval)


def _cost(row: Any) -> Cost:
    """Of a row (a mapping) with the columns of `_COST` and the condition's key."""
    source = f"condition {row['key']}; {row['interval']}"
    return Cost(value=row["value"], low=row["low"], high=row["high"], source=source)


def _same_method(pane: Pane) -> list[ColumnElement[bool]]:
    """What holds of conditions of the pane's checkpoint, method and directions, whatever their strength."""
    same = [Condition.checkpoint_id == pane.checkpoint_id, Condition.method == pane.method]
    if pane.method == RANDOM_DIRECTION:
        return [*same, Condition.control == pane.control, Condition.key.like(f"{RANDOM}%")]
    return [*same, Condition.direction_method == pane.direction] if is_steered(pane.method) else same


def _method_costs(pane: Pane) -> Select[*tuple[Any, ...]]:
    """Measured costs of the pane's checkpoint, method and directions."""
    return (
        select(Condition.key, *_COST)
        .join(Metric, Metric.condition_id == Condition.id)
        .where(*_same_method(pane), Metric.name == "cost", Metric.checkpoint_id == pane.checkpoint_id)
        .order_by(Condition.id, Metric.id)
    )


def _same_condition(pane: Pane, n_heads: int) -> Select[*tuple[Any, ...]]:
    """Those of the very same condition; a method that moves no heads has one alone."""
    if not is_steered(pane.method):
        return _method_costs(pane)
    return _method_costs(pane).where(
        func.abs(Condition.strength - pane.strength) <= 1e-6 * max(1.0, pane.strength),
        Condition.n_heads == n_heads,
        Condition.scope == pane.scope,
    )
