"""What the controls of the page say, as plain values: read, put back, and turned into a request.

The keys are those of the widgets and of the link. Knows session state and offers; draws nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, TypeVar

import streamlit as st
from pydantic import BaseModel, ValidationError

from dashboard.live.offers import Offer
from dashboard.wording import head_name, parse_head
from db.contract.messages import MAX_PANES, GenerateRequest, HeadPlace, Pane, explain
from db.contract.methods import NONE

Settings = dict[str, Any]
M = TypeVar("M", bound=BaseModel)
LONGEST_PROMPT: Final = 2000
SHARED: Final = ("prompt", "panes", "length", "heat", "top", "seed")
OF_PANE: Final = ("model", "method", "strength", "heads", "picked", "direction", "scope", "control")
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
"""The service's words to our keys."""
SCOPES: Final = {"generated": "Generated tokens", "all": "All positions"}
"""Positions that are steered, as the page calls them."""
DIRECTIONS: Final = {"mass_mean": "Difference of means", "probe": "Probe weights"}
"""Kinds of directions, as the page calls them."""


class LoadProblem(ValueError):
    """Settings cannot be put on this page; one sentence for the person."""


def default_offer(number: int, offers: Sequence[Offer]) -> Offer:
    """A pane's model where nobody chose: the study's most toxic arm in the first two, its cleanest below."""
    ours = [offer for offer in offers if offer.steerable and offer.own and offer.kind == "toxic"]
    found = ours or [offer for offer in offers if offer.steerable] or list(offers)
    return max(found, key=lambda offer: offer.share or 0.0) if number <= 2 else found[0]


def default_method(number: int, offer: Offer) -> str:
    """The method of a pane with that model where nobody chose: left alone and steered take turns."""
    return NONE if number % 2 else next((one.name for one in offer.methods if one.name != NONE), NONE)


def in_words(key: str, value: Any, offer: Offer) -> Any:
    """A value as the widget of that key shows it, which is how links have it."""
    if key == "method":
        return offer.method(str(value)).title
    words = {"scope": SCOPES, "direction": DIRECTIONS}.get(key)
    return words.get(str(value), value) if words else value


def now(count: int) -> Settings:
    """What the controls say, for so many panes; only those that are drawn."""
    keys = [*SHARED, *(f"{key}{number}" for number in range(1, count + 1) for key in OF_PANE)]
    found = {key: st.session_state[key] for key in keys if key in st.session_state}
    return {key: list(value) if isinstance(value, list) else value for key, value in found.items()}


def _message(form: type[M], **values: Any) -> M:
    """A message within the service's bounds. Raises LoadProblem."""
    try:
        return form(**values)
    except ValidationError as error:
        raise LoadProblem(f"The model service does not take this: {explain(error.errors())}.") from None


def pane_of(settings: Settings, number: int, offers: Sequence[Offer]) -> Pane:
    """What one pane asks for; settings that its method does not heed are left at the service's defaults.

    Raises LoadProblem.
    """
    offer = find(settings[f"model{number}"], offers)
    method = offer.method(str(settings[f"method{number}"]))
    values = {key: settings[f"{key}{number}"] for key in method.settings if f"{key}{number}" in settings}
    if "heads" in method.settings:
        places = [parse_head(name) for name in settings.get(f"picked{number}") or ()]
        picked = [HeadPlace(layer=place[0], head=place[1]) for place in places if place is not None]
        values["heads"] = picked or values.get("heads")
    return _message(Pane, checkpoint_id=offer.checkpoint_id, method=method.name, **values)


def request_of(settings: Settings, offers: Sequence[Offer]) -> GenerateRequest:
    """The request that the settings describe. Raises LoadProblem."""
    panes = [pane_of(settings, number, offers) for number in range(1, int(settings["panes"]) + 1)]
    return _message(
        GenerateRequest, panes=panes, **{theirs: settings[ours] for theirs, ours in NAMES.items()}
    )


def pane_name(settings: Settings, number: int, offers: Sequence[Offer]) -> str:
    """A pane in words."""
    offer = find(settings[f"model{number}"], offers)
    pane, method = pane_of(settings, number, offers), offer.method(str(settings[f"method{number}"]))
    parts = [offer.label, method.title if method.name != NONE else "unsteered"]
    if "control" in method.settings:
        parts[-1] += f" {pane.control}"
    if "strength" in method.settings:
        parts.append(f"strength {pane.strength:g}")
    if isinstance(pane.heads, list):
        parts.append(f"{len(pane.heads)} picked heads")
    return ", ".join(parts)


def find(label: str, offers: Sequence[Offer]) -> Offer:
    """The offer of that label. Raises LoadProblem."""
    for offer in offers:
        if offer.label == label:
            return offer
    raise LoadProblem(f"This service does not offer the checkpoint '{label[:80]}'.")


