"""Choosing the steered heads of a pane on the layer by head map. Knows widgets and the map's chart."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from hormesis.dashboard.app_pages.steer import catalogue as service
from hormesis.dashboard.app_pages.steer.catalogue import Offer
from hormesis.dashboard.app_pages.steer.client import ServiceProblem
from hormesis.dashboard.app_pages.steer.settings import (
    RANGES,
    SIGMAS,
    PaneSettings,
    SessionSettings,
    find,
    matched_of,
)
from hormesis.dashboard.base.theme import is_dark
from hormesis.dashboard.base.wording import head_name, parse_head, plain
from hormesis.dashboard.charts.heads import head_map, limits
from hormesis.dashboard.parts import card


def after_click(steered: Sequence[str], clicked: Sequence[str]) -> list[str]:
    """Names of the steered heads after some were clicked or lassoed, by layer and head.

    Those clicked come in; if all are in already, they go out. One head always stays.
    """
    inside, touched = set(steered), set(clicked)
    changed = inside - touched if touched <= inside else inside | touched
    return sorted(changed or {steered[0]}, key=lambda name: parse_head(name) or (0, 0))


def picker(settings: SessionSettings, offers: Sequence[Offer], address: str, *, token: str) -> None:
    """The map of a pane's model, folded away; a click or lasso adds or removes heads. `panes`: by number."""
    panes = {
        number: pane
        for number, pane in enumerate(settings.panes, 1)
        if "heads" in find(pane.model, offers).method(str(pane.method)).settings
    }
    if not panes:
        return
    fold = st.expander(
        "Pick heads on the map", icon=":material/grid_on:", key="pick", on_change="rerun", bind="query-params"
    )
    if not fold.open:
        return
    with fold:
        number = st.segmented_control(
            "Heads of pane",
            list(panes),
            default=next(iter(panes)),
            required=True,
            key="pick_pane",
            bind="query-params",
        )
        number = number if number in panes else next(iter(panes))
        offer = find(panes[number].model, offers)
        try:
            heads = service.heads(address, offer, token)
        except ServiceProblem as problem:
            st.caption(plain(problem))
            return
        _map(number, panes[number], offer, heads=heads)


def _map(number: int, pane: PaneSettings, offer: Offer, *, heads: pd.DataFrame) -> None:
    """The map of pane `number`; `heads`: a row each; `steered`: names picked, else the `count` best."""
    head_names = [head_name(layer, head) for layer, head in zip(heads["layer"], heads["head"], strict=True)]
    count = int(pane.heads or offer.usual_heads)
    ordered = [name for _, name in sorted(zip(heads["order"], head_names, strict=True))]
    selection = list(pane.picked or ())
    steered = selection or ordered[:count]
    # The chart's white dots are heads with a rank: here, those that this pane steers.
    marked = pd.Series(head_names, index=heads.index).isin(steered)
    marked_table = heads.assign(rank=heads["order"].astype("float64").where(marked))
    # No drag mode of our own: under a lasso, streamlit lets no single click through.
    figure = head_map(
        marked_table, "accuracy", span=limits("accuracy", marked_table), chosen=None, dark=is_dark()
    ).update_layout(selectionrevision=",".join(steered))
    figure.update_xaxes(fixedrange=True).update_yaxes(fixedrange=True)
    key = f"pick_map{number}"

    def clicked() -> None:
        clicked_names = [str(name) for name in card.selected(key) if parse_head(str(name)) is not None]
        if not clicked_names:
            return
        st.session_state[f"picked{number}"] = after_click(steered, clicked_names)
        if (matched := matched_of(pane, offer)) is not None:
            # A cost is that of the study's own heads; others go with its strength.
            st.session_state[f"cost{number}"] = SIGMAS
            st.session_state[f"strength{number}"] = min(matched.strength, RANGES["strength"][1])

    label = f"{len(selection)} picked heads" if selection else f"the {count} best heads by probe"
    card.chart(
        figure,
        key=key,
        title=f"Pane {number}, {offer.label}: {label}",
        alt=f"Probe accuracy of every head by layer; white dots mark the heads that pane {number} steers",
        guide="White dots: heads that are steered. Click a square to add or remove its head; for several at "
        "once take the lasso or the box from the chart's toolbar.",
        note=f"Colour: balanced accuracy of the probe, n = {int(heads['n_test'].max()):,} test statements.",
        on_select=clicked,
        selection_mode=("points", "lasso", "box"),
    )
    st.button(
        "Back to the best",
        icon=":material/undo:",
        key=f"pick_best{number}",
        disabled=not selection,
        on_click=_forget,
        args=(number,),
    )


def _forget(number: int) -> None:
    st.session_state[f"picked{number}"] = []
