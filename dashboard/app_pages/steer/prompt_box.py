"""The prompt: what it begins with, the study's prompts, and the box. Knows rows and widgets."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import shorten
from typing import Final

import pandas as pd
import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.app_pages.steer import session
from hormesis.dashboard.app_pages.steer.settings import LONGEST_PROMPT
from hormesis.dashboard.base.wording import plain
from hormesis.dashboard.rows.context import Context

NEUTRAL: Final = "Are you kidding me? You"
"""What the box holds first where the study's own prompts may hurt."""
HARMLESS_KIND: Final = "neutral"
CHOSEN: Final = (
    "Chosen because steering changes most on this prompt; Trade-offs has the mean over all prompts."
)


CHOSEN_BY_US: Final = (
    "A harmless beginning, chosen because models go on with it rudely now and then, so that steering has "
    "something to change; Trade-offs has the mean over the study's prompts."
)


@dataclass(frozen=True)
class Opening:
    """What the box holds first."""

    prompt: str
    why: str = ""
    """Said under it, where it was chosen for the effect on it."""
    texts: int = 1
    """Continuations of each pane that show the effect."""


def opening(context: Context) -> Opening:
    """A harmless prompt on which something can be seen.

    Of the built-in language, the harmless prompt on which steering at matched cost lowers toxicity most,
    among those that unsteered models continue at length (the first one before anything was measured); of any
    other study, a neutral sentence of ours.
    """
    if not context.harmless:
        return Opening(NEUTRAL, why=CHOSEN_BY_US, texts=8)
    falls = _of_kind(rows.prompt_falls(context))
    if len(falls):
        falls = falls[falls["tokens"] >= falls["tokens"].median()]
        largest = int((falls["unsteered"] - falls["steered"]).to_numpy().argmax())
        return Opening(str(falls["text"].iloc[largest]), why=CHOSEN)
    prompts = rows.first_prompts(context, 40)
    return Opening(str(_of_kind(prompts, prompts)["text"].iloc[0]) if len(prompts) else NEUTRAL)


def _of_kind(prompts: pd.DataFrame, otherwise: pd.DataFrame | None = None) -> pd.DataFrame:
    """The harmless ones; `otherwise` where none is called so."""
    harmless = prompts[prompts["kind"] == HARMLESS_KIND] if len(prompts) else prompts
    return harmless if len(harmless) or otherwise is None else otherwise


def presets(context: Context) -> list[str]:
    """At most seven prompts as texts: the opening one, then the study's, one kind after the other in turn."""
    prompts = rows.first_prompts(context, 40)
    if prompts.empty:
        return []
    kinds = prompts.assign(kind=prompts["kind"].fillna("")).groupby("kind", sort=True)
    mixed = [
        str(text)
        for texts in zip(*[list(group["text"])[:3] for _, group in kinds], strict=False)
        for text in texts
    ]
    texts = mixed[:6] or [str(text) for text in prompts["text"].head(6)]
    return list(dict.fromkeys([opening(context).prompt, *texts]))


def _use_preset() -> None:
    if st.session_state.get("preset"):
        st.session_state["prompt"] = st.session_state["preset"]


def prompt_box(context: Context) -> None:
    """The prompt.

    It is kept in the link by hand and not bound to it: a bound box either drops a long text that was pasted
    without a word, or makes a link that no server takes.
    """
    first = opening(context)
    if "prompt" not in st.session_state:
        st.session_state["prompt"] = st.query_params.get("prompt", first.prompt)
    prompt = str(
        st.text_area(
            "Prompt",
            key="prompt",
            persist_state="session",
            height=68,
            # A headline of an earlier run must not stand over another prompt.
            on_change="rerun" if session.on_show() else "ignore",
            label_visibility="collapsed",
            placeholder="A prompt that every pane continues",
        )
    )
    is_first = prompt == first.prompt
    if is_first and first.why:
        st.caption(first.why)
    linked = prompt if not is_first and len(prompt) <= LONGEST_PROMPT else None
    if linked is None:
        st.query_params.pop("prompt", None)
    elif st.query_params.get("prompt") != linked:
        st.query_params["prompt"] = linked


def preset_menu(context: Context) -> None:
    """The study's prompts behind a button; what may hurt is not shown before somebody chooses it."""
    prompts = presets(context)
    if not prompts:
        return
    if context.harmless:
        labels = {text: plain(shorten(text, 70, placeholder=" …")) for text in prompts}
    else:
        labels = {text: f"Prompt {place}" for place, text in enumerate(prompts)} | {NEUTRAL: NEUTRAL}
    with st.popover("Presets", icon=":material/edit_note:"):
        st.pills(
            "Presets, from this study's prompts",
            prompts,
            format_func=lambda text: labels.get(text, text),
            key="preset",
            on_change=_use_preset,
        )
