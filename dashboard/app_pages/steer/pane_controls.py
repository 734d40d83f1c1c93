"""The controls of the page: settings of each pane, and what all panes share. Knows widgets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from hormesis.dashboard.app_pages.steer.catalogue import Offer
from hormesis.dashboard.app_pages.steer.defaults import default_offer, default_pane
from hormesis.dashboard.app_pages.steer.settings import (
    DIRECTIONS,
    RANGES,
    SCOPES,
    SIGMAS,
    PaneSettings,
    SessionSettings,
    cost_line,
    cost_words,
    pane_name,
)
from hormesis.dashboard.base.wording import plain
from hormesis.db.contract.measured import MeasuredSteering
from hormesis.db.contract.messages import MAX_PANES, MethodInfo


def pane_line(settings: PaneSettings, offers: Sequence[Offer]) -> None:
    """What a pane is and what it costs; names are text, whatever they look like."""
    st.markdown(f":small[**{plain(pane_name(settings, offers))}**]")
    st.caption(cost_line(settings, offers))


def pane_controls(number: int, offers: Sequence[Offer]) -> None:
    """The settings of pane `number` (from 1), behind a button."""
    with st.popover(f"Pane {number}", type="tertiary", icon=":material/tune:", key=f"pane{number}"):
        labels = [offer.label for offer in offers]
        label = st.selectbox(
            f"Pane {number}: model",
            labels,
            index=labels.index(default_offer(offers).label),
            key=f"model{number}",
            bind="query-params",
        )
        offer = offers[labels.index(label) if label in labels else 0]
        if len(offer.methods) == 1:
            st.caption("Not probed, so it has no direction to be steered along.")
        usual = default_pane(number, offer)
        methods = [method.name for method in offer.methods]
        name = st.selectbox(
            f"Pane {number}: method",
            methods,
            index=methods.index(str(usual.method)) if usual.method in methods else 0,
            format_func=lambda name: offer.method(name).title,
            key=f"method{number}",
            bind="query-params",
        )
        method = offer.method(str(name))
        if method.prefix:
            st.caption("Put before the prompt:")
            # As code: it is the study's own text, and Markdown in it must stay text.
            st.code(method.prefix.strip(), language=None, wrap_lines=True)
        _steering(number, offer, method, usual=usual)


def _steering(number: int, offer: Offer, method: MethodInfo, *, usual: PaneSettings) -> None:
    """The settings of a pane that its method heeds; `usual`: where nobody chose."""
    direction, control = None, None
    if "direction" in method.settings:
        direction = st.segmented_control(
            "Direction",
            list(offer.directions),
            default=offer.directions[0],
            format_func=lambda name: DIRECTIONS.get(name, name),
            required=True,
            key=f"direction{number}",
            bind="query-params",
        )
    if "control" in method.settings:
        control = st.selectbox(
            "Random direction",
            list(offer.controls),
            key=f"control{number}",
            bind="query-params",
            help="Which of the study's random directions; the study compares with all of them.",
        )
    if "strength" not in method.settings:
        return
    matched = offer.matched_under(method, direction=direction, control=control)
    cost = _cost(number, matched, usual=usual)
    if isinstance(cost, float):
        row = matched[cost]
        st.caption(
            f"The study steered the {row.heads} best heads with strength {row.strength:.3g} "
            f"({SCOPES.get(row.scope, row.scope).lower()}) to reach this cost."
        )
        return
    _own_strength(number, usual, matched)
    _heads(number, offer)
    st.segmented_control(
        "Positions steered",
        list(SCOPES),
        default="generated",
        format_func=lambda name: SCOPES[name],
        required=True,
        key=f"scope{number}",
        bind="query-params",
    )


def _cost(number: int, matched: dict[float, MeasuredSteering], *, usual: PaneSettings) -> Any:
    """The cost that the study matched a strength to, or SIGMAS."""
    if not matched:
        # One that was chosen for another model or method is not meant here.
        st.session_state.pop(f"cost{number}", None)
        return SIGMAS
    options = [*matched, SIGMAS]
    # A link that says a strength means that strength.
    is_own = any(f"{key}{number}" in st.query_params for key in ("strength", "heads", "picked"))
    first = usual.cost if usual.cost in matched else next(iter(matched))
    return st.segmented_control(
        f"Pane {number}: at matched cost",
        options,
        default=SIGMAS if is_own else first,
        format_func=cost_words,
        required=True,
        key=f"cost{number}",
        bind="query-params",
        help="Strengths at which steering raises the model's held-out cross-entropy by this much: it means "
        "the same in every model, where a number of sigmas does not.",
    )


def _own_strength(number: int, usual: PaneSettings, matched: dict[float, MeasuredSteering]) -> None:
    low, high = RANGES["strength"]
    at_cost = matched[usual.cost].strength if usual.cost in matched else None
    st.number_input(
        f"Pane {number}: strength (sigmas)",
        float(low),
        float(high),
        min(usual.strength or at_cost or 2.0, high),
        0.25,
        format="%.4g",
        key=f"strength{number}",
        bind="query-params",
        help="How many standard deviations each steered head is moved away from toxicity.",
    )


def _heads(number: int, offer: Offer) -> None:
    _keep_heads(number, offer)
    st.number_input(
        "Best heads",
        1,
        offer.most_heads,
        offer.usual_heads,
        key=f"heads{number}",
        bind="query-params",
        help="So many of the best heads by probe. Heads picked by name below, or on the map, go first.",
    )
    st.multiselect(
        "Picked heads",
        offer.head_names,
        key=f"picked{number}",
        bind="query-params",
        placeholder="None: the best are steered",
    )


def _keep_heads(number: int, offer: Offer) -> None:
    """Heads chosen for a larger model must not outlive the change to a smaller one."""
    count, heads_key = f"heads{number}", f"picked{number}"
    if (st.session_state.get(count) or 0) > offer.most_heads:
        st.session_state[count] = offer.usual_heads
    selection = st.session_state.get(heads_key) or []
    head_names = set(offer.head_names)
    if any(name not in head_names for name in selection):
        st.session_state[heads_key] = [name for name in selection if name in head_names]


def sampling() -> None:
    """How tokens are drawn, in all panes, behind a button."""
    with st.popover("Sampling", icon=":material/casino:"):
        st.slider("New tokens", 8, 256, SessionSettings.length, 4, key="length", bind="query-params")
        st.slider("Temperature", 0.0, 2.0, SessionSettings.heat, 0.1, key="heat", bind="query-params")
        st.slider("Top p", 0.1, 1.0, SessionSettings.top, 0.05, key="top", bind="query-params")
        st.number_input("Sampling seed", 0, 2**31, SessionSettings.seed, key="seed", bind="query-params")
        st.caption("Every pane draws from the same sampling seeds: from this one on, one for each text.")


def display(count: int, *, blur: bool) -> int:
    """How many panes there are and how texts are shown, behind a button; `count`, `blur`: at first."""
    with st.popover("Display", icon=":material/visibility:"):
        panes = st.segmented_control(
            "Panes",
            list(range(1, MAX_PANES + 1)),
            default=count,
            required=True,
            key="panes",
            bind="query-params",
        )
        st.toggle(
            "Blur until scored",
            value=blur,
            key="blur_stream",
            bind="query-params",
            help="Off, text is seen as it streams and blurred once a scorer puts it above 50 points.",
        )
        st.toggle(
            "Colour tokens",
            value=True,
            key="tint",
            bind="query-params",
            help="By projection on the toxicity direction.",
        )
    return int(panes or count)
