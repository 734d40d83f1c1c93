"""Choices that several pages share, each kept in the link: prompts, scorer, view, head. Knows widgets."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

MATCHED, FIXED, EVERY = "Matched cost", "Fixed strength", "All"
VIEW_HELP = (
    "Matched cost compares arms where steering has cost the same in cross-entropy. Fixed strength "
    "turns every "
    "model by the same number of sigmas, which hits models with a larger sigma harder."
)


FLUENCIES = ("fluency", "distinct_2", "repetition_4")
"""Metrics of how whole the language is; the first that a study has stands beside toxicity."""


def options(values: pd.Series) -> list[str]:
    """Distinct values without nulls, sorted."""
    return sorted({str(value) for value in values.dropna()})


def by_size(rows: pd.DataFrame) -> list[str]:
    """Prompt sets of summary rows, the one with most texts first."""
    sizes = rows.groupby("prompt_set")["n"].max().sort_values(ascending=False, kind="stable")
    return [str(name) for name in sizes.index]


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


def fluency(choices: pd.DataFrame, prompt_set: str | None) -> tuple[str, str | None] | None:
    """The first fluency metric there is for these prompts, with its scorer; None where there is none."""
    of_prompts = choices[choices["prompt_set"] == prompt_set]
    for name in FLUENCIES:
        of_metric = of_prompts[of_prompts["name"] == name]
        if len(of_metric):
            return name, next(iter(options(of_metric["scorer"])), None)
    return None


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


def in_view(rows: pd.DataFrame, choice: str) -> pd.DataFrame:
    """The unsteered rows and those of the view."""
    is_base = rows["method"] == "none"
    is_matched = rows["matched_cost"].notna()
    if choice == MATCHED:
        return rows[is_base | is_matched]
    if choice == FIXED:
        return rows[is_base | ~is_matched]
    return rows


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
