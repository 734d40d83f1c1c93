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
from hormesis.dashboard.base.wording import MEASURES, Head, arm_label, head_name, parse_head
from hormesis.dashboard.charts.figure_cache import drawn
from hormesis.dashboard.charts.heads import head_map, limits, most_per_line, outline, survival
from hormesis.dashboard.parts import card, controls, states
from hormesis.dashboard.rows.context import Context, current

COLUMNS = ["layer", "head"]


def clicked(key: str) -> None:
    """A head was clicked on a chart; it becomes the one on show everywhere."""
    heads = card.selected(key)
    if heads and parse_head(str(heads[0])) is not None:
        controls.choose_head(str(heads[0]))


def pick_arms(table: pd.DataFrame) -> tuple[str, str]:
    """Two checkpoints to put side by side: by default the first and the one with the largest share."""
    order = table.drop_duplicates("checkpoint").sort_values(
        ["kind", "share", "seed"], ascending=[False, True, True]
    )
    names = [str(name) for name in order["checkpoint"]]
    labels = {
        str(row.checkpoint): f"{arm_label(row.kind, row.share, row.seed)}"
        if row.kind != "imported"
        else str(row.checkpoint)
        for row in records(order)
    }
    toxic = order[order["kind"] == "toxic"]
    # The largest share, and of its seeds the first, which the left side shows too.
    largest = toxic[toxic["share"] == toxic["share"].max()]
    last = names.index(str(largest.iloc[0]["checkpoint"])) if len(largest) else len(names) - 1
    first = st.selectbox(
        "Left", names, format_func=lambda n: labels[n], key="left", bind="query-params", width=220
    )
    second = st.selectbox(
        "Right",
        names,
        index=last,
        format_func=lambda n: labels[n],
        key="right",
        bind="query-params",
        width=220,
    )
    return str(first), str(second)


def answer(context: Context, right: pd.DataFrame) -> None:
    """The best head, and how the heads of the right arm compare with those of the clean one."""
    best = right.sort_values("select_accuracy").iloc[-1]
    sentence = (
        f"Best head on the right: {head_name(int(best['layer']), int(best['head']))}, test accuracy "
        f"{best['accuracy']:.3f} [{best['accuracy_low']:.3f}, {best['accuracy_high']:.3f}]."
    )
    kind, share = str(right["kind"].iloc[0]), right["share"].iloc[0]
    row = None if pd.isna(share) else heads_view.against_clean(context, kind, float(share), name="p90")
    if row is not None:
        words = heads_view.difference_words(row)
        sentence += f" 90th percentile of heads, {arm_label(kind, float(share))} against 0 %: {words}."
    st.markdown(f"#### {sentence}")


def maps(left: pd.DataFrame, right: pd.DataFrame, measure: str, *, chosen: Head | None) -> None:
    """Two maps on one scale, and their difference where their shapes agree."""
    column, words = MEASURES[measure]
    span = limits(column, left, right)
    mark = [] if chosen is None else [outline(chosen.head, chosen.layer)]
    same = left["checkpoint"].iloc[0] == right["checkpoint"].iloc[0]
    grid = st.grid(3, min_column_width=330)
    for side, table in (("left", left), ("right", right)):
        if side == "right" and same:
            break
        row = table.iloc[0]
        with grid.cell(), st.container(border=True):
            card.chart(
                drawn(head_map, table, column, span=span, chosen=None, dark=is_dark()).plus(shapes=mark),
                key=f"map_{side}",
                title=arm_label(row["kind"], row["share"], row["seed"])
                if row["kind"] != "imported"
                else str(row["checkpoint"]),
                alt=f"{measure} of every head by layer, {row['checkpoint']}",
                how=(
                    f"One square per head: {words}. White dots: heads that are steered. Click a "
                    f"square to choose it."
                ),
                note=f"n = {int(row['n_test']):,} test statements.",
                rows=table,
                on_select=lambda side=side: clicked(f"map_{side}"),
            )
    joined = left.merge(right, on=COLUMNS, suffixes=("_left", ""))
    if same or joined.empty:
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
            how="Orange: the head reads toxicity better on the right; blue: worse.",
            note=f"n = {len(joined):,} heads.",
            rows=joined[[*COLUMNS, f"{column}_left", column, "change"]],
            on_select=lambda: clicked("map_change"),
        )


def distribution(table: pd.DataFrame, measure: str) -> None:
    """How many heads are good."""
    column, words = MEASURES[measure]
    lines = max(1, table["checkpoint"].nunique())
    heads, most = len(table) // lines, most_per_line(lines)
    thinned = f" Lines are thinned to {most:,} of {heads:,} heads." if heads > most else ""
    with st.container(border=True):
        card.chart(
            drawn(survival, table, column, f"{measure} ({words})"),
            key="tail",
            title=f"{measure} over heads",
            alt=f"Share of heads above each {measure}, one line per checkpoint",
            how="A line further right has better heads; the lower right end is the tail of the best ones.",
            note=f"n = {heads:,} heads per checkpoint, one line per seed.{thinned}",
            rows=table,
        )


context = current()
st.subheader("Where does toxicity live?")
table = rows.probes(context)
if table.empty:
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
    left_name, right_name = pick_arms(table)
    best = table.sort_values("select_accuracy", ascending=False).iloc[0]
    heads = table.drop_duplicates(COLUMNS).sort_values(COLUMNS)
    names = [head_name(int(row.layer), int(row.head)) for row in records(heads)]
    chosen = parse_head(controls.head_picker(names, head_name(int(best["layer"]), int(best["head"]))))
left, right = (table[table["checkpoint"] == name] for name in (left_name, right_name))
answer(context, right)
maps(left, right, measure, chosen=chosen)
grid = st.grid(2, min_column_width=420)
with grid.cell():
    distribution(table, measure)
with grid.cell():
    heads_view.by_arm(context)
if chosen is not None:
    heads_view.head_line(table, chosen, note=entanglement_view.of_head(context, right_name, chosen))
entanglement_view.by_arm(context)
entanglement_view.one_checkpoint(context, right_name, chosen, dark=is_dark())
if chosen is not None:
    lens_view.words(context, right_name, int(right["checkpoint_id"].iloc[0]), chosen=chosen)
directions_view.direction_map(context, chosen)
activation_view.activation_map(context, chosen, right_name)
