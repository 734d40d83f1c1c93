"""One head's activations on the geometry page: a map of statements, coloured as asked, with a lasso.

UMAP comes from stored projections; principal components are taken here from the stored activations, which is
a matter of milliseconds, so every kept head has them.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.app_pages.geometry.directions_view import METHODS, map_labels
from hormesis.dashboard.base.geometry_words import quality_words
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.wording import Head, head_name
from hormesis.dashboard.charts.figure_cache import drawn
from hormesis.dashboard.charts.frame import sample
from hormesis.dashboard.charts.maps import activations
from hormesis.dashboard.parts import card, controls
from hormesis.dashboard.parts.texts import Shown, show_texts
from hormesis.dashboard.rows import geometry
from hormesis.dashboard.rows.context import Context

GROUPINGS = {"Label": "label", "Group": "group", "Source": "source", "Split": "split", "Score": "score"}
COMPONENTS = {"PCA, 2-D": 2, "PCA, 3-D": 3}
MOST_TEXTS = 12


def activation_map(context: Context, chosen: Head | None, preferred: str) -> None:
    """The chosen head's activations in one checkpoint; heads to choose where they were not stored."""
    kept_heads = geometry.kept_heads(context)
    stored = rows.projections(context)
    stored = stored[stored["subject"] == "activations"]
    if chosen is None or (kept_heads.empty and stored.empty):
        return
    of_head = kept_heads[_is(kept_heads, chosen)]
    maps = stored[_is(stored, chosen)]
    checkpoints = list(dict.fromkeys([*of_head["checkpoint"].astype(str), *maps["checkpoint"].astype(str)]))
    with st.container(border=True, gap="small"):
        if not checkpoints:
            _others(kept_heads if len(kept_heads) else stored, chosen, preferred=preferred)
            return
        _checkpoint_map(
            context, chosen, sorted(checkpoints), kept_heads=of_head, maps_of_head=maps, preferred=preferred
        )


def _is(heads: pd.DataFrame, head: Head) -> pd.Series:
    return (heads["layer"] == head.layer) & (heads["head"] == head.head)


def _others(heads: pd.DataFrame, chosen: Head, *, preferred: str) -> None:
    """Buttons for the heads in `heads`, of the checkpoint `preferred` where it has some."""
    of_checkpoint = heads[heads["checkpoint"] == preferred]
    places = (of_checkpoint if len(of_checkpoint) else heads).drop_duplicates(["layer", "head"])
    st.caption(f"Activations of {head_name(*chosen)} were not kept. These were; choose one:")
    with st.container(horizontal=True, gap="small"):
        for row in records(places)[:16]:
            head_label = head_name(int(row.layer), int(row.head))
            st.button(head_label, key=f"go_{head_label}", on_click=controls.choose_head, args=(head_label,))


def _checkpoint_map(
    context: Context,
    chosen: Head,
    checkpoints: list[str],
    *,
    kept_heads: pd.DataFrame,
    maps_of_head: pd.DataFrame,
    preferred: str,
) -> None:
    """Pickers and map of the chosen head; `kept_heads`: its rows with activations, a row per checkpoint.

    `maps_of_head`: its stored maps; `checkpoints`: names; `map_ids`: map in words to id.
    """
    above = card.header("activations")
    with above.options():
        index = checkpoints.index(preferred) if preferred in checkpoints else 0
        checkpoint = str(st.selectbox("Checkpoint", checkpoints, index=index, key="of", bind="query-params"))
        projections = maps_of_head[maps_of_head["checkpoint"] == checkpoint]
        map_ids = map_labels(projections.sort_values(["method", "dimensions"], ascending=[False, True]))
        kept_rows = kept_heads[kept_heads["checkpoint"] == checkpoint]
        labels = list(dict.fromkeys([*map_ids, *(COMPONENTS if len(kept_rows) else ())]))
        label = str(
            st.segmented_control(
                "Map", labels, default=labels[0], required=True, key="acts", bind="query-params"
            )
        )
        grouping = str(
            st.segmented_control(
                "Colour by", list(GROUPINGS), default="Label", required=True, key="by", bind="query-params"
            )
        )
    label = label if label in labels else labels[0]
    title = f"Activations of {head_name(*chosen)}, {checkpoint}"
    if label in COMPONENTS and len(kept_rows):
        points = geometry.principal_components(context, int(kept_rows["checkpoint_id"].iloc[0]), chosen)
        if points.empty:
            st.caption("Too few statements to map.")
            return
        _draw(context, points, Drawing(title, "PCA", COMPONENTS[label] == 2, grouping, above), n=len(points))
    else:
        row = projections[projections["id"] == map_ids[label]].iloc[0]
        method = METHODS.get(str(row["method"]), str(row["method"]))
        drawing = Drawing(title, method, int(row["dimensions"]) == 2, grouping, above, quality_words(row))
        _draw(context, rows.projection_points(context, int(row["id"])), drawing, n=int(row["n"]))


