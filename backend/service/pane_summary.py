"""What the texts of a pane come to: mean scores, what was steered, and why a steering changed nothing.

Counts follow the definition of a scope (`backend.model.steering.Intervention`); a test holds them against the
positions that a model really sees moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hormesis.backend.service.plans import PanePlan
from hormesis.backend.service.sample_means import mean_difference, mean_of
from hormesis.db.contract.measured import PaneSummary
from hormesis.db.contract.methods import is_steered

if TYPE_CHECKING:
    from hormesis.backend.generation.generation import Continuation
    from hormesis.backend.model.steering import RowSteering


@dataclass(frozen=True, eq=False)
class ScoredText:
    """One continuation with its scores by scorer; None where a scorer could not judge it."""

    continuation: Continuation
    scores: dict[str, float | None]


def steered_positions(row: RowSteering, continuation: Continuation) -> int:
    """Positions that a row's steering moved while this continuation was made.

    One for each token that was drawn, an end token too; with scope `all` the prompt's others as well.
    """
    intervention, strength = row
    if intervention is None or strength == 0.0 or not moves_anything(row):
        return 0
    n_drawn = continuation.tokens + continuation.finished
    return n_drawn + (continuation.prompt_tokens - 1 if intervention.scope == "all" else 0)


def moves_anything(row: RowSteering) -> bool:
    """Whether any shift of a row differs from zero."""
    intervention, strength = row
    if intervention is None or strength == 0.0:
        return False
    return any(shift.any() for shift in (*intervention.shifts.values(), *intervention.residual.values()))


def summarise(
    index: int,
    plan: PanePlan,
    row: RowSteering,
    *,
    texts: Sequence[ScoredText],
    first: Sequence[ScoredText],
    unsteered: Sequence[ScoredText] | None,
) -> PaneSummary:
    """The summary of pane `index`.

    texts: the pane's, by seed; first: those of the first pane; unsteered: those of an unsteered pane of the
    same weights and prompt, None where there is none.
    """
    scorers = list(texts[0].scores)
    scores_of_pane = {name: [text.scores.get(name) for text in texts] for name in scorers}
    base = {name: [text.scores.get(name) for text in first] for name in scorers}
    means = {name: mean_of(values) for name, values in scores_of_pane.items()}
    differences = {name: mean_difference(scores_of_pane[name], base[name]) for name in scorers if index}
    is_steering = is_steered(plan.pane.method) or plan.pane.has_vectors
    unchanged = sum(map(_same_tokens, texts, unsteered)) if is_steering and unsteered is not None else None
    positions = sum(steered_positions(row, text.continuation) for text in texts)
    intervention, _ = row
    return PaneSummary(
        pane=index,
        n=len(texts),
        scores={name: mean for name, mean in means.items() if mean is not None},
        differences={name: mean for name, mean in differences.items() if mean is not None},
        strength=plan.pane.strength if plan.steering else 0.0,
        heads=intervention.n_heads if intervention is not None and positions else 0,
        positions=positions,
        unchanged=unchanged,
        note=_why_unchanged(plan, row) if unchanged == len(texts) else "",
    )


def _same_tokens(text: ScoredText, other: ScoredText) -> bool:
    return (text.continuation.ids, text.continuation.finished) == (
        other.continuation.ids,
        other.continuation.finished,
    )


def _why_unchanged(plan: PanePlan, row: RowSteering) -> str:
    """Why every text of a pane that was to be steered is that of the unsteered model."""
    pane = plan.pane
    if pane.strength == 0.0 and not pane.has_vectors:
        return "strength 0 moves nothing"
    if not moves_anything(row):
        return "its shift is zero: the directions of these heads have no spread (sigma 0)"
    reasons = [f"strength {pane.strength:.3g} is too small for another token to be drawn from these seeds"]
    if pane.has_vectors:
        reasons = ["what is added is too small for another token to be drawn from these seeds"]
    if plan.origin:
        reasons.append(f"its directions were found in another model, {plan.origin}")
    return "; ".join(reasons)
