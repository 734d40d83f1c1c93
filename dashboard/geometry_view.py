"""Stored projections on the geometry page: directions over arms, and one head's activations with a lasso."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import card, context, controls, rows
from dashboard.charts.frame import sample
from dashboard.charts.maps import activations, directions
from dashboard.colours import is_dark
from dashboard.records import records
from dashboard.texts import Shown, show_texts
from dashboard.wording import head_name, parse_head

METHODS = {"umap": "UMAP", "pca": "PCA"}
GROUPINGS = {"Label": "label", "Group": "group", "Source": "source", "Split": "split", "Score": "score"}
MOST_ROWS = 12


def _clicked() -> None:
    picked = card.selected("directions")
    if picked and parse_head(str(picked[0])) is not None:
        controls.choose_head(str(picked[0]))


def _labels(found: pd.DataFrame) -> dict[str, int]:
    """`UMAP, 2-D` to the projection's id."""
    return {
        f"{METHODS.get(row.method, str(row.method))}, {row.dimensions}-D": int(row.id)
        for row in records(found)
    }


def direction_map(found: context.Context, probes: pd.DataFrame, chosen: tuple[int, int] | None) -> None:
    """Toxicity directions of all heads and arms."""
    known = rows.projections(found)
    known = known[known["subject"] == "directions"]
    if known.empty:
        st.info(
            "The map of directions appears when the projections are done.", icon=":material/hourglass_empty:"
        )
        return
    labels = _labels(known.sort_values(["method", "dimensions"], ascending=[False, True]))
    with st.container(border=True):
        name = st.segmented_control(
            "Directions by",
            list(labels),
            default=next(iter(labels)),
            required=True,
            key="dirs",
            bind="query-params",
        )
        row = known[known["id"] == labels[str(name)]].iloc[0]
        points, note = sample(rows.points(found, int(row["id"])))
        flat = int(row["dimensions"]) == 2
        card.chart(
            directions(
                points, METHODS.get(row["method"], row["method"]), chosen=chosen, dark=is_dark(), flat=flat
            ),
            key="directions",
            title="Toxicity directions over heads and arms",
            alt="Map of the toxicity directions of all heads, coloured by arm",
            how=(
                "Each point is one head's direction in one checkpoint; near points point alike. "
                "Click a point to choose its head."
            ),
            note=(
                f"n = {int(row['n']):,} directions. Distances between far groups mean little in UMAP. {note}"
            ),
            rows=points,
            on_select=_clicked,
        )


def activation_map(found: context.Context, chosen: tuple[int, int] | None, preferred: str) -> None:
    """One head's activations, coloured as asked; a lasso shows the statements."""
    known = rows.projections(found)
    known = known[known["subject"] == "activations"]
    if known.empty:
        return
    with st.container(border=True):
        st.markdown("**One head's activations**")
        mine = (
            known if chosen is None else known[(known["layer"] == chosen[0]) & (known["head"] == chosen[1])]
        )
        if mine.empty:
            have = [
                head_name(int(row.layer), int(row.head))
                for row in records(known.drop_duplicates(["layer", "head"]))
            ]
            st.caption(
                f"Activations of {head_name(*chosen or (0, 0))} were not projected. These were; choose one:"
            )
            with st.container(horizontal=True, gap="small"):
                for name in have[:12]:
                    st.button(name, key=f"go_{name}", on_click=controls.choose_head, args=(name,))
            return
        _activations(found, mine, preferred)


def _activations(found: context.Context, mine: pd.DataFrame, preferred: str) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = [str(name) for name in mine["checkpoint"].unique()]
        place = names.index(preferred) if preferred in names else 0
        checkpoint = st.selectbox("Checkpoint", names, index=place, key="of", bind="query-params", width=220)
        labels = _labels(
            mine[mine["checkpoint"] == checkpoint].sort_values(
                ["method", "dimensions"], ascending=[False, True]
            )
        )
        name = st.segmented_control(
            "Map", list(labels), default=next(iter(labels)), required=True, key="acts", bind="query-params"
        )
        by = st.segmented_control(
            "Colour by", list(GROUPINGS), default="Label", required=True, key="by", bind="query-params"
        )
    row = mine[mine["id"] == labels.get(str(name), next(iter(labels.values())))].iloc[0]
    points, note = sample(rows.points(found, int(row["id"])))
    points = points.assign(label=points["label"].map({0: "not toxic", 1: "toxic"}))
    flat = int(row["dimensions"]) == 2
    column = GROUPINGS[str(by)]
    if points[column].isna().all():
        st.caption(f"These statements carry no {column}; coloured by label instead.")
        column = "label"
    card.chart(
        activations(points, METHODS.get(row["method"], row["method"]), column, flat=flat),
        key="activations",
        alt=f"Map of one head's activations coloured by {column}",
        how=(
            "Each point is one statement of the probe set, placed by this head's activation. Draw a "
            "lasso to read statements."
        ),
        note=f"n = {int(row['n']):,} statements. {note}",
        rows=points,
        on_select="rerun",
        selection_mode=("points", "lasso", "box"),
    )
    picked = [int(value) for value in card.selected("activations")]
    if picked:
        _statements(found, points, picked)


def _statements(found: context.Context, points: pd.DataFrame, picked: list[int]) -> None:
    mine = points[points["example_id"].isin(picked)]
    st.markdown(f"**{len(mine):,} statements chosen**")
    shown = rows.example_texts(found, [int(value) for value in mine["example_id"].head(MOST_ROWS)])
    items = [
        Shown(
            str(row.text),
            title="toxic" if row.label == 1 else "not toxic",
            meta=" · ".join(
                str(part) for part in (row.group, row.source, row.split) if isinstance(part, str)
            ),
            blurred=row.label == 1,
        )
        for row in records(shown)
    ]
    show_texts(items, key="statements", columns=3)
    if len(mine) > MOST_ROWS:
        st.caption(f"The first {MOST_ROWS} of {len(mine):,}.")
