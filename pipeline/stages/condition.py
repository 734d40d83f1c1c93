"""Stage `condition`: which interventions a checkpoint is put under, and what each costs.

Fixed strengths are taken as given; matched costs are searched for on held-out clean text. Every loss that
was computed is kept as a file, so a cut search goes on and the summary can resample documents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.crossentropy import DocumentLosses, Windows, prepare_windows, window_losses
from backend.models import LoadedModel
from backend.steering import Intervention, RowSteering, iti
from db.schema import Condition, Metric
from db.write import upsert, write_session
from pipeline.config import SteeringConfig
from pipeline.context import StudyContext
from pipeline.loading import checkpoint_facts, open_checkpoint, selected_directions
from pipeline.matched_cost import FIRST_STRENGTH, CostSearch
from pipeline.progress import Reporter
from pipeline.registry import Inputs
from pipeline.stages.text import heldout_documents
from pipeline.statistics import Estimate, ratio_interval

WINDOW = 256
"""Tokens of context for held-out losses, or the model's own context where that is shorter."""


@dataclass(frozen=True, eq=False)
class Planned:
    """A condition whose strength is known."""

    key: str
    method: str
    direction: str | None
    strength: float
    matched_cost: float | None = None
    reached: bool = True
    n_heads: int = 0
    control: int | None = None


class LossTable:
    """Held-out losses of one checkpoint by intervention and strength, kept on disk as they are computed."""

    def __init__(self, loaded: LoadedModel, windows: Windows, folder: Path, batch_size: int) -> None:
        self._loaded, self._windows, self._folder, self._batch = loaded, windows, folder, batch_size
        folder.mkdir(parents=True, exist_ok=True)

    def at(self, name: str, intervention: Intervention | None, strength: float) -> DocumentLosses:
        """Losses under an intervention; `name` tells interventions apart."""
        path = self._folder / loss_file(name, strength)
        if path.is_file():
            with np.load(path) as kept:
                return DocumentLosses(kept["nats"], kept["tokens"])
        row: RowSteering = (intervention, strength)
        losses = window_losses(self._loaded, self._windows, rows=row, batch_size=self._batch)
        part = path.with_name(f".{path.name}.part")
        try:
            with part.open("wb") as file:
                np.savez(file, nats=losses.nats, tokens=losses.tokens)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return losses


def loss_file(name: str, strength: float) -> str:
    """File name of the losses of one intervention at one strength."""
    return f"{name}@{strength!r}.npz" if name != "none" else "none.npz"


def losses_folder(context: StudyContext, inputs: Inputs, weights: str) -> Path:
    """Where a checkpoint's held-out losses lie."""
    return context.folder("losses", inputs.condition(weights))


def interventions(context: StudyContext, checkpoint: int, loaded: LoadedModel) -> dict[str, Intervention]:
    """Every intervention of the study by name: `iti` and `random-0` ...

    Raises ValueError where the checkpoint has no selected directions (its probes did not run).
    """
    steering = context.config.steering
    named: dict[str, str] = {"iti": steering.direction}
    named |= {f"random-{k}": f"random-{k}" for k in range(steering.random_directions)}
    found = {}
    for name, method in named.items():
        heads = selected_directions(context, checkpoint, method)
        if not heads:
            raise ValueError(f"no {method} directions are stored for this checkpoint; run its probes first")
        found[name] = iti(loaded.sites, heads, scope=steering.scope)
    return found


def find_conditions(context: StudyContext, inputs: Inputs, checkpoint: int, reporter: Reporter) -> None:
    """Find strengths, write conditions and their costs."""
    config = context.config
    facts = checkpoint_facts(context, checkpoint)
    loaded = open_checkpoint(context, checkpoint)
    windows = _windows(loaded, heldout_documents(context, inputs), config.evaluation.heldout_tokens)
    folder = losses_folder(context, inputs, facts.weights_hash)
    table = LossTable(loaded, windows, folder, config.evaluation.batch_size)
    reporter.say("measuring held-out loss")
    reporter.report(0, 1, "conditions")
    base = table.at("none", None, 0.0)
    planned = [Planned("none", "none", None, 0.0)]
    _write(context, checkpoint, planned[0], base, base)
    known = interventions(context, checkpoint, loaded)
    total = 1 + _count(config.steering)
    start = FIRST_STRENGTH
    for name, intervention in known.items():
        for one in _search(config.steering, (name, intervention), table, base, start, reporter.check):
            # Random directions cost less, so the strength that ITI needed is where their search begins.
            start = one.strength if one.method == "iti" else start
            reporter.say(f"strength for {one.key}")
            _write(context, checkpoint, one, table.at(name, intervention, one.strength), base)
            planned.append(one)
            reporter.report(len(planned), total, "conditions")
    _forget_others(context, checkpoint, [one.key for one in planned])


