"""What the controls of the page say, as plain values: read, put back, and turned into a request.

The names of fields are the keys of the widgets and of the link, those of a pane with its number behind.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, TypeVar

import streamlit as st
from pydantic import BaseModel, ValidationError

from hormesis.dashboard.app_pages.steer.catalogue import Offer
from hormesis.dashboard.base.wording import head_name, parse_head
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
WORDS: Final = {"length": "new tokens", "heat": "temperature", "top": "top p"}
NAMES: Final = {
    "prompt": "prompt",
    "new_tokens": "length",
    "temperature": "heat",
    "top_p": "top",
    "seed": "seed",
}
"""The service's words to the fields of SessionSettings."""
SCOPES: Final = {"generated": "Generated tokens", "all": "All positions"}
"""Positions that are steered, as the page calls them."""
DIRECTIONS: Final = {"mass_mean": "Difference of means", "probe": "Probe weights"}
"""Kinds of directions, as the page calls them."""


class LoadProblem(ValueError):
    """Settings cannot be put on this page; one sentence for the person."""


@dataclass(frozen=True)
class PaneSettings:
    """What the controls of one pane say; None where a control is not drawn."""

    model: str | None = None
    method: str | None = None
    strength: float | None = None
    heads: int | None = None
    picked: tuple[str, ...] | None = None
    direction: str | None = None
    scope: str | None = None
    control: int | None = None


@dataclass(frozen=True)
class SessionSettings:
    """What all controls of the page say; those of a link or of JSON are unchecked until `put_back`."""

    panes: tuple[PaneSettings, ...]
    prompt: str = ""
    length: int = 40
    heat: float = 1.0
    top: float = 0.9
    seed: int = 0

    @classmethod
    def of_values(cls, values: Mapping[str, Any]) -> SessionSettings:
        """Settings of values by the keys of the widgets, of two panes (numbered from 1) without `panes`.

        Raises LoadProblem for a number of panes that the page does not have.
        """
        count = _in_range("panes", values.get("panes", 2), integral=True)
        panes = []
        for number in range(1, count + 1):
            pane = {key: values[f"{key}{number}"] for key in PANE_KEYS if f"{key}{number}" in values}
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
        return values


PANE_KEYS: Final = tuple(field.name for field in fields(PaneSettings))


def widget_keys(count: int) -> list[str]:
    """Keys of the widgets, and in links, of a page with so many panes."""
    of_panes = (f"{key}{number}" for number in range(1, count + 1) for key in PANE_KEYS)
    return ["panes", *NAMES.values(), *of_panes]


def default_offer(number: int, offers: Sequence[Offer]) -> Offer:
    """A pane's model where nobody chose: the study's most toxic arm in panes 1 and 2, else its cleanest."""
    toxic_arms = [
        offer for offer in offers if offer.steerable and offer.is_of_study and offer.kind == "toxic"
    ]
    candidates = toxic_arms or [offer for offer in offers if offer.steerable] or list(offers)
    return max(candidates, key=lambda offer: offer.share or 0.0) if number <= 2 else candidates[0]


def default_method(number: int, offer: Offer) -> str:
    """The method of a pane with that model where nobody chose: left alone and steered take turns."""
    return (
        NONE if number % 2 else next((method.name for method in offer.methods if method.name != NONE), NONE)
    )


def now(count: int) -> SessionSettings:
    """What the controls say, for so many panes."""
    keys = [key for key in widget_keys(count) if key in st.session_state]
    return SessionSettings.of_values({key: st.session_state[key] for key in keys} | {"panes": count})


def _message(form: type[M], **values: Any) -> M:
    """A message within the service's bounds. Raises LoadProblem."""
    try:
        return form(**values)
    except ValidationError as error:
        raise LoadProblem(f"The model service does not take this: {explain(error.errors())}.") from None


def pane_of(settings: PaneSettings, offers: Sequence[Offer]) -> Pane:
    """What one pane asks for; settings that its method does not heed are left at the service's defaults.

    Raises LoadProblem.
    """
    offer = find(settings.model, offers)
    method = offer.method(str(settings.method))
    values = {key: getattr(settings, key) for key in method.settings if getattr(settings, key) is not None}
    if "heads" in method.settings:
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
    """A pane in words; `pane`: what it asks the service for."""
    offer = find(settings.model, offers)
    pane, method = pane_of(settings, offers), offer.method(str(settings.method))
    parts = [offer.label, method.title if method.name != NONE else "unsteered"]
    if "control" in method.settings:
        parts[-1] += f" {pane.control}"
    if "strength" in method.settings:
        parts.append(f"strength {pane.strength:g}")
    if isinstance(pane.heads, list):
        parts.append(f"{len(pane.heads)} picked heads")
    return ", ".join(parts)


def find(label: str | None, offers: Sequence[Offer]) -> Offer:
    """The offer of that label. Raises LoadProblem."""
    for offer in offers:
        if offer.label == label:
            return offer
    raise LoadProblem(f"This service does not offer the checkpoint '{str(label)[:80]}'.")


