"""What the controls of the page say, as plain values, and the request they make.

The names of fields are the keys of the widgets and of the link, those of a pane with its number behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final, TypeVar

import streamlit as st
from pydantic import BaseModel, ValidationError

from hormesis.dashboard.app_pages.steer.catalogue import Offer
from hormesis.dashboard.base.wording import fixed, parse_head
from hormesis.db.contract.measured import MeasuredSteering
from hormesis.db.contract.messages import MAX_PANES, GenerateRequest, HeadPlace, Pane, explain
from hormesis.db.contract.methods import NONE

M = TypeVar("M", bound=BaseModel)
LONGEST_PROMPT: Final = 2000
RANGES: Final[dict[str, tuple[float, float]]] = {
    "strength": (0.0, 32.0),
    "length": (8, 256),
    "heat": (0.0, 2.0),
    "top": (0.1, 1.0),
    "seed": (0, 2**31),
    "panes": (1, MAX_PANES),
}
TEXTS: Final = {1: "1 text each", 4: "4 texts each", 8: "8 texts each", 16: "16 texts each"}
"""Continuations of each pane that the page offers, in words."""
WORDS: Final = {"length": "new tokens", "heat": "temperature", "top": "top p"}
NAMES: Final = {
    "prompt": "prompt",
    "new_tokens": "length",
    "temperature": "heat",
    "top_p": "top",
    "seed": "seed",
    "samples": "texts",
}
"""The service's words to the fields of SessionSettings."""
SCOPES: Final = {"generated": "Generated tokens", "all": "All positions"}
"""Positions that are steered, as the page calls them."""
DIRECTIONS: Final = {"mass_mean": "Difference of means", "probe": "Probe weights"}
"""Kinds of directions, as the page calls them."""
SIGMAS: Final = "sigmas"
"""What stands among the matched costs for a strength of one's own."""


class LoadProblem(ValueError):
    """Settings cannot be put on this page; one sentence for the person."""


@dataclass(frozen=True)
class PaneSettings:
    """What the controls of one pane say; None where a control is not drawn.

    With a `cost`, one that the study matched strengths to, strength and heads are the study's own.
    """

    model: str | None = None
    method: str | None = None
    strength: float | None = None
    heads: int | None = None
    picked: tuple[str, ...] | None = None
    direction: str | None = None
    scope: str | None = None
    control: int | None = None
    cost: float | None = None


@dataclass(frozen=True)
class SessionSettings:
    """What all controls of the page say; those of a link or of JSON are unchecked until they are restored."""

    panes: tuple[PaneSettings, ...]
    prompt: str = ""
    length: int = 40
    heat: float = 1.0
    top: float = 0.9
    seed: int = 0
    texts: int = 1

    @classmethod
    def of_values(cls, values: Mapping[str, Any]) -> SessionSettings:
        """Settings of values by the keys of the widgets; panes are numbered from 1.

        Raises LoadProblem for a number of panes that the page does not have.
        """
        count = in_range("panes", values.get("panes"), integral=True)
        panes = []
        for number in range(1, count + 1):
            pane = {key: values[f"{key}{number}"] for key in PANE_KEYS if f"{key}{number}" in values}
            if pane.get("cost") == SIGMAS:
                del pane["cost"]
            if pane.get("cost") is not None:
                # What was set before the cost was chosen is not heeded.
                pane = {
                    key: value for key, value in pane.items() if key not in ("strength", "heads", "picked")
                }
            if pane.get("picked") is not None:
                pane["picked"] = tuple(pane["picked"])
            panes.append(PaneSettings(**pane))
        return cls(tuple(panes), **{key: values[key] for key in NAMES.values() if key in values})

    def as_values(self) -> dict[str, Any]:
        """Values by the keys of the widgets; only of those that are drawn."""
        values = {"panes": len(self.panes)} | {key: getattr(self, key) for key in NAMES.values()}
        for number, pane in enumerate(self.panes, 1):
            values |= {
                f"{key}{number}": list(value) if isinstance(value, tuple) else value
                for key, value in vars(pane).items()
                if value is not None
            }
            if pane.cost is None and pane.strength is not None:
                values[f"cost{number}"] = SIGMAS
        return values


PANE_KEYS: Final = tuple(field.name for field in fields(PaneSettings))


def widget_keys(count: int) -> list[str]:
    """Keys of the widgets, and in links, of a page with so many panes."""
    of_panes = (f"{key}{number}" for number in range(1, count + 1) for key in PANE_KEYS)
    return ["panes", *NAMES.values(), *of_panes]


def now(count: int) -> SessionSettings:
    """What the controls say, for so many panes."""
    keys = [key for key in widget_keys(count) if key in st.session_state]
    return SessionSettings.of_values({key: st.session_state[key] for key in keys} | {"panes": count})


def cost_words(cost: float | str) -> str:
    """A matched cost as the control names it; SIGMAS for a strength of one's own."""
    return "Strength in sigmas" if isinstance(cost, str) else f"+{cost:g} nats"


