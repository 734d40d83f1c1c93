"""The controls of the page: prompt with presets, one group for each pane, sampling. Knows widgets."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten

import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.app_pages.steer.catalogue import Offer
from hormesis.dashboard.app_pages.steer.settings import (
    DIRECTIONS,
    LONGEST_PROMPT,
    RANGES,
    SCOPES,
    default_method,
    default_offer,
)
from hormesis.dashboard.rows.context import Context
from hormesis.db.contract.messages import MethodInfo


def presets(context: Context) -> list[str]:
    """At most six prompts of the study as texts, one kind after the other in turn."""
    prompts = rows.first_prompts(context, 40)
    if prompts.empty:
        return []
    kinds = prompts.assign(kind=prompts["kind"].fillna("")).groupby("kind", sort=True)
    mixed = [
        str(text)
        for texts in zip(*[list(group["text"])[:3] for _, group in kinds], strict=False)
        for text in texts
    ]
    return mixed[:6] or [str(text) for text in prompts["text"].head(6)]


def _use_preset() -> None:
    if st.session_state.get("preset"):
        st.session_state["prompt"] = st.session_state["preset"]


def prompt_box(context: Context) -> None:
    """The prompt, with presets above it.

    It is kept in the link by hand and not bound to it: a bound box either drops a long text that was pasted
    without a word, or makes a link that no server takes.
    """
    prompts = presets(context)
    # What may hurt is not shown before somebody asks for it.
    first = prompts[0] if prompts and context.harmless else ""
    if "prompt" not in st.session_state:
        st.session_state["prompt"] = st.query_params.get("prompt", first)
    if prompts:
        if context.harmless:
            labels = {text: shorten(text, 44, placeholder=" …") for text in prompts}
        else:
            labels = {text: f"Prompt {place}" for place, text in enumerate(prompts, 1)}
        st.pills(
            "Presets, from this study's prompts",
            prompts,
            format_func=lambda text: labels.get(text, text),
            key="preset",
            on_change=_use_preset,
        )
    prompt = str(st.text_area("Prompt", key="prompt", persist_state="session", height=80, on_change="ignore"))
    linked = prompt if prompt != first and len(prompt) <= LONGEST_PROMPT else None
    if linked is None:
        st.query_params.pop("prompt", None)
    elif st.query_params.get("prompt") != linked:
        st.query_params["prompt"] = linked


def pane_controls(number: int, offers: Sequence[Offer]) -> None:
    """The controls of pane `number` (from 1): left alone and steered take turns unless it is changed."""
    labels = [offer.label for offer in offers]
    label = st.selectbox(
        f"Pane {number}: model",
        labels,
        index=labels.index(default_offer(number, offers).label),
        key=f"model{number}",
        bind="query-params",
    )
    offer = offers[labels.index(label) if label in labels else 0]
    if len(offer.methods) == 1:
        st.caption("Not probed, so it has no direction to be steered along.")
    methods = [method.name for method in offer.methods]
    usual = default_method(number, offer)
    name = st.selectbox(
        f"Pane {number}: method",
        methods,
        index=methods.index(usual) if usual in methods else 0,
        format_func=lambda name: offer.method(name).title,
        key=f"method{number}",
        bind="query-params",
    )
    method = offer.method(str(name))
    if "strength" in method.settings:
        low, high = RANGES["strength"]
        st.slider(
            f"Pane {number}: strength (sigmas)",
            float(low),
            float(high),
            2.0,
            0.25,
            key=f"strength{number}",
            bind="query-params",
            help="How many standard deviations each steered head is moved away from toxicity.",
        )
    if method.prefix:
        st.caption("Put before the prompt:")
        # As code: it is the study's own text, and Markdown in it must stay text.
        st.code(method.prefix.strip(), language=None, wrap_lines=True)
    if set(method.settings) - {"strength"}:
        with st.popover("Heads, direction, scope", icon=":material/settings:", width="stretch"):
            _details(number, offer, method)


def _details(number: int, offer: Offer, method: MethodInfo) -> None:
    """The settings of a pane that its method heeds, beside strength."""
    if "heads" in method.settings:
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
    if "direction" in method.settings:
        st.segmented_control(
            "Direction",
            list(offer.directions),
            default=offer.directions[0],
            format_func=lambda name: DIRECTIONS.get(name, name),
            required=True,
            key=f"direction{number}",
            bind="query-params",
        )
    if "control" in method.settings:
        st.selectbox(
            "Random direction",
            list(offer.controls),
            key=f"control{number}",
            bind="query-params",
            help="Which of the study's random directions; the study compares with all of them.",
        )
    if "scope" in method.settings:
        st.segmented_control(
            "Positions steered",
            list(SCOPES),
            default="generated",
            format_func=lambda name: SCOPES[name],
            required=True,
            key=f"scope{number}",
            bind="query-params",
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
    """Settings that all panes share."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.slider("New tokens", 8, 256, 40, 4, key="length", bind="query-params", width=200)
        st.slider("Temperature", 0.0, 2.0, 1.0, 0.1, key="heat", bind="query-params", width=200)
        st.slider("Top p", 0.1, 1.0, 0.9, 0.05, key="top", bind="query-params", width=200)
        st.number_input("Seed", 0, 2**31, 0, key="seed", bind="query-params", width=130)
