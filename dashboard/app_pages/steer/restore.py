"""Putting settings back on the page: of a link, of JSON, of an earlier run. Only what fits is taken."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from hormesis.dashboard.app_pages.steer.catalogue import Offer
from hormesis.dashboard.app_pages.steer.defaults import default_offer, default_pane
from hormesis.dashboard.app_pages.steer.settings import (
    DIRECTIONS,
    LONGEST_PROMPT,
    NAMES,
    SCOPES,
    TEXTS,
    LoadProblem,
    PaneSettings,
    SessionSettings,
    find,
    in_range,
    matched_of,
)
from hormesis.dashboard.base.wording import head_name
from hormesis.db.contract.messages import MethodInfo


def put_back(settings: SessionSettings, offers: Sequence[Offer]) -> None:
    """Set the controls; call it before they are drawn (a callback). What is not said goes to its default.

    Raises LoadProblem, and changes nothing, where a value does not fit the page or the service.
    """
    in_range("panes", len(settings.panes), integral=True)
    shared = {
        "length": in_range("length", settings.length, integral=True),
        "heat": in_range("heat", settings.heat),
        "top": in_range("top", settings.top),
        "seed": in_range("seed", settings.seed, integral=True),
        "prompt": settings.prompt,
        "texts": settings.texts,
    }
    if not isinstance(shared["prompt"], str) or len(shared["prompt"]) > LONGEST_PROMPT:
        raise LoadProblem(f"The prompt must be a text of at most {LONGEST_PROMPT:,} characters.")
    if shared["texts"] not in TEXTS:
        raise LoadProblem(f"This page takes {', '.join(map(str, TEXTS))} texts of each pane.")
    panes = [_checked_pane(pane, number, offers) for number, pane in enumerate(settings.panes, 1)]
    st.session_state.update(SessionSettings(tuple(panes), **shared).as_values())


def _checked_pane(settings: PaneSettings, number: int, offers: Sequence[Offer]) -> PaneSettings:
    """Settings of pane `number` with defaults put in, each of which fits the page. Raises LoadProblem."""
    offer = default_offer(offers) if settings.model is None else find(str(settings.model), offers)
    usual = default_pane(number, offer)

    def said_or(key: str, otherwise: Any) -> Any:
        value = getattr(settings, key)
        return otherwise if value is None else value

    name = str(said_or("method", usual.method))
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
    pane = PaneSettings(
        model=offer.label,
        method=method.name,
        strength=in_range("strength", said_or("strength", usual.strength or 2.0)),
        heads=heads,
        picked=head_names,
        direction=direction,
        scope=scope,
        control=control,
    )
    return _at_cost(pane, settings, number, offer=offer, method=method, usual=usual)


def _at_cost(
    pane: PaneSettings,
    settings: PaneSettings,
    number: int,
    *,
    offer: Offer,
    method: MethodInfo,
    usual: PaneSettings,
) -> PaneSettings:
    """The checked `pane` at the matched cost that `settings` name, or at the usual one where they name none.

    Raises LoadProblem where the study matched no strength to the cost they name.
    """
    is_own = settings.strength is not None or settings.heads is not None or settings.picked
    cost = settings.cost if settings.cost is not None or is_own else usual.cost
    at_cost = replace(pane, cost=cost, strength=None, heads=None, picked=None)
    if cost is None or "strength" not in method.settings:
        return pane
    if isinstance(cost, int | float) and matched_of(at_cost, offer) is not None:
        return at_cost
    if settings.cost is not None:
        raise LoadProblem(f"Pane {number}: no strength of {offer.label} was matched to +{cost!s:.8} nats.")
    return pane


def _value_of_words(value: Any, words: Mapping[str, str]) -> Any:
    """A value from its words on the page; anything else is given back."""
    return next((name for name, word in words.items() if word == value), value)


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
        cost = pane.get("matched_cost")
        settings.append(PaneSettings(model=label, cost=cost, heads=count, picked=_names(heads), **rest))
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
