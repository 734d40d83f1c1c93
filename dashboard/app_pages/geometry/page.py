"""Where does toxicity live? The map of directions with its null; heads, one head, features, activations."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.app_pages.geometry import (
    activation_view,
    directions_view,
    entanglement_view,
    head_view,
    heads_view,
)
from hormesis.dashboard.base.geometry_words import best_head
from hormesis.dashboard.base.headlines import headline
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.verdicts import NO_DATA
from hormesis.dashboard.base.wording import Head, checkpoint_label, head_name, parse_head
from hormesis.dashboard.parts import controls, states
from hormesis.dashboard.parts.answer import answer
from hormesis.dashboard.rows import geometry
from hormesis.dashboard.rows.context import Context, current

DIRECTIONS, HEADS, ONE_HEAD = "Directions", "Heads", "One head"
ENTANGLEMENT, ACTIVATIONS = "Entanglement", "Activations"
SECTIONS = (DIRECTIONS, HEADS, ONE_HEAD, ENTANGLEMENT, ACTIVATIONS)


def pick_checkpoint(probes: pd.DataFrame, labels: dict[str, str]) -> str:
    """Name of the checkpoint on show; by default the first seed of the largest share of toxic-source text."""
    toxic = probes[probes["kind"] == "toxic"]
    largest = toxic[toxic["share"] == toxic["share"].max()].sort_values("seed")
    names = list(labels)
    index = names.index(str(largest.iloc[0]["checkpoint"])) if len(largest) else len(names) - 1
    return str(
        st.selectbox(
            "Checkpoint",
            names,
            index=index,
            format_func=lambda name: labels[name],
            key="right",
            bind="query-params",
            width=190,
        )
    )


def pick_head(probes: pd.DataFrame, checkpoint: str) -> Head | None:
    """The head on show; by default the best one of the checkpoint by the select split."""
    of_checkpoint = probes[probes["checkpoint"] == checkpoint]
    best = of_checkpoint.sort_values("select_accuracy", ascending=False, kind="stable").iloc[0]
    heads = probes.drop_duplicates(["layer", "head"]).sort_values(["layer", "head"])
    names = [head_name(int(row.layer), int(row.head)) for row in records(heads)]
    return parse_head(controls.head_picker(names, head_name(int(best["layer"]), int(best["head"]))))


def draw(context: Context, probes: pd.DataFrame) -> None:
    """The controls that all sections share, and the section that is chosen; `probes`: a row per head."""
    order = probes.drop_duplicates("checkpoint").sort_values(
        ["kind", "share", "seed"], ascending=[False, True, True]
    )
    labels = {str(row.checkpoint): checkpoint_label(row) for row in records(order)}
    first = DIRECTIONS if len(directions_view.stored_maps(context)) else HEADS
    with st.container(horizontal=True, vertical_alignment="bottom"):
        section = st.segmented_control(
            "Section",
            SECTIONS,
            default=first,
            required=True,
            key="part",
            bind="query-params",
            label_visibility="collapsed",
        )
        checkpoint = pick_checkpoint(probes, labels)
        head = pick_head(probes, checkpoint)
    if section == HEADS:
        heads_view.show(context, probes, checkpoint, head=head, labels=labels)
    elif section == ONE_HEAD and head is not None:
        head_view.show(context, probes, checkpoint, head=head, label=labels[checkpoint])
    elif section == ENTANGLEMENT:
        entanglement_view.show(context, checkpoint, head)
    elif section == ACTIVATIONS:
        activation_view.activation_map(context, head, checkpoint)
    else:
        directions_view.direction_map(context, head, checkpoint)


context = current()
probes = geometry.head_gains(context)
answered = headline("geometry", rows.verdicts(context))
if answered.status == NO_DATA and len(probes):
    answered = best_head(probes)
answer(answered)
states.degraded_note(context)
if probes.empty:
    states.not_yet(
        "probes", after="probing the first checkpoint", running=rows.study_progress(context).active
    )
    states.end_page()
draw(context, probes)
