"""Steer models yourself: base and steered text side by side, streaming from the model service."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from hormesis.dashboard.app_pages.steer import panel, service_unavailable, session
from hormesis.dashboard.app_pages.steer.catalogue import Offer, offers
from hormesis.dashboard.app_pages.steer.client import ServiceProblem
from hormesis.dashboard.app_pages.steer.export_request import copies, load
from hormesis.dashboard.app_pages.steer.head_picker import picker
from hormesis.dashboard.app_pages.steer.history import history
from hormesis.dashboard.app_pages.steer.pane_controls import pane_controls, prompt_box, sampling
from hormesis.dashboard.app_pages.steer.settings import (
    LONGEST_PROMPT,
    LoadProblem,
    SessionSettings,
    now,
    pane_name,
    request_of,
)
from hormesis.dashboard.parts import states
from hormesis.dashboard.rows.context import Context, current, service_address
from hormesis.db.contract.messages import MAX_PANES


def controls(context: Context, catalogue: Sequence[Offer]) -> SessionSettings:
    """Draw every control and give their settings; `count`: panes drawn."""
    prompt_box(context)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        count = st.segmented_control(
            "Panes",
            list(range(1, MAX_PANES + 1)),
            default=2,
            required=True,
            key="panes",
            bind="query-params",
        )
        load(catalogue)
    count = int(count or 2)
    grid = st.grid(count, min_column_width=265, border=True)
    for number in range(1, count + 1):
        with grid.cell():
            pane_controls(number, catalogue)
    sampling()
    return now(count)


def switches(context: Context) -> bool:
    """The button and what belongs beside it; True where it was pressed."""
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button("Generate", type="primary", icon=":material/play_arrow:", key="generate")
        st.toggle(
            "Blur until scored",
            value=not context.harmless,
            key="blur_stream",
            bind="query-params",
            help="Off, text is seen as it streams and blurred once a scorer puts it above 0.5.",
        )
        st.toggle(
            "Colour tokens",
            value=True,
            key="tint",
            bind="query-params",
            help="By projection on the toxicity direction.",
        )
    return pressed


def generate(address: str, settings: SessionSettings, catalogue: Sequence[Offer], *, study: str) -> None:
    """Begin the run that the settings describe; `study`: its name in the picker."""
    prompt = settings.prompt
    if not prompt.strip():
        st.warning("Write a prompt first.", icon=":material/edit:")
        return
    if len(prompt) > LONGEST_PROMPT:
        st.warning(
            f"The prompt has {len(prompt):,} characters; this page takes at most {LONGEST_PROMPT:,}. "
            "Nothing was generated.",
            icon=":material/content_cut:",
        )
        return
    pane_names = tuple(pane_name(pane, catalogue) for pane in settings.panes)
    session.start(address, request_of(settings, catalogue), pane_names, settings=settings, study=study)


context = current()
address = service_address()
st.subheader("What does steering do to the text?")
try:
    if address is None:
        raise ServiceProblem("")
    catalogue = offers(address, context.study_id)
except ServiceProblem as problem:
    service_unavailable.absent(address, problem)
    if session.on_show() is not None:
        panel.show()
    states.end_page()
if not catalogue:
    st.info(
        "The model service knows no checkpoint yet. The first appears when an arm has been trained.",
        icon=":material/hourglass_empty:",
    )
    service_unavailable.wait_for_service(address)
    states.end_page()

settings = controls(context, catalogue)
try:
    picker(settings, catalogue, address, token=context.token)
    if switches(context):
        generate(
            address, settings, catalogue, study=str(st.session_state.get("study", context.study["name"]))
        )
except LoadProblem as problem:
    st.warning(str(problem), icon=":material/error:")
panel.show()
last = session.on_show()
if last is not None:
    if last.settings != settings:
        st.caption("The controls above are not those of the run on show.")
    copies(last, catalogue)
    history(catalogue)
