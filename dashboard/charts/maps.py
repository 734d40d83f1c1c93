"""Scatter charts of stored projections: directions over heads and arms, activations over examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from hormesis.dashboard.base.colours import SEQUENTIAL, arm_colour, ink
from hormesis.dashboard.base.records import arm_groups, records
from hormesis.dashboard.base.wording import Head, arm_label, head_name
from hormesis.dashboard.charts.frame import FONT, figure

# Okabe and Ito's eight, without black: told apart with every common kind of colour vision.
CATEGORIES: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
OTHER: Final = "#8792A0"


SVG_POINTS: Final = 3_000
"""Points up to which flat maps are plain SVG, which needs no WebGL; beyond, the browser would stall."""


def _flat_trace(n_points: int, **options: Any) -> go.Scatter | go.Scattergl:
    """Markers on a flat map of so many points."""
    kind = go.Scatter if n_points <= SVG_POINTS else go.Scattergl
    return kind(mode="markers", **options)


def _trace(
    rows: pd.DataFrame, flat: bool, *, n_points: int, **options: Any
) -> go.Scatter | go.Scattergl | go.Scatter3d:
    """Points of rows at x, y (and z unless `flat`), some of the `n_points` of a map.

    options: `color`, `size` (pixels), and Plotly's own.
    """
    size = options.pop("size", 6)
    marker = {"size": size if flat else max(2, size - 3), "color": options.pop("color"), "opacity": 0.8}
    if flat:
        return _flat_trace(n_points, x=rows["x"], y=rows["y"], marker=marker, **options)
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
    points: pd.DataFrame,
    method: str,
    *,
    null: pd.DataFrame | None = None,
    titles: tuple[str, str] = ("", ""),
    by: str = "Arm",
    chosen: Head | None = None,
    dark: bool,
    flat: bool = True,
) -> go.Figure:
    """Toxicity directions, one point per head and checkpoint, beside a map in which there is nothing to see.

    Columns: x, y, z, kind, share, seed, checkpoint, layer, head and, where they are known, accuracy,
    selectivity and rank. `null`: the same heads in the same order of columns, drawn alike at the right;
    `titles`: of both maps; `by`: a key of COLOURINGS; the chosen head is ringed.
    """
    chart = _frame(method, flat, 400)
    panels = [points] if null is None else [points, null]
    colouring = COLOURINGS[by]
    for panel, of_panel in enumerate(panels):
        axes = _axes(panel, flat)
        if colouring.is_number:
            chart.add_trace(_numbers(of_panel, colouring.column, flat, axes=axes))
            continue
        for name, colour, group in _groups(of_panel, by):
            options = {"legendgroup": name, "showlegend": panel == 0, "name": name}
            chart.add_trace(_heads(group, flat, n_points=len(of_panel), color=colour, **axes, **options))
    if colouring.is_number:
        is_whole = bool((points[colouring.column].dropna() % 1 == 0).all())
        bar = {"thickness": 10, "outlinewidth": 0, "title": {"text": by, "side": "right"}, "tickfont": FONT}
        chart.update_layout(
            coloraxis={
                "colorscale": _scale(dark),
                "colorbar": bar | {"tickformat": "d" if is_whole else ".2f"},
            }
        )
    if null is not None:
        _place_beside(chart, method, titles, flat)
    if chosen is not None and flat:
        chart.add_traces(rings(points, null, chosen, dark=dark))
    return chart


@dataclass(frozen=True)
class Colouring:
    """What a point of the map of directions is coloured by."""

    column: str
    is_number: bool = False


COLOURINGS: Final = {
    "Arm": Colouring("kind"),
    "Layer": Colouring("layer", is_number=True),
    "Accuracy": Colouring("accuracy", is_number=True),
    "Selectivity": Colouring("selectivity", is_number=True),
    "Seed": Colouring("seed"),
    "Steered": Colouring("rank"),
}
"""In words."""


def _scale(dark: bool) -> list[str]:
    """The sequential scale without the end that is lost on the page's own ground."""
    ends = (0.3, 1.0) if dark else (0.0, 0.85)
    colours: list[str] = sample_colorscale(SEQUENTIAL, list(np.linspace(*ends, 9)))
    return colours


def _axes(panel: int, flat: bool) -> dict[str, str]:
    """Where traces of the first or second map are drawn."""
    if panel == 0:
        return {}
    return {"xaxis": "x2", "yaxis": "y2"} if flat else {"scene": "scene2"}


