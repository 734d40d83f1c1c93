"""What the texts of a pane come to: mean scores, what was steered, and why a steering changed nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hormesis.backend.fluency import text_fluency
from hormesis.backend.scorers.sample_means import mean_difference, mean_of
from hormesis.backend.service.plans import PanePlan
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
    values = {name: [text.scores.get(name) for text in texts] for name in scorers}
    before = {name: [text.scores.get(name) for text in first] for name in scorers}
    means = {name: mean_of(values[name]) for name in scorers}
    differences = {name: mean_difference(values[name], before[name]) for name in scorers if index}
    is_steering = is_steered(plan.pane.method) or plan.pane.has_vectors
    unchanged = sum(map(_same_tokens, texts, unsteered)) if is_steering and unsteered is not None else None
    positions = sum(_steered_positions(row, text.continuation) for text in texts)
    intervention, _ = row
    return PaneSummary(
        pane=index,
        n=len(texts),
        empty=sum(text_fluency(text.continuation.text).empty for text in texts),
        scores={name: mean for name, mean in means.items() if mean is not None},
        differences={name: mean for name, mean in differences.items() if mean is not None},
        strength=plan.pane.strength if plan.steering else 0.0,
        heads=intervention.n_heads if intervention is not None and positions else 0,
        positions=positions,
        unchanged=unchanged,
        note=_why_unchanged(plan, row) if unchanged == len(texts) else "",
    )


def _steered_positions(row: RowSteering, continuation: Continuation) -> int:
    from hormesis.backend.model.steering import steered_positions

    n_drawn = continuation.tokens + continuation.finished
    return steered_positions(row, prompt_tokens=continuation.prompt_tokens, drawn_tokens=n_drawn)


def _same_tokens(text: ScoredText, other: ScoredText) -> bool:
    return (text.continuation.ids, text.continuation.finished) == (
        other.continuation.ids,
        other.continuation.finished,
    )


def _why_unchanged(plan: PanePlan, row: RowSteering) -> str:
    """Why every text of a pane that was to be steered is that of the unsteered model."""
    from hormesis.backend.model.steering import moves_anything

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
