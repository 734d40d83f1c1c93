"""Layer by head maps and the distribution of a measure over heads. Knows the columns of probe rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from hormesis.dashboard.base.colours import SEQUENTIAL, arm_colour, diverging
from hormesis.dashboard.base.records import arm_groups, groups, records
from hormesis.dashboard.base.wording import GAIN, Head, arm_label, head_name
from hormesis.dashboard.charts.frame import FONT, MOST_POINTS, evenly, figure

CHOSEN = "#E8590C"


def _hover(row: Any, measure: str) -> str:
    """Hover text of a head (probe row)."""
    chosen = "" if pd.isna(row.rank) else f"<br>selected, rank {row.rank:.0f}"
    chosen += f"<br>gain {getattr(row, measure):+.3f}" if measure.startswith(GAIN) else ""
    return (
        f"<b>{head_name(row.layer, row.head)}</b><br>accuracy {row.accuracy:.3f} "
        f"[{row.accuracy_low:.3f}, {row.accuracy_high:.3f}]<br>AUROC {row.auroc:.3f}<br>"
        f"selectivity {row.selectivity:+.3f}<br>separation {row.separation:.2f}<br>"
        f"n = {row.n_test:,} test statements{chosen}"
    )


def limits(measure: str, *probe_rows: pd.DataFrame) -> tuple[float, float]:
    """Lowest and highest of the column `measure` in all frames: one colour range for maps side by side."""
    values = np.concatenate([probes[measure].to_numpy(dtype=float) for probes in probe_rows])
    low = float(np.nanmin(values)) if len(values) else 0.0
    high = float(np.nanmax(values)) if len(values) else 1.0
    if measure in ("accuracy", "auroc"):
        low = min(low, 0.5)
    if measure.startswith(GAIN):
        low, high = -max(abs(low), abs(high)), max(abs(low), abs(high))
    return low, high if high > low else low + 1e-6


def head_map(
    heads: pd.DataFrame,
    measure: str,
    *,
    span: tuple[float, float],
    chosen: Head | None,
    dark: bool,
    difference: bool = False,
) -> go.Figure:
    """A map of the column `measure` with layers upwards and heads across; squares can be clicked.

    A row per head: layer, head, the measure; without `difference` also what the hover text shows. span: ends
    of the colours, mirrored about zero with `difference`.
    """
    grid = heads.pivot_table(index="layer", columns="head", values=measure, aggfunc="first")
    # Layers without attention stay as empty rows: squares are drawn as high as the step to the next row.
    grid = grid.reindex(range(int(grid.index.min()), int(grid.index.max()) + 1))
    chart = figure("Head", "Layer", min(max(190, 34 * len(grid.index) + 90), 620))
    reach = max(abs(span[0]), abs(span[1]))
    ends = (-reach, reach) if difference else span
    is_signed = difference or measure.startswith(GAIN)
    chart.add_trace(squares(grid, ends, diverging(dark=dark) if is_signed else SEQUENTIAL))
    if difference:
        hover = [f"<b>{head_name(r.layer, r.head)}</b><br>{getattr(r, measure):+.3f}" for r in records(heads)]
    else:
        hover = [_hover(row, measure) for row in records(heads)]
    head_names = [head_name(layer, head) for layer, head in zip(heads["layer"], heads["head"], strict=True)]
    chart.add_trace(clickable(heads["head"], heads["layer"], head_names, hover=hover))
    if "rank" in heads and not difference:
        chart.add_trace(_steered(heads[heads["rank"].notna()]))
    if chosen is not None:
        chart.add_shape(**outline(chosen.head, chosen.layer))
    for axis, values in ((chart.update_xaxes, grid.columns), (chart.update_yaxes, grid.index)):
        edges = [float(values.min()) - 0.5, float(values.max()) + 0.5]
        axis(range=edges, dtick=max(1, len(values) // 14), showgrid=False)
    return chart


def squares(grid: pd.DataFrame, ends: tuple[float, float], scale: Any) -> go.Heatmap:
    """A square per cell of `grid` (index down, columns across), coloured between `ends`, empty if missing."""
    return go.Heatmap(
        x=grid.columns,
        y=grid.index,
        z=grid.to_numpy(dtype=float),
        zmin=ends[0],
        zmax=ends[1],
        colorscale=scale,
        xgap=1,
        ygap=1,
        hoverinfo="skip",
        colorbar={"thickness": 10, "len": 0.95, "outlinewidth": 0, "tickformat": ".2f", "tickfont": FONT},
    )


def clickable(
    x_column: pd.Series, y_column: pd.Series, head_names: list[str], *, hover: list[str]
) -> go.Scatter:
    """Invisible points over squares, because a heat map reports no clicks; a click gives a head's name."""
    return go.Scatter(
        x=x_column,
        y=y_column,
        mode="markers",
        marker={"symbol": "square", "size": 22, "color": "rgba(0,0,0,0)"},
        selected={"marker": {"opacity": 0}},
        unselected={"marker": {"opacity": 0}},
        customdata=head_names,
        hovertext=hover,
        hoverinfo="text",
        showlegend=False,
    )


def _steered(rows: pd.DataFrame) -> go.Scatter:
    """White dots on the heads that are steered."""
    marker = {"symbol": "circle", "size": 5, "color": "#FFFFFF", "line": {"width": 1, "color": "#1B2530"}}
    return go.Scatter(
        x=rows["head"], y=rows["layer"], mode="markers", marker=marker, hoverinfo="skip", showlegend=False
    )


def outline(x: float, y: float, width: float = 1.0) -> dict[str, Any]:
    """A shape round the chosen square (or a row `width` squares wide that begins at x)."""
    return {
        "type": "rect",
        "x0": x - 0.5,
        "x1": x - 0.5 + width,
        "y0": y - 0.5,
        "y1": y + 0.5,
        "line": {"color": CHOSEN, "width": 3},
    }


def most_per_line(lines: int) -> int:
    """Points that each of so many lines may have for a chart to stay within its number."""
    return MOST_POINTS // max(lines, 1)


def survival(probes: pd.DataFrame, measure: str, x_title: str) -> go.Figure:
    """For each checkpoint, the share of heads above a value: the right tail is where the good heads are.

    Columns: checkpoint, kind, share, seed and the measure. Lines are thinned evenly, see `most_per_line`.
    """
    chart = figure(x_title, "Heads above this value (%)", 340)
    legend: set[str] = set()
    lines = [
        (kind, share, heads)
        for kind, share, of_arm in arm_groups(probes)
        for _, heads in groups(of_arm, ["checkpoint"])
    ]
    most = most_per_line(len(lines))
    for kind, share, heads in lines:
        values = np.sort(heads[measure].to_numpy(dtype=float))
        places = evenly(len(values), most)
        above = 100 * (1 - np.arange(len(values)) / len(values))
        name = arm_label(kind, share)
        chart.add_trace(
            go.Scatter(
                x=values[places],
                y=above[places],
                mode="lines",
                line={
                    "shape": "vh",
                    "color": arm_colour(kind, share),
                    "width": 1.8,
                    "dash": "dash" if kind == "clean-forum" else "solid",
                },
                name=name,
                legendgroup=name,
                showlegend=name not in legend,
                hovertemplate=f"{name}: %{{y:.0f}} % of heads above %{{x:.3f}}<extra></extra>",
            )
        )
        legend.add(name)
    if measure.startswith(GAIN):
        chart.add_vline(x=0, line={"color": CHOSEN, "width": 1, "dash": "dot"})
    return chart