def _windows(loaded: LoadedModel, documents: list[str], tokens: int) -> Windows:
    """The first documents that hold this many tokens for this model's tokenizer, cut into windows."""
    length = min(WINDOW, loaded.context or WINDOW)
    every = prepare_windows(loaded, documents, length)
    needed = int(np.searchsorted(np.cumsum(every.tokens), tokens)) + 1
    return prepare_windows(loaded, documents[:needed], length)


def _count(steering: SteeringConfig) -> int:
    per_control = 1 if steering.random_cost is not None else len(steering.strengths)
    return len(steering.strengths) + len(steering.costs) + steering.random_directions * per_control


def _search(
    steering: SteeringConfig,
    named: tuple[str, Intervention],
    table: LossTable,
    base: DocumentLosses,
    start: float,
    check: Callable[[], None],
) -> Iterator[Planned]:
    """Yield the conditions of one intervention, strengths found; the search begins at `start`."""
    name, intervention = named
    tokens = base.tokens.sum()

    def cost(strength: float) -> float:
        check()
        return float((table.at(name, intervention, strength).nats - base.nats).sum() / tokens)

    search = CostSearch(cost, steering.max_strength, start)
    random = name.startswith("random-")
    control = int(name.removeprefix("random-")) if random else None
    method = "random-direction" if random else "iti"
    direction = name if random else steering.direction
    stem = name if random else f"iti/{steering.direction}"
    strengths: tuple[float, ...] = steering.strengths
    costs: tuple[float, ...] = steering.costs
    if random:
        strengths = () if steering.random_cost is not None else strengths
        costs = (steering.random_cost,) if steering.random_cost is not None else ()
    for strength in strengths:
        search.at(strength)
        yield Planned(
            f"{stem}/fixed-{strength:g}",
            method,
            direction,
            strength,
            None,
            True,
            intervention.n_heads,
            control,
        )
    for target in costs:
        match = search.match(target)
        yield Planned(
            f"{stem}/cost-{target:g}",
            method,
            direction,
            match.strength,
            target,
            match.reached,
            intervention.n_heads,
            control,
        )


def _write(
    context: StudyContext, checkpoint: int, one: Planned, losses: DocumentLosses, base: DocumentLosses
) -> None:
    draws = context.config.evaluation.bootstrap
    difference: NDArray[np.float64] = losses.nats - base.nats
    values = {
        "cross_entropy": ratio_interval(losses.nats, losses.tokens, draws=draws),
        "cost": ratio_interval(difference, losses.tokens, draws=draws),
    }
    row = {
        "checkpoint_id": checkpoint,
        "key": one.key,
        "method": one.method,
        "direction_method": one.direction,
        "strength": one.strength,
        "matched_cost": one.matched_cost,
        "reached": one.reached,
        "n_heads": one.n_heads,
        "scope": context.config.steering.scope,
        "control": one.control,
        "parameters": {"heldout_tokens": int(losses.tokens.sum()), "heldout_scope": "every position"},
    }
    with write_session(context.engine) as session:
        upsert(session, Condition, [row], on=("checkpoint_id", "key"))
        condition = session.query(Condition.id).filter_by(checkpoint_id=checkpoint, key=one.key).scalar()
        rows = [
            metric_row(checkpoint, condition, one.key, name, estimate, "nats per token")
            for name, estimate in values.items()
        ]
        upsert(session, Metric, rows, on=("checkpoint_id", "key"))


def metric_row(
    checkpoint: int,
    condition: int,
    condition_key: str,
    name: str,
    estimate: Estimate,
    unit: str,
    prompt_set: tuple[int, str] | None = None,
    scorer: tuple[int, str] | None = None,
) -> dict[str, object]:
    """A row of `metric`; prompt set and scorer are (id, name)."""
    parts = (condition_key, prompt_set[1] if prompt_set else "", scorer[1] if scorer else "", name)
    return {
        "checkpoint_id": checkpoint,
        "condition_id": condition,
        "prompt_set_id": prompt_set[0] if prompt_set else None,
        "scorer_id": scorer[0] if scorer else None,
        "key": "|".join(parts),
        "name": name,
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "n": estimate.n,
        "unit": unit,
        "interval": estimate.method,
    }


def _forget_others(context: StudyContext, checkpoint: int, keys: list[str]) -> None:
    """Drop conditions of an earlier configuration of the same study, with all that hangs on them."""
    with write_session(context.engine) as session:
        stale = session.query(Condition).filter(
            Condition.checkpoint_id == checkpoint, Condition.key.not_in(keys)
        )
        for condition in stale:
            session.delete(condition)
