"""The map of toxicity directions over heads and arms on the geometry page, from stored projections."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.app_pages.geometry.entanglement_view import clicked
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.theme import is_dark
from hormesis.dashboard.base.wording import Head
from hormesis.dashboard.charts.figure_cache import drawn
from hormesis.dashboard.charts.frame import sample
from hormesis.dashboard.charts.maps import directions, ring
from hormesis.dashboard.parts import card
from hormesis.dashboard.rows.context import Context

METHODS = {"umap": "UMAP", "pca": "PCA"}
DRAWN = ["x", "y", "z", "kind", "share", "checkpoint", "layer", "head"]
"""The columns that the map is drawn from."""


def map_labels(projections: pd.DataFrame) -> dict[str, int]:
    """`UMAP, 2-D` to the projection's id."""
    return {
        f"{METHODS.get(row.method, str(row.method))}, {row.dimensions}-D": int(row.id)
        for row in records(projections)
    }


def direction_map(context: Context, chosen: Head | None) -> None:
    """Toxicity directions of all heads and arms; `labels`: a map in words to its id."""
    projections = rows.projections(context)
    projections = projections[projections["subject"] == "directions"]
    if projections.empty:
        st.info(
            "The map of directions appears when the projections are done.", icon=":material/hourglass_empty:"
        )
        return
    labels = map_labels(projections.sort_values(["method", "dimensions"], ascending=[False, True]))
    with st.container(border=True):
        map_label = st.segmented_control(
            "Directions by",
            list(labels),
            default=next(iter(labels)),
            required=True,
            key="dirs",
            bind="query-params",
        )
        row = projections[projections["id"] == labels[str(map_label)]].iloc[0]
        points, note = sample(rows.projection_points(context, int(row["id"])), total=int(row["n"]))
        flat, method = int(row["dimensions"]) == 2, METHODS.get(row["method"], row["method"])
        figure = drawn(directions, points[DRAWN], method, chosen=None, dark=is_dark(), flat=flat)
        if chosen is not None and flat:
            figure = figure.plus(traces=[ring(points, chosen, dark=is_dark())])
        card.chart(
            figure,
            key="directions",
            title="Toxicity directions over heads and arms",
            alt="Map of the toxicity directions of all heads, coloured by arm",
            guide=(
                "Each point is one head's direction in one checkpoint; near points point alike. "
                "Click a point to choose its head."
            ),
            note=(
                f"n = {int(row['n']):,} directions. Distances between far groups mean little in UMAP. {note}"
            ),
            rows=points,
            on_select=lambda: clicked("directions"),
        )
