"""What the panes begin with: the unsteered model, then the same model steered step by step.

Steps are costs that the study matched strengths to, else strengths that it measured, else a few round ones:
how many sigmas do anything differs by a factor of ten between models, a cost means the same in each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from hormesis.dashboard.app_pages.steer.catalogue import Offer
from hormesis.dashboard.app_pages.steer.settings import RANGES, PaneSettings
from hormesis.dashboard.charts.frame import evenly
from hormesis.db.contract.messages import MAX_PANES
from hormesis.db.contract.methods import ITI, NONE

USUAL_STRENGTHS: Final = (2.0, 4.0, 8.0)
MOST_STEPS: Final = MAX_PANES - 1


@dataclass(frozen=True)
class Steps:
    """How the panes of one checkpoint begin."""

    panes: tuple[PaneSettings, ...]
    """One for each pane that the page can have."""
    count: int
    """Panes with a step of their own."""
    note: str
    """What the steps are, where they are no matched costs."""


def steps_of(offer: Offer) -> Steps:
    """The unsteered checkpoint and its steps; panes beyond them double the last strength."""
    first = PaneSettings(model=offer.label, method=NONE)
    method = offer.method(ITI)
    if method.name != ITI:
        names = [other.name for other in offer.methods if other.name != NONE][:MOST_STEPS]
        panes = [first, *(replace(first, method=name) for name in names)]
        note = "" if names else "No checkpoint on offer has directions yet, so nothing can be steered."
        return Steps(_filled(panes), len(panes), note)
    direction = next(iter(offer.directions), None)
    rows = offer.measured_under(method, direction=direction, control=None)
    costs = _spread(list(offer.matched_under(method, direction=direction, control=None)))
    measured = _spread(sorted({row.strength for row in rows if row.strength <= RANGES["strength"][1]}))
    steered = replace(first, method=ITI, direction=direction)
    if costs:
        panes, note = [replace(steered, cost=cost) for cost in costs], ""
    else:
        strengths = measured or USUAL_STRENGTHS
        panes = [replace(steered, strength=strength) for strength in strengths]
        words = ", ".join(f"{strength:g}" for strength in strengths)
        source = "that were measured" if measured else "of which none was measured"
        note = f"No strength was matched to a cost here, so panes begin at strengths {source}: {words}."
    return Steps(_filled([first, *panes]), 1 + len(panes), note)


def _filled(panes: list[PaneSettings]) -> tuple[PaneSettings, ...]:
    """As many panes as the page can have."""
    panes = list(panes)
    while len(panes) < MAX_PANES:
        last = panes[-1]
        strength = None if last.method == NONE else min((last.strength or 1.0) * 2, RANGES["strength"][1])
        panes.append(replace(last, cost=None, strength=strength))
    return tuple(panes)


def _spread(values: list[float]) -> list[float]:
    """At most `MOST_STEPS` of the values, from the first to the last."""
    return [values[place] for place in evenly(len(values), MOST_STEPS)]


def default_offer(offers: Sequence[Offer]) -> Offer:
    """The model of panes where nobody chose: one that can be steered, of the study on show, the most toxic.

    Where that study has none, a model that was imported comes before arms of other studies.
    """
    return max(
        offers,
        key=lambda offer: (
            offer.steerable,
            offer.is_of_study,
            offer.kind == ("toxic" if offer.is_of_study else "imported"),
            offer.share or 0.0,
        ),
    )


def default_pane(number: int, offer: Offer) -> PaneSettings:
    """What pane `number` (from 1) of a checkpoint says where nobody chose."""
    return steps_of(offer).panes[number - 1]


def default_count(offers: Sequence[Offer]) -> int:
    """How many panes there are where nobody chose."""
    return steps_of(default_offer(offers)).count