def _place_beside(chart: go.Figure, method: str, titles: tuple[str, str], flat: bool) -> None:
    """Two maps of equal size side by side, with their titles below."""
    left, right = [0.0, 0.485], [0.515, 1.0]
    if flat:
        plain = {"showticklabels": False, "showgrid": False, "zeroline": False}
        below = [{"text": f"<b>{title}</b>, {method} 1"} for title in titles]
        chart.update_layout(
            xaxis={"domain": left, "title": below[0]},
            xaxis2={"domain": right, "title": below[1], **plain},
            yaxis2={"anchor": "x2", **plain},
        )
        return
    scene = chart.layout.scene.to_plotly_json()
    chart.update_layout(
        scene={"domain": {"x": left}},
        scene2={**scene, "domain": {"x": right}},
        annotations=[
            {"x": sum(side) / 2, "y": 0, "xref": "paper", "yref": "paper", "yanchor": "bottom",
             "showarrow": False, "text": f"<b>{title}</b>", "font": FONT}
            for side, title in zip((left, right), titles, strict=True)
        ],
    )  # fmt: skip


def _groups(points: pd.DataFrame, by: str) -> list[tuple[str, str, pd.DataFrame]]:
    """Name, colour and points of each group of a colouring without numbers."""
    if by == "Seed":
        seeds = points["seed"].astype(object).where(points["seed"].notna(), "none")
        names = sorted(dict.fromkeys(seeds), key=str)
        colours = [*CATEGORIES[: len(names)], *[OTHER] * max(0, len(names) - len(CATEGORIES))]
        return [
            (f"seed {name}" if name != "none" else "no seed", colour, points[seeds == name])
            for name, colour in zip(names, colours, strict=True)
        ]
    if by == "Steered":
        steered = points["rank"].notna()
        groups = [("not steered", OTHER, points[~steered]), ("steered", CATEGORIES[5], points[steered])]
        return [group for group in groups if len(group[2])]
    return [
        (arm_label(kind, share), arm_colour(kind, share), of_arm)
        for kind, share, of_arm in arm_groups(points)
    ]


def _hover(row: Any) -> str:
    """What a point of the map of directions says under the mouse."""
    text = f"<b>{head_name(row.layer, row.head)}</b> of {row.checkpoint}"
    if not pd.isna(getattr(row, "accuracy", None)):
        text += f"<br>accuracy {row.accuracy:.3f}, selectivity {row.selectivity:+.3f}"
    return text + ("" if pd.isna(getattr(row, "rank", None)) else f"<br>steered, rank {row.rank:.0f}")


def _heads(rows: pd.DataFrame, flat: bool, **options: Any) -> go.Scatter | go.Scattergl | go.Scatter3d:
    """Points of heads that say their names; a click gives the name."""
    heads = records(rows)
    return _trace(
        rows,
        flat,
        customdata=[head_name(row.layer, row.head) for row in heads],
        hovertext=[_hover(row) for row in heads],
        hoverinfo="text",
        **options,
    )


def _numbers(
    rows: pd.DataFrame, column: str, flat: bool, *, axes: dict[str, str]
) -> go.Scatter | go.Scattergl | go.Scatter3d:
    """Points coloured by a number on the scale that both maps share."""
    values = rows[column].astype(float).tolist()
    trace = _heads(rows, flat, n_points=len(rows), color=values, name="heads", showlegend=False, **axes)
    return trace.update(marker={"coloraxis": "coloraxis"})


def rings(
    points: pd.DataFrame, null: pd.DataFrame | None, chosen: Head, *, dark: bool
) -> list[go.Scatter | go.Scattergl]:
    """Rings round the points of one head in every checkpoint, on both flat maps."""
    traces = []
    for panel, of_panel in enumerate([points] if null is None else [points, null]):
        ringed = of_panel[(of_panel["layer"] == chosen.layer) & (of_panel["head"] == chosen.head)]
        traces.append(
            _flat_trace(
                len(of_panel),
                x=ringed["x"],
                y=ringed["y"],
                marker={"symbol": "circle-open", "size": 15, "color": ink(dark=dark), "line": {"width": 2}},
                name=f"{head_name(*chosen)}",
                legendgroup="ring",
                showlegend=panel == 0,
                hoverinfo="skip",
                **_axes(panel, True),
            )
        )
    return traces


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
                n_points=len(points),
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
                n_points=len(points),
                color=CATEGORIES[place] if category in categories else OTHER,
                name=f"{category} ({len(group):,})",
                customdata=group["example_id"].tolist(),
                hovertext=[category] * len(group),
                hoverinfo="text",
            )
        )
    return chart
