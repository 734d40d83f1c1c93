"""Differences of two runs with their intervals, one line per condition. Knows the columns of a comparison."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from hormesis.dashboard.base.colours import fade, ink
from hormesis.dashboard.charts.frame import bars, figure

LESS, MORE = "#2F74D0", "#E37B33"


def differences(rows: pd.DataFrame, x_title: str, *, dark: bool) -> go.Figure:
    """Points `right - left` by `label`, first on top. Columns: label, difference, low, high, apart.

    `apart`: whether the interval leaves zero out; null without an interval.
    """
    chart = figure(x_title, "", 110 + 30 * len(rows))
    plain = ink(dark=dark)
    groups = (
        ("less on the right", rows["apart"].fillna(False) & (rows["difference"] < 0), LESS),
        ("more on the right", rows["apart"].fillna(False) & (rows["difference"] > 0), MORE),
        ("interval holds zero", ~rows["apart"].fillna(False).astype(bool), plain),
    )
    for name, in_group, colour in groups:
        group = rows[in_group.astype(bool)]
        if group.empty:
            continue
        chart.add_trace(
            go.Scatter(
                x=group["difference"],
                y=group["label"],
                error_x=bars(group, "difference") | {"color": fade(colour, 0.7)},
                mode="markers",
                marker={"color": colour, "size": 10},
                name=name,
                hovertemplate="%{y}<br>%{x:.3g}<extra></extra>",
            )
        )
    chart.add_vline(x=0, line={"color": plain, "width": 1, "dash": "dot"})
    chart.update_yaxes(categoryorder="array", categoryarray=list(rows["label"])[::-1])
    return chart