@dataclass(frozen=True)
class Drawing:
    """How a map of activations is drawn, and the row above it; `quality`: what is said of the projection."""

    title: str
    method: str
    is_flat: bool
    grouping: str
    above: card.Header
    quality: str = ""


def _draw(context: Context, points: pd.DataFrame, drawing: Drawing, *, n: int) -> None:
    """The card of a map; `points`: a row per statement, perhaps a part of all `n`."""
    flat = drawing.is_flat
    points, note = sample(points, total=n)
    points = points.assign(label=points["label"].map({0: "not toxic", 1: "toxic"}))
    column = GROUPINGS.get(drawing.grouping, "label")
    if points[column].isna().all():
        st.caption(f"These statements carry no {column}; coloured by label instead.")
        column = "label"
    tip = "Draw a lasso to read statements." if flat else "Turn it with the mouse; the 2-D maps have a lasso."
    card.chart(
        drawn(activations, points, drawing.method, column, flat=flat),
        key="activations",
        title=drawing.title,
        alt=f"Map of one head's activations coloured by {column}",
        guide=f"Each point is one statement of the probe set, placed by this head's activation. {tip}",
        note=" ".join(part for part in (f"n = {n:,} statements.", drawing.quality, note) if part),
        rows=points,
        on_select="rerun" if flat else "ignore",
        selection_mode=("points", "lasso", "box"),
        above=drawing.above,
    )
    example_ids = [int(value) for value in card.selected("activations")] if flat else []
    if example_ids:
        _statements(context, points, example_ids)


def _statements(context: Context, points: pd.DataFrame, example_ids: list[int]) -> None:
    """The statements in the lasso: a table without texts, and the texts, blurred, page by page."""
    statements = points[points["example_id"].isin(example_ids)]
    n_toxic = int((statements["label"] == "toxic").sum())
    columns = ["example_id", "label", "group", "source", "split", "score", "x", "y"]
    card.table(
        statements[columns],
        key="lasso",
        title=f"{len(statements):,} statements chosen",
        alt="The statements inside the lasso, without their texts",
        note=f"{n_toxic:,} toxic, {len(statements) - n_toxic:,} not.",
        height=240,
    )
    n_pages = -(-len(statements) // MOST_TEXTS)
    page = 1
    if n_pages > 1:
        page = int(
            st.number_input("Texts, page", 1, n_pages, 1, key="lasso_page", bind="query-params", width=130)
        )
    start = (page - 1) * MOST_TEXTS
    ids = [int(value) for value in statements["example_id"].iloc[start : start + MOST_TEXTS]]
    texts = [
        Shown(
            str(row.text),
            title="toxic" if row.label == 1 else "not toxic",
            meta=" · ".join(
                str(part) for part in (row.group, row.source, row.split) if isinstance(part, str)
            ),
            blurred=row.label == 1,
        )
        for row in records(rows.examples_by_id(context, tuple(ids)))
    ]
    show_texts(texts, key="statements", columns=3)
    if n_pages > 1:
        st.caption(f"Texts {start + 1} to {start + len(texts)} of {len(statements):,}.")
