"""Scatter charts of stored projections: directions over heads and arms, activations over examples."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd
import plotly.graph_objects as go

from hormesis.dashboard.base.colours import arm_colour, ink
from hormesis.dashboard.base.records import arm_groups, records
from hormesis.dashboard.base.wording import Head, arm_label, head_name
from hormesis.dashboard.charts.frame import figure

# Okabe and Ito's eight, without black: told apart with every common kind of colour vision.
CATEGORIES: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
OTHER: Final = "#8792A0"


def _trace(rows: pd.DataFrame, flat: bool, **options: Any) -> go.Scattergl | go.Scatter3d:
    """Points of rows at x, y (and z unless `flat`); options: `color`, `size` (pixels), and Plotly's own."""
    size = options.pop("size", 6)
    marker = {"size": size if flat else max(2, size - 3), "color": options.pop("color"), "opacity": 0.8}
    if flat:
        return go.Scattergl(x=rows["x"], y=rows["y"], mode="markers", marker=marker, **options)
    return go.Scatter3d(x=rows["x"], y=rows["y"], z=rows["z"], mode="markers", marker=marker, **options)


def _frame(method: str, flat: bool, height: int) -> go.Figure:
    """An empty map in two dimensions (`flat`) or three; `method`: `UMAP` or `PCA`."""
    chart = figure(f"{method} 1", f"{method} 2", height)
    chart.update_xaxes(showticklabels=False, showgrid=False)
    chart.update_yaxes(showticklabels=False, showgrid=False)
    if not flat:
        chart.update_layout(
            scene={name: {"showticklabels": False, "title": ""} for name in ("xaxis", "yaxis", "zaxis")}
        )
        chart.update_layout(margin={"l": 0, "r": 0, "t": 12, "b": 0})
    return chart


def directions(
    points: pd.DataFrame, method: str, *, chosen: Head | None, dark: bool, flat: bool = True
) -> go.Figure:
    """Toxicity directions, one point per head and checkpoint, coloured by arm, the chosen head ringed.

    Columns: x, y, z, kind, share, checkpoint, layer, head, accuracy (may be missing).
    """
    chart = _frame(method, flat, 440)
    for kind, share, of_arm in arm_groups(points):
        chart.add_trace(
            _trace(
                of_arm,
                flat,
                color=arm_colour(kind, share),
                name=arm_label(kind, share),
                customdata=[head_name(row.layer, row.head) for row in records(of_arm)],
                hovertext=[
                    f"<b>{head_name(row.layer, row.head)}</b> of {row.checkpoint}" for row in records(of_arm)
                ],
                hoverinfo="text",
            )
        )
    if chosen is not None and flat:
        chart.add_trace(ring(points, chosen, dark=dark))
    return chart


def ring(points: pd.DataFrame, chosen: Head, *, dark: bool) -> go.Scattergl:
    """Rings round the points of one head in every checkpoint, for the flat map of directions."""
    ringed = points[(points["layer"] == chosen.layer) & (points["head"] == chosen.head)]
    return go.Scattergl(
        x=ringed["x"],
        y=ringed["y"],
        mode="markers",
        marker={"symbol": "circle-open", "size": 15, "color": ink(dark=dark), "line": {"width": 2}},
        name=f"{head_name(*chosen)} in every arm",
        hoverinfo="skip",
    )


def activations(points: pd.DataFrame, method: str, column: str, *, flat: bool = True) -> go.Figure:
    """One head's activations, one point per example, coloured by a column; rare values are pooled as other.

    Columns: x, y, z, example_id and `column`. Texts are not in the hover: they may hurt.
    """
    chart = _frame(method, flat, 440)
    if flat:
        chart.update_layout(dragmode="lasso")
    if column == "score" and points["score"].notna().any():
        chart.add_trace(
            _trace(
                points,
                flat,
                color=points["score"].tolist(),
                name="score",
                customdata=points["example_id"].tolist(),
                hovertext=[f"score {score:.2f}" for score in points["score"]],
                hoverinfo="text",
                showlegend=False,
            )
        )
        chart.update_traces(marker={"colorscale": "Cividis", "showscale": True})
        return chart
    values = points[column].astype(object).where(points[column].notna(), "none").astype(str)
    frequent_values = [str(value) for value in values.value_counts().index]
    categories = frequent_values[: len(CATEGORIES)]
    for place, category in enumerate([*categories, "other"]):
        group = points[values == category] if category in categories else points[~values.isin(categories)]
        if group.empty:
            continue
        chart.add_trace(
            _trace(
                group,
                flat,
                color=CATEGORIES[place] if category in categories else OTHER,
                name=f"{category} ({len(group):,})",
                customdata=group["example_id"].tolist(),
                hovertext=[category] * len(group),
                hoverinfo="text",
            )
        )
    return chart
