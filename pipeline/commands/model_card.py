"""The model card of a study's checkpoint: where it came from, what was done to it, what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from hormesis.backend.model.card import card_text, steered_heads, steering_rows, table
from hormesis.backend.model.directions import HeadDirection
from hormesis.db.schema import Arm, Checkpoint, Condition, Metric, PromptSet, Scorer
from hormesis.db.write import read_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.provenance import packages

NUMBERS = {
    "toxicity": "toxicity (0 to 1)",
    "cost": "cost (nats per token)",
    "cost_every_position": "cost with every position steered (nats per token)",
}
"""Metrics a card shows, with their titles."""

OPENING = """\
A language model out of a study of toxic pretraining text and detoxification, saved by hormesis {version}. For
research on detoxification: it was neither made nor checked for any other use, and can still say toxic things.
"""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A checkpoint to be saved, with how it is changed."""

    context: StudyContext
    checkpoint_id: int
    name: str
    method: str
    """As conditions have it: `iti`, `dpo`, `dpo+iti`, `none`."""
    strength: float = 0.0
    direction: str | None = None
    condition: str | None = None
    """Key of the stored condition that this is; None where the study has none of this strength."""
    heads: Sequence[HeadDirection] = field(default=())

    def about(self) -> dict[str, Any]:
        """What goes into `steering.json` as well: the words of the card, for a program to read."""
        config = self.context.config
        return {
            "checkpoint": self.name,
            "study": {"name": config.name, "hash": config.hash},
            "method": self.method,
            "direction": self.direction,
            "condition": self.condition,
            "sign": "strength counts sigmas away from toxicity",
            "steered_heads": steered_heads(self.heads),
            "hormesis": packages().get("hormesis", ""),
        }


def model_card(origin: Origin, model_type: str) -> str:
    """Text of the README.md that lies beside the weights, with front matter. `model_type`: of config.json."""
    return card_text(
        origin.name + (", steered away from toxicity" if origin.heads else f", {origin.method}"),
        OPENING.format(version=packages().get("hormesis", "")),
        _origin_rows(origin),
        measured="## Measured in the study\n\n" + _measured(origin),
        heads=origin.heads,
        model_type=model_type,
    )


def _origin_rows(origin: Origin) -> list[tuple[str, ...]]:
    """(title, value) rows on where the model came from and how it was changed."""
    config = origin.context.config
    rows = [("checkpoint", origin.name), ("study", f"{config.name} ({config.hash}), scale {config.scale}")]
    query = (
        select(Arm.kind, Arm.share, Arm.seed)
        .join(Checkpoint, Checkpoint.arm_id == Arm.id)
        .where(Checkpoint.id == origin.checkpoint_id)
    )
    with read_session(origin.context.engine) as session:
        arm = session.execute(query).first()
    if arm is not None:
        rows.append(("arm", f"{arm.kind}, {arm.share:.0%} added tokens, seed {arm.seed}"))
    rows.append(("method", origin.method))
    if origin.heads:
        strength = f"{origin.strength:g} sigmas away from toxicity"
        rows.append(("directions", str(origin.direction)))
        rows += steering_rows(origin.heads, strength, order=", best first")
    return [*rows, ("hormesis", packages().get("hormesis", ""))]


def _measured(origin: Origin) -> str:
    """A table with a row per metric, prompt set and scorer: unsteered and under the condition."""
    if origin.condition is None:
        return (
            "Nothing: the study has no condition of this strength. `hormesis save --condition` saves one "
            "that was measured.\n"
        )
    numbers = _numbers(origin)
    rows = []
    for (name, prompts, scorer), values in numbers.items():
        title = ", ".join(filter(None, (NUMBERS[name], prompts and f"prompts {prompts}", scorer)))
        cells = [_value(values.get("none")), _value(values.get(origin.condition))]
        rows.append((title, *cells, str(next(iter(values.values()))["n"])))
    if not rows:
        return "No numbers yet: the condition is planned and was not run.\n"
    intervals = sorted({str(row["interval"]) for values in numbers.values() for row in values.values()})
    text = table(("", "unsteered", "this model", "n"), rows)
    text += f"\nIntervals: {'; '.join(intervals)}. "
    if origin.heads and origin.context.config.steering.scope != "all":
        text += (
            "Here every position is steered. Toxicity and cost were measured with those positions steered\n"
            "that new tokens are drawn from, and not the prompt before them."
        )
    return text.rstrip() + "\n"


def _numbers(origin: Origin) -> dict[tuple[str, str, str], dict[str, Mapping[str, Any]]]:
    """(metric, prompt set, scorer) to condition key to the metric's row: the condition and `none`."""
    query = (
        select(
            Metric.name, Metric.value, Metric.low, Metric.high, Metric.n, Metric.interval,
            Condition.key, PromptSet.name.label("prompts"), Scorer.name.label("scorer"),
        )
        .join(Condition, Metric.condition_id == Condition.id)
        .outerjoin(PromptSet, Metric.prompt_set_id == PromptSet.id)
        .outerjoin(Scorer, Metric.scorer_id == Scorer.id)
        .where(
            Metric.checkpoint_id == origin.checkpoint_id,
            Metric.name.in_(NUMBERS),
            Condition.key.in_(["none", origin.condition]),
        )
        .order_by(Metric.name.desc(), PromptSet.name, Scorer.name)
    )  # fmt: skip
    numbers: dict[tuple[str, str, str], dict[str, Mapping[str, Any]]] = {}
    with read_session(origin.context.engine) as session:
        for row in session.execute(query).mappings():
            key = (row["name"], row["prompts"] or "", row["scorer"] or "")
            numbers.setdefault(key, {})[row["key"]] = dict(row)
    return numbers


def _value(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "–"
    interval = "" if row["low"] is None else f" [{row['low']:.3f}, {row['high']:.3f}]"
    return f"{row['value']:.3f}{interval}"