def put_back(settings: SessionSettings, offers: Sequence[Offer]) -> None:
    """Set the controls; call it before they are drawn (a callback). What is not said goes to its default.

    Raises LoadProblem, and changes nothing, where a value does not fit the page or the service.
    """
    _in_range("panes", len(settings.panes), integral=True)
    shared = {
        "length": _in_range("length", settings.length, integral=True),
        "heat": _in_range("heat", settings.heat),
        "top": _in_range("top", settings.top),
        "seed": _in_range("seed", settings.seed, integral=True),
        "prompt": settings.prompt,
    }
    if not isinstance(shared["prompt"], str) or len(shared["prompt"]) > LONGEST_PROMPT:
        raise LoadProblem(f"The prompt must be a text of at most {LONGEST_PROMPT:,} characters.")
    panes = [_checked_pane(pane, number, offers) for number, pane in enumerate(settings.panes, 1)]
    st.session_state.update(SessionSettings(tuple(panes), **shared).as_values())


def _checked_pane(settings: PaneSettings, number: int, offers: Sequence[Offer]) -> PaneSettings:
    """Settings of pane `number` with defaults put in, each of which fits the page. Raises LoadProblem."""
    offer = default_offer(number, offers) if settings.model is None else find(str(settings.model), offers)

    def said_or(key: str, otherwise: Any) -> Any:
        value = getattr(settings, key)
        return otherwise if value is None else value

    name = str(said_or("method", default_method(number, offer)))
    method = next((method for method in offer.methods if name in (method.name, method.title)), None)
    if method is None:
        raise LoadProblem(f"Pane {number}: {offer.label} cannot be put under the method '{name[:40]}'.")
    heads = said_or("heads", offer.usual_heads)
    if not isinstance(heads, int) or not 1 <= heads <= offer.most_heads:
        raise LoadProblem(f"Pane {number}: {offer.label} has {offer.most_heads} heads, not {heads!s:.20}.")
    head_names = tuple(str(head) for head in said_or("picked", ()))
    unknown = next((head for head in head_names if head not in set(offer.head_names)), None)
    if unknown is not None:
        raise LoadProblem(f"Pane {number}: {offer.label} has no head {unknown[:20]}.")
    direction = _value_of_words(said_or("direction", next(iter(offer.directions), "mass_mean")), DIRECTIONS)
    scope = _value_of_words(said_or("scope", "generated"), SCOPES)
    control = said_or("control", next(iter(offer.controls), 0))
    choices: dict[str, tuple[Any, Collection[Any]]] = {
        "direction": (direction, offer.directions),
        "scope": (scope, SCOPES),
        "control": (control, offer.controls),
    }
    for key, (value, allowed) in choices.items():
        if key in method.settings and value not in allowed:
            raise LoadProblem(f"Pane {number}: {offer.label} has no {key} '{value!s:.20}'.")
    strength = _in_range("strength", said_or("strength", 2.0))
    return PaneSettings(
        model=offer.label,
        method=method.name,
        strength=strength,
        heads=heads,
        picked=head_names,
        direction=direction,
        scope=scope,
        control=control,
    )


def _value_of_words(value: Any, words: Mapping[str, str]) -> Any:
    """A value from its words on the page; anything else is given back."""
    return next((name for name, word in words.items() if word == value), value)


def _in_range(key: str, value: Any, *, integral: bool = False) -> Any:
    """The value as a number, where it is within the control's RANGES. Raises LoadProblem."""
    (low, high), name = RANGES[key], WORDS.get(key, key).capitalize()
    is_number = isinstance(value, int if integral else int | float) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:
        raise LoadProblem(f"{name} must be a number from {low:g} to {high:g} on this page.")
    return int(value) if integral else float(value)


def of_request(body: dict[str, Any], offers: Sequence[Offer]) -> SessionSettings:
    """Settings of a request as JSON, the shape that the service takes. Raises LoadProblem."""
    panes = body.get("panes")
    if not isinstance(panes, list) or not all(isinstance(pane, dict) for pane in panes):
        raise LoadProblem("This JSON is not a request: it has no list of panes.")
    labels = {offer.checkpoint_id: offer.label for offer in offers}
    settings = []
    for pane in panes:
        checkpoint_id, heads = pane.get("checkpoint_id"), pane.get("heads")
        label = labels.get(checkpoint_id) if isinstance(checkpoint_id, int) else None
        if label is None:
            raise LoadProblem(f"This service offers no checkpoint {checkpoint_id!s:.20}.")
        rest = {key: pane.get(key) for key in ("method", "strength", "direction", "scope", "control")}
        count = None if isinstance(heads, list) else heads
        settings.append(PaneSettings(model=label, heads=count, picked=_names(heads), **rest))
    shared = {key: body[name] for name, key in NAMES.items() if name in body}
    return SessionSettings(tuple(settings), **shared)


def _names(heads: Any) -> tuple[str, ...]:
    """Names of heads given as `[{"layer": 2, "head": 3}]`; none for anything but a list."""
    if not isinstance(heads, list):
        return ()
    try:
        return tuple(head_name(int(head["layer"]), int(head["head"])) for head in heads)
    except (TypeError, KeyError, ValueError):
        raise LoadProblem("This JSON names heads in a way the service does not take.") from None
