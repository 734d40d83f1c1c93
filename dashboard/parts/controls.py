"""Choices that several pages share, each kept in the link: prompts, scorer, view, head. Knows widgets."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

VIEW_HELP = (
    "Matched cost compares arms where steering has cost the same in cross-entropy. Fixed strength "
    "turns every "
    "model by the same number of sigmas, which hits models with a larger sigma harder."
)


def prompt_set(set_names: Sequence[str]) -> str | None:
    """Which prompts; None where there are none."""
    if not set_names:
        return None
    return st.selectbox("Prompts", list(set_names), key="prompts", bind="query-params", width=220)


def scorer(scorers: Sequence[str]) -> str | None:
    """Which scorer; None where there are none."""
    if not scorers:
        return None
    return st.selectbox("Scorer", list(scorers), key="scorer", bind="query-params", width=220)


def view(*choices: str, key: str = "view") -> str:
    """Matched cost or fixed strength."""
    choice = st.segmented_control(
        "Compare at",
        list(choices),
        default=choices[0],
        required=True,
        key=key,
        bind="query-params",
        help=VIEW_HELP,
    )
    return str(choice or choices[0])


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
        width=150,
        help="Layer and head. Clicking a head on any chart chooses it here and everywhere.",
    )


def choose_head(head_label: str) -> None:
    """Make a head the one on show; for callbacks, which run before the picker is drawn."""
    st.session_state["head"] = head_label
