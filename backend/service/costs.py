"""Measured cost of a pane's steering (held-out cross-entropy), or why there is no such number.

A cost is given for the very same condition alone: same strength, same heads, same positions. Anything else
would be a guess.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Select, func, select

from hormesis.db.contract.messages import Cost, Pane
from hormesis.db.contract.methods import NONE, RANDOM_DIRECTION, is_steered
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
    row = connection.execute(_same_condition(pane, len(heads)).limit(1)).one_or_none()
    if row is not None:
        return PaneCost(
            Cost(value=row.value, low=row.low, high=row.high, source=f"condition {row.key}; {row.interval}")
        )
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


def _method_costs(pane: Pane) -> Select[str, float, float | None, float | None, str]:
    """Measured costs of the pane's checkpoint, method and directions."""
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
    if pane.method == RANDOM_DIRECTION:
        return query.where(Condition.control == pane.control)
    return query.where(Condition.direction_method == pane.direction) if is_steered(pane.method) else query


def _same_condition(pane: Pane, n_heads: int) -> Select[str, float, float | None, float | None, str]:
    """Those of the very same condition; a method that moves no heads has one alone."""
    if not is_steered(pane.method):
        return _method_costs(pane)
    return _method_costs(pane).where(
        func.abs(Condition.strength - pane.strength) <= 1e-6 * max(1.0, pane.strength),
        Condition.n_heads == n_heads,
        Condition.scope == pane.scope,
    )