def put_back(settings: Settings, offers: Sequence[Offer]) -> None:
    """Set the controls; call it before they are drawn (a callback). What is not said goes to its default.

    Raises LoadProblem, and changes nothing, where a value does not fit the page or the service.
    """
    whole: Settings = {"panes": 2, "prompt": "", "length": 40, "heat": 1.0, "top": 0.9, "seed": 0}
    whole |= {key: value for key, value in settings.items() if key in SHARED}
    for key in ("panes", "length", "heat", "top", "seed"):
        whole[key] = _in_range(key, whole[key], whole=key not in ("heat", "top"))
    if not isinstance(whole["prompt"], str) or len(whole["prompt"]) > LONGEST_PROMPT:
        raise LoadProblem(f"The prompt must be a text of at most {LONGEST_PROMPT:,} characters.")
    for number in range(1, int(whole["panes"]) + 1):
        whole |= _checked_pane(settings, number, offers)
    st.session_state.update(whole)


def _checked_pane(settings: Settings, number: int, offers: Sequence[Offer]) -> Settings:
    label = settings.get(f"model{number}")
    offer = default_offer(number, offers) if label is None else find(str(label), offers)

    def said(key: str, otherwise: Any) -> Any:
        found = settings.get(f"{key}{number}")
        return otherwise if found is None else found

    method = str(said("method", default_method(number, offer)))
    found = next((one for one in offer.methods if method in (one.name, one.title)), None)
    if found is None:
        raise LoadProblem(f"Pane {number}: {offer.label} cannot be put under the method '{method[:40]}'.")
    heads = said("heads", offer.usual_heads)
    if not isinstance(heads, int) or not 1 <= heads <= offer.most_heads:
        raise LoadProblem(f"Pane {number}: {offer.label} has {offer.most_heads} heads, not {heads!s:.20}.")
    picked = [str(name) for name in said("picked", [])]
    unknown = next((name for name in picked if name not in set(offer.head_names)), None)
    if unknown is not None:
        raise LoadProblem(f"Pane {number}: {offer.label} has no head {unknown[:20]}.")
    direction, scope = (
        said("direction", next(iter(offer.directions), "mass_mean")),
        said("scope", "generated"),
    )
    choices: dict[str, tuple[Any, Collection[Any]]] = {
        "direction": (_named(direction, DIRECTIONS), offer.directions),
        "scope": (_named(scope, SCOPES), SCOPES),
        "control": (said("control", next(iter(offer.controls), 0)), offer.controls),
    }
    for key, (value, allowed) in choices.items():
        if key in found.settings and value not in allowed:
            raise LoadProblem(f"Pane {number}: {offer.label} has no {key} '{value!s:.20}'.")
    strength = _in_range("strength", said("strength", 2.0))
    checked = {"model": offer.label, "method": found.name, "strength": strength, "heads": heads}
    checked |= {"picked": picked} | {key: value for key, (value, _) in choices.items()}
    return {f"{key}{number}": value for key, value in checked.items()}


def _named(value: Any, words: Mapping[str, str]) -> Any:
    """A value from its words on the page; anything else is given back."""
    return next((name for name, word in words.items() if word == value), value)


def _in_range(key: str, value: Any, *, whole: bool = False) -> Any:
    (low, high), name = RANGES[key], WORDS.get(key, key).capitalize()
    number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:
        raise LoadProblem(f"{name} must be a number from {low:g} to {high:g} on this page.")
    return int(value) if whole else float(value)


def of_request(body: dict[str, Any], offers: Sequence[Offer]) -> Settings:
    """Settings of a request as JSON, the shape that the service takes. Raises LoadProblem."""
    panes = body.get("panes")
    if not isinstance(panes, list) or not all(isinstance(one, dict) for one in panes):
        raise LoadProblem("This JSON is not a request: it has no list of panes.")
    settings: Settings = {ours: body[theirs] for theirs, ours in NAMES.items() if theirs in body}
    settings["panes"] = len(panes)
    known = {offer.checkpoint_id: offer.label for offer in offers}
    for number, pane in enumerate(panes, 1):
        wanted = pane.get("checkpoint_id")
        label = known.get(wanted) if isinstance(wanted, int) else None
        if label is None:
            raise LoadProblem(f"This service offers no checkpoint {wanted!s:.20}.")
        heads = pane.get("heads")
        settings |= {f"model{number}": label, f"picked{number}": _names(heads)}
        settings[f"heads{number}"] = None if isinstance(heads, list) else heads
        for key in ("method", "strength", "direction", "scope", "control"):
            settings[f"{key}{number}"] = pane.get(key)
    return settings


def _names(heads: Any) -> list[str]:
    if not isinstance(heads, list):
        return []
    try:
        return [head_name(int(one["layer"]), int(one["head"])) for one in heads]
    except (TypeError, KeyError, ValueError):
        raise LoadProblem("This JSON names heads in a way the service does not take.") from None