def parse_cost(words: str) -> float | str:
    """The matched cost that `cost_words` names. Raises ValueError."""
    return SIGMAS if words == cost_words(SIGMAS) else float(words.removesuffix(" nats"))


def _message(form: type[M], **values: Any) -> M:
    """A message within the service's bounds. Raises LoadProblem."""
    try:
        return form(**values)
    except ValidationError as error:
        raise LoadProblem(f"The model service does not take this: {explain(error.errors())}.") from None


def matched_of(settings: PaneSettings, offer: Offer) -> MeasuredSteering | None:
    """The study's condition that the pane's cost stands for; None where it has no cost, or none that fits."""
    method = offer.method(str(settings.method))
    matched = offer.matched_under(method, direction=settings.direction, control=settings.control)
    return None if settings.cost is None else matched.get(settings.cost)


def measured_of(settings: PaneSettings, offer: Offer) -> MeasuredSteering | None:
    """The study's condition that steers as the pane does, so that its cost is the pane's."""
    if settings.cost is not None:
        return matched_of(settings, offer)
    method = offer.method(str(settings.method))
    rows = offer.measured_under(method, direction=settings.direction, control=settings.control)
    if "strength" not in method.settings:
        return rows[0] if rows else None
    if settings.picked or settings.strength is None:
        return None
    heads_and_scope = (settings.heads or offer.usual_heads, settings.scope or "generated")
    for row in rows:
        is_near = abs(row.strength - settings.strength) <= 1e-6 * max(1.0, row.strength)
        if is_near and (row.heads, row.scope) == heads_and_scope:
            return row
    return None


def pane_of(settings: PaneSettings, offers: Sequence[Offer]) -> Pane:
    """What one pane asks for; settings that its method does not heed are left at the service's defaults.

    Raises LoadProblem.
    """
    offer = find(settings.model, offers)
    method = offer.method(str(settings.method))
    heeded = method.settings
    values: dict[str, Any] = {}
    matched = matched_of(settings, offer)
    if matched is not None:
        heeded = [key for key in heeded if key not in ("strength", "heads")]
        values = {"matched_cost": settings.cost}
        settings = replace(settings, scope=matched.scope)
    values |= {key: getattr(settings, key) for key in heeded if getattr(settings, key) is not None}
    if "heads" in heeded:
        heads = [parse_head(name) for name in settings.picked or ()]
        places = [HeadPlace(layer=head[0], head=head[1]) for head in heads if head is not None]
        values["heads"] = places or values.get("heads")
    return _message(Pane, checkpoint_id=offer.checkpoint_id, method=method.name, **values)


def request_of(settings: SessionSettings, offers: Sequence[Offer]) -> GenerateRequest:
    """The request that the settings describe. Raises LoadProblem."""
    return _message(
        GenerateRequest,
        panes=[pane_of(pane, offers) for pane in settings.panes],
        **{field: getattr(settings, key) for field, key in NAMES.items()},
    )


def pane_name(settings: PaneSettings, offers: Sequence[Offer]) -> str:
    """A pane in words: its checkpoint, its method, and how strong it is."""
    offer = find(settings.model, offers)
    method = offer.method(str(settings.method))
    parts = [offer.label, method.title if method.name != NONE else "unsteered"]
    if "control" in method.settings:
        parts[-1] += f" {settings.control}"
    if matched_of(settings, offer) is not None and settings.cost is not None:
        parts.append(cost_words(settings.cost))
    elif "strength" in method.settings:
        parts.append(f"strength {settings.strength:g}")
        if settings.picked:
            parts.append(f"{len(settings.picked)} picked heads")
    return ", ".join(parts)


def cost_line(settings: PaneSettings, offers: Sequence[Offer]) -> str:
    """How strong a pane is and what that costs, as the study measured it."""
    offer = find(settings.model, offers)
    method = offer.method(str(settings.method))
    if method.name == NONE:
        return "Costs are measured against this"
    measured = measured_of(settings, offer)
    cost = measured.cost if measured is not None else None
    words = (
        "cost not measured" if cost is None else f"cost {fixed(cost.value, cost.low, cost.high, digits=3)}"
    )
    if cost is not None:
        words += " nats"
    if measured is not None and settings.cost is not None:
        return f"Strength {measured.strength:.3g}, {words}"
    return words[:1].upper() + words[1:]


def find(label: str | None, offers: Sequence[Offer]) -> Offer:
    """The offer of that label. Raises LoadProblem."""
    for offer in offers:
        if offer.label == label:
            return offer
    raise LoadProblem(f"This service does not offer the checkpoint '{str(label)[:80]}'.")


def in_range(key: str, value: Any, *, integral: bool = False) -> Any:
    """The value as a number, where it is within the control's RANGES. Raises LoadProblem."""
    (low, high), name = RANGES[key], WORDS.get(key, key).capitalize()
    is_number = isinstance(value, int if integral else int | float) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:
        raise LoadProblem(f"{name} must be a number from {low:g} to {high:g} on this page.")
    return int(value) if integral else float(value)
