"""What a condition is before and after it is a row: a checkpoint's detox method with all its parameters.

Knows the `condition` table; knows neither models nor how a method works.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from hormesis.db.schema import Condition
from hormesis.db.write import read_session
from hormesis.pipeline.execution.context import StudyContext


@dataclass(frozen=True, eq=False)
class DetoxCondition:
    """One condition of a checkpoint, planned or stored."""

    key: str
    """Natural key inside the checkpoint, e.g. `none`, `dpo`, `dpo+iti/mass_mean/cost-0.06`."""
    method: str
    """`none`, `iti`, `random-direction`, `prompt`, `meda`, `inst`, `sft`, `dpo`, or several joined by `+`."""
    direction: str | None = None
    """Direction set of the steered heads: `mass_mean`, `probe`, `second`, `random-3`; None: nothing
    steered.
    """
    strength: float = 0.0
    matched_cost: float | None = None
    reached: bool = True
    n_heads: int = 0
    control: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """`prefix`: text before every prompt; `tuned`: {name, path, key} of other weights; provenance."""
    id: int | None = None
    """Row of the condition; None while it is only planned."""

    @property
    def prefix(self) -> str:
        """Text in front of every prompt; empty for none."""
        return str(self.parameters.get("prefix", ""))

    @property
    def defect(self) -> str:
        """Why nothing can be said or measured under it, in words; empty for a condition that works."""
        return str(self.parameters.get("defect", ""))

    @property
    def tuned(self) -> Mapping[str, Any] | None:
        """Where the tuned weights lie (`path`, relative to the home), or None for the checkpoint's own."""
        return self.parameters.get("tuned")


def read_conditions(context: StudyContext, checkpoint_id: int) -> list[DetoxCondition]:
    """Every stored condition of a checkpoint, those with the same weights side by side, `none` first."""
    columns = (
        Condition.id, Condition.key, Condition.method, Condition.direction_method, Condition.strength,
        Condition.matched_cost, Condition.reached, Condition.n_heads, Condition.control, Condition.parameters,
    )  # fmt: skip
    query = select(*columns).where(Condition.checkpoint_id == checkpoint_id).order_by(Condition.id)
    with read_session(context.engine) as session:
        conditions = [
            DetoxCondition(
                key=row.key,
                method=row.method,
                direction=row.direction_method,
                strength=row.strength,
                matched_cost=row.matched_cost,
                reached=row.reached,
                n_heads=row.n_heads,
                control=row.control,
                parameters=row.parameters,
                id=row.id,
            )
            for row in session.execute(query)
        ]
    # Models are opened one at a time, and opening one is slow.
    return sorted(conditions, key=lambda c: (c.method != "none", str((c.tuned or {}).get("path", ""))))


def read_condition(context: StudyContext, checkpoint_id: int, condition_key: str) -> DetoxCondition:
    """One stored condition. Raises NoSuchCondition naming those there are."""
    conditions = {condition.key: condition for condition in read_conditions(context, checkpoint_id)}
    if condition_key not in conditions:
        keys = ", ".join(conditions) or "none yet"
        raise NoSuchCondition(f"the checkpoint has no condition '{condition_key}' (it has: {keys})")
    return conditions[condition_key]


class NoSuchCondition(ValueError):
    """A condition was named that the database does not hold; one line for the person."""
