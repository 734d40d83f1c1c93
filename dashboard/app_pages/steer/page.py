"""Steer models yourself: base and steered text side by side, streaming from the model service."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from hormesis.dashboard.app_pages.steer import panel, service_unavailable, session
from hormesis.dashboard.app_pages.steer.catalogue import Offer, absent, load, offers
from hormesis.dashboard.app_pages.steer.client import ServiceProblem
from hormesis.dashboard.app_pages.steer.defaults import default_offer, steps_of
from hormesis.dashboard.app_pages.steer.export_request import copies, load_box
from hormesis.dashboard.app_pages.steer.head_picker import picker
from hormesis.dashboard.app_pages.steer.history import history
from hormesis.dashboard.app_pages.steer.pane_controls import display, pane_controls, pane_line, sampling
from hormesis.dashboard.app_pages.steer.prompt_box import opening, preset_menu, prompt_box
from hormesis.dashboard.app_pages.steer.settings import (
    LONGEST_PROMPT,
    TEXTS,
    LoadProblem,
    SessionSettings,
    now,
    pane_name,
    request_of,
)
from hormesis.dashboard.base.wording import plain
from hormesis.dashboard.parts import states
from hormesis.dashboard.parts.answer import answer
from hormesis.dashboard.parts.reference_note import again, is_reference
from hormesis.dashboard.rows.context import Context, current, service_address


def page(context: Context, catalogue: Sequence[Offer], address: str) -> None:
    """Everything from the prompt down.

    What shows the run on show is drawn into places left for it, since a press of the button begins a run that
    only all controls together describe.
    """
    answer_place = st.container()
    st.space("xxsmall")
    prompt_box(context)
    with st.container(horizontal=True, vertical_alignment="center", key="steer_tools"):
        is_pressed = st.button("Generate", type="primary", icon=":material/play_arrow:", key="generate")
        st.selectbox(
            "Texts of each pane",
            list(TEXTS),
            index=list(TEXTS).index(opening(context).texts),
            format_func=lambda count: TEXTS[count],
            key="texts",
            bind="query-params",
            label_visibility="collapsed",
            width=150,
        )
        preset_menu(context)
        sampling()
        steps = steps_of(default_offer(catalogue))
        count = display(steps.count, blur=not context.harmless)
        state_place = st.container(width="content")
        pager_place = st.container(width="content")
    problem_place = st.container()
    if line := absent_line(address, context):
        st.caption(line)
    places = []
    for number, cell in enumerate(panel.cells(count), 1):
        with cell, st.container(gap="xxsmall"):
            pane_controls(number, catalogue)
            places.append((st.container(gap=None), st.container()))
    settings = now(count)
    if is_pressed:
        study = str(st.session_state.get("study", context.study["name"]))
        with problem_place:
            generate(address, settings, catalogue, study=study)
    record = session.on_show()
    is_former = record is not None and not record.is_of(settings, catalogue)
    with answer_place:
        answer(panel.headline(is_former=is_former))
    with state_place:
        panel.show_state()
    with pager_place:
        panel.pager(is_former=is_former)
    for index, (line_place, text_place) in enumerate(places):
        with line_place:
            pane_line(settings.panes[index], catalogue)
        with text_place:
            panel.show_pane(index, pane_name(settings.panes[index], catalogue))
    below(settings, catalogue, address, token=context.token, note=steps.note)


def below(
    settings: SessionSettings, catalogue: Sequence[Offer], address: str, *, token: str, note: str
) -> None:
    """What follows the panes: how to read them, and what can be done with a run."""
    last = session.on_show()
    if last is not None and (problem := last.run.snapshot().error):
        st.warning(plain(problem), icon=":material/error:")
    st.caption(" ".join(filter(None, (panel.reading_guide(), note))))
    picker(settings, catalogue, address, token=token)
    if last is not None:
        copies(last, catalogue)
        history(catalogue)
    load_box(catalogue)


def absent_line(address: str, context: Context) -> str:
    """That checkpoints of the study on show cannot be steered here, and what to do; empty where all can."""
    models = absent(address, context.study_id)
    if not models:
        return ""
    reasons = "; ".join(dict.fromkeys(model.problem for model in models))
    which = plain(models[0].name) if len(models) == 1 else f"{len(models)} models of this study"
    command = f" `{again(context)}` makes them again." if is_reference(context) else ""
    return f":material/inventory_2: {which} cannot be steered here: {plain(reasons)}.{command}"


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
    try:
        request = request_of(settings, catalogue)
    except LoadProblem as problem:
        st.warning(plain(problem), icon=":material/error:")
        return
    pane_names = tuple(pane_name(pane, catalogue) for pane in settings.panes)
    session.start(address, request, pane_names, settings=settings, study=study)


context = current()
address = service_address()
try:
    if address is None:
        raise ServiceProblem("")
    catalogue = offers(address, context.study_id)
except ServiceProblem as problem:
    answer(panel.headline())
    service_unavailable.absent(address, problem)
    panel.show_alone()
    states.end_page()
if not catalogue and absent(address, context.study_id):
    answer(panel.headline())
    st.info(absent_line(address, context), icon=":material/inventory_2:")
    panel.show_alone()
    states.end_page()
if not catalogue:
    answer(panel.headline())
    st.info(
        "The model service knows no checkpoint yet. The first appears when an arm has been trained.",
        icon=":material/hourglass_empty:",
    )
    service_unavailable.wait_for_service(address)
    states.end_page()
load(address, default_offer(catalogue))
page(context, catalogue, address)
