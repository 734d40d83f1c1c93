"""Where does toxicity live? Head maps, their tail by arm, other features, words, directions, activations."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.app_pages.geometry import (
    activation_view,
    directions_view,
    entanglement_view,
    heads_view,
    lens_view,
)
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.theme import is_dark
from hormesis.dashboard.base.wording import MEASURES, Head, arm_label, checkpoint_label, head_name, parse_head
from hormesis.dashboard.charts.figure_cache import drawn
from hormesis.dashboard.charts.heads import head_map, limits, most_per_line, outline, survival
from hormesis.dashboard.parts import card, controls, states
from hormesis.dashboard.rows.context import Context, current

COLUMNS = ["layer", "head"]


def pick_arms(probes: pd.DataFrame) -> tuple[str, str]:
    """Names of two checkpoints side by side: by default the first and that of the largest share."""
    order = probes.drop_duplicates("checkpoint").sort_values(
        ["kind", "share", "seed"], ascending=[False, True, True]
    )
    checkpoints = [str(checkpoint) for checkpoint in order["checkpoint"]]
    labels = {str(row.checkpoint): checkpoint_label(row) for row in records(order)}
    toxic = order[order["kind"] == "toxic"]
    # The largest share, and of its seeds the first, which the left side shows too.
    largest = toxic[toxic["share"] == toxic["share"].max()]
    last = checkpoints.index(str(largest.iloc[0]["checkpoint"])) if len(largest) else len(checkpoints) - 1
    first = st.selectbox(
        "Left", checkpoints, format_func=lambda n: labels[n], key="left", bind="query-params", width=220
    )
    second = st.selectbox(
        "Right",
        checkpoints,
        index=last,
        format_func=lambda n: labels[n],
        key="right",
        bind="query-params",
        width=220,
    )
    return str(first), str(second)


def answer(context: Context, right_probes: pd.DataFrame) -> None:
    """The best head on the right (`right_probes`: a row per head), and that arm's heads against the clean."""
    best = right_probes.sort_values("select_accuracy").iloc[-1]
    sentence = (
        f"Best head on the right: {head_name(int(best['layer']), int(best['head']))}, test accuracy "
        f"{best['accuracy']:.3f} [{best['accuracy_low']:.3f}, {best['accuracy_high']:.3f}]."
    )
    kind, share = str(right_probes["kind"].iloc[0]), right_probes["share"].iloc[0]
    row = None if pd.isna(share) else heads_view.against_clean(context, kind, float(share), statistic="p90")
    if row is not None:
        words = heads_view.difference_words(row)
        sentence += f" 90th percentile of heads, {arm_label(kind, float(share))} against 0 %: {words}."
    st.markdown(f"#### {sentence}")


def maps(left_probes: pd.DataFrame, right_probes: pd.DataFrame, measure: str, *, chosen: Head | None) -> None:
    """Two maps (a row per head) on one scale, and their difference; `measure`: a key of MEASURES."""
    column, value_name = MEASURES[measure]
    span = limits(column, left_probes, right_probes)
    mark = [] if chosen is None else [outline(chosen.head, chosen.layer)]
    same_checkpoint = left_probes["checkpoint"].iloc[0] == right_probes["checkpoint"].iloc[0]
    grid = st.grid(3, min_column_width=330)
    for side, probes in (("left", left_probes), ("right", right_probes)):
        if side == "right" and same_checkpoint:
            break
        row = probes.iloc[0]
        with grid.cell(), st.container(border=True):
            card.chart(
                drawn(head_map, probes, column, span=span, chosen=None, dark=is_dark()).plus(shapes=mark),
                key=f"map_{side}",
                title=checkpoint_label(row),
                alt=f"{measure} of every head by layer, {row['checkpoint']}",
                guide=(
                    f"One square per head: {value_name}. White dots: heads that are steered. Click a "
                    f"square to choose it."
                ),
                note=f"n = {int(row['n_test']):,} test statements.",
                rows=probes,
                on_select=lambda side=side: entanglement_view.clicked(f"map_{side}"),
            )
    joined = left_probes.merge(right_probes, on=COLUMNS, suffixes=("_left", ""))
    if same_checkpoint or joined.empty:
        return
    joined["change"] = joined[column] - joined[f"{column}_left"]
    reach = float(joined["change"].abs().max()) or 1e-6
    with grid.cell(), st.container(border=True):
        card.chart(
            drawn(
                head_map,
                joined[[*COLUMNS, "change"]],
                "change",
                span=(-reach, reach),
                chosen=None,
                dark=is_dark(),
                difference=True,
            ).plus(shapes=mark),
            key="map_change",
            title="Right minus left",
            alt=f"Change of {measure} of every head by layer",
            guide="Orange: the head reads toxicity better on the right; blue: worse.",
            note=f"n = {len(joined):,} heads.",
            rows=joined[[*COLUMNS, f"{column}_left", column, "change"]],
            on_select=lambda: entanglement_view.clicked("map_change"),
        )


def distribution(probes: pd.DataFrame, measure: str) -> None:
    """How many heads are good, a line per checkpoint; `measure`: a key of MEASURES."""
    column, value_name = MEASURES[measure]
    lines = max(1, probes["checkpoint"].nunique())
    n_heads, most = len(probes) // lines, most_per_line(lines)
    thinned = f" Lines are thinned to {most:,} of {n_heads:,} heads." if n_heads > most else ""
    with st.container(border=True):
        card.chart(
            drawn(survival, probes, column, f"{measure} ({value_name})"),
            key="tail",
            title=f"{measure} over heads",
            alt=f"Share of heads above each {measure}, one line per checkpoint",
            guide="A line further right has better heads; the lower right end is the tail of the best ones.",
            note=f"n = {n_heads:,} heads per checkpoint, one line per seed.{thinned}",
            rows=probes,
        )


context = current()
st.subheader("Where does toxicity live?")
probes = rows.probes(context)
if probes.empty:
    states.not_yet(
        "probes", after="probing the first checkpoint", running=rows.study_progress(context).active
    )
    states.end_page()
with st.container(horizontal=True, vertical_alignment="bottom"):
    measure = str(
        st.segmented_control(
            "Measure", list(MEASURES), default="Accuracy", required=True, key="probe", bind="query-params"
        )
    )
    left_name, right_name = pick_arms(probes)
    best = probes.sort_values("select_accuracy", ascending=False).iloc[0]
    heads = probes.drop_duplicates(COLUMNS).sort_values(COLUMNS)
    head_names = [head_name(int(row.layer), int(row.head)) for row in records(heads)]
    chosen = parse_head(controls.head_picker(head_names, head_name(int(best["layer"]), int(best["head"]))))
left_probes, right_probes = (probes[probes["checkpoint"] == name] for name in (left_name, right_name))
answer(context, right_probes)
maps(left_probes, right_probes, measure, chosen=chosen)
grid = st.grid(2, min_column_width=420)
with grid.cell():
    distribution(probes, measure)
with grid.cell():
    heads_view.by_arm(context)
if chosen is not None:
    heads_view.head_line(probes, chosen, note=entanglement_view.of_head(context, right_name, chosen))
entanglement_view.by_arm(context)
entanglement_view.one_checkpoint(context, right_name, chosen, dark=is_dark())
if chosen is not None:
    lens_view.words(context, right_name, int(right_probes["checkpoint_id"].iloc[0]), chosen=chosen)
directions_view.direction_map(context, chosen)
activation_view.activation_map(context, chosen, right_name)
