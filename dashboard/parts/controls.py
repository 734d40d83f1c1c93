"""The head on show, chosen alike on several pages and kept in the link. Knows widgets."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from hormesis.dashboard.base.wording import parse_head
from hormesis.dashboard.parts import card


def head_picker(head_names: Sequence[str], best: str) -> str | None:
    """The head on show, the same on every page and chart; `best` where none was chosen."""
    if not head_names:
        return None
    return st.selectbox(
        "Head",
        list(head_names),
        index=list(head_names).index(best) if best in head_names else 0,
        key="head",
        bind="query-params",
        width=110,
    )


def choose_head(head_label: str) -> None:
    """Make a head the one on show; for callbacks, which run before the picker is drawn."""
    st.session_state["head"] = head_label


def clicked(chart_key: str) -> None:
    """A head was clicked on a chart; it becomes the one on show everywhere."""
    clicked_heads = card.selected(chart_key)
    if clicked_heads and parse_head(str(clicked_heads[0])) is not None:
        choose_head(str(clicked_heads[0]))
