"""Rows of attacks: results written whole or not at all, and which kinds are stored already.

Knows the tables of `db.schema.hardness`; nothing of how an attack works.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, select

from hormesis.db.schema import Attack, AttackOutcome, AttackPoint, AttackTrial
from hormesis.db.write import read_session, upsert, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.statistics import Estimate

COLUMNS = ("kind", "setting", "data", "scorer", "rule", "budget", "budget_unit")


@dataclass(frozen=True)
class Outcome:
    """A named number with its unit; `value` None where it lies beyond the budget, or no text has a score."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    unit: str
    interval: str
    censored: float | None = None

    @classmethod
    def of(cls, name: str, estimate: Estimate | None, unit: str) -> Outcome:
        """From an ordinary estimate; None: of texts that are all empty."""
        if estimate is None:
            return cls(name, None, None, None, n=0, unit=unit, interval="none: every text is empty")
        low, high = estimate.low, estimate.high
        return cls(name, estimate.value, low, high, n=estimate.n, unit=unit, interval=estimate.method)


@dataclass(frozen=True)
class Point:
    """One point of a curve."""

    series: str
    x: float
    value: float
    low: float | None
    high: float | None
    n: int

    @classmethod
    def of(cls, series: str, x: float, estimate: Estimate) -> Point:
        """From an ordinary estimate."""
        return cls(series, x, estimate.value, low=estimate.low, high=estimate.high, n=estimate.n)

    @classmethod
    def curve(cls, series: str, x: float, estimate: Estimate | None) -> list[Point]:
        """The same in a list, empty where every text is."""
        return [] if estimate is None else [cls.of(series, x, estimate)]


@dataclass(frozen=True)
class Trial:
    """One goal or prompt, as `attack_trial` keeps it."""

    goal: str
    prompt: str
    text: str
    success: bool
    score: float | None
    target: str | None = None
    prefix_match: bool | None = None
    before: float | None = None
    loss_first: float | None = None
    loss_last: float | None = None
    evaluations: int | None = None


@dataclass(frozen=True)
class Result:
    """One attack on one condition."""

    kind: str
    setting: str
    data: str
    scorer: str
    rule: str
    budget: float
    budget_unit: str
    outcomes: Sequence[Outcome]
    points: Sequence[Point] = ()
    trials: Sequence[Trial] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Natural key inside the condition."""
        return f"{self.kind}/{self.setting}"


def kinds_done(context: StudyContext, condition_id: int, input_hash: str) -> set[str]:
    """Kinds of attack on a condition that were made from these inputs."""
    query = select(Attack.kind).where(Attack.condition_id == condition_id, Attack.input_hash == input_hash)
    with read_session(context.engine) as session:
        return set(session.scalars(query))


def write_results(
    context: StudyContext,
    checkpoint_id: int,
    condition_id: int,
    *,
    input_hash: str,
    results: Sequence[Result],
) -> None:
    """Put all results of one kind in place of what an earlier run wrote, in one transaction."""
    if not results:
        return
    keys = {"checkpoint_id": checkpoint_id, "condition_id": condition_id, "input_hash": input_hash}
    with write_session(context.engine) as session:
        session.execute(
            delete(Attack).where(Attack.condition_id == condition_id, Attack.kind == results[0].kind)
        )
        for result in results:
            columns = keys | {name: getattr(result, name) for name in COLUMNS}
            attack = Attack(**columns, key=result.key, parameters=dict(result.parameters))
            session.add(attack)
            session.flush()
            parts = (
                (AttackOutcome, [vars(outcome) for outcome in result.outcomes], ("attack_id", "name")),
                (AttackPoint, [vars(point) for point in result.points], ("attack_id", "series", "x")),
                (
                    AttackTrial,
                    [{"position": position, **vars(trial)} for position, trial in enumerate(result.trials)],
                    ("attack_id", "position"),
                ),
            )
            for table, rows, on in parts:
                upsert(session, table, [{"attack_id": attack.id, **row} for row in rows], on=on)


def forget_others(
    context: StudyContext, checkpoint_id: int, kinds: Sequence[str], *, input_hash: str
) -> None:
    """Drop a checkpoint's attacks of these kinds that were made from other inputs."""
    with write_session(context.engine) as session:
        session.execute(
            delete(Attack).where(
                Attack.checkpoint_id == checkpoint_id, Attack.kind.in_(kinds), Attack.input_hash != input_hash
            )
        )
