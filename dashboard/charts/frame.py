"""What every figure shares: margins, axes, legend, error bars."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import pandas as pd
import plotly.graph_objects as go

FONT: Final = {"size": 12}
"""Of ticks and legends, in pixels; smaller cannot be read at arm's length."""
LEGEND: Final[dict[str, Any]] = {
    "orientation": "h",
    "x": 0,
    "yref": "container",
    "yanchor": "top",
    "xanchor": "left",
    "title": {"text": ""},
    "font": FONT,
    "itemwidth": 30,
}
TOOLBAR: Final = 28
"""Pixels from the top of a figure to its legend: there is Plotly's toolbar while the pointer is above."""
MOST_POINTS: Final = 15_000
"""Points a chart sends to the browser; above that it samples and says so."""


class Level(NamedTuple):
    """A horizontal line across a chart, with its words."""

    value: float
    text: str
    dash: str = "dot"


def figure(x_title: str, y_title: str, height: int = 380, **axes: Any) -> go.Figure:
    """An empty figure with our margins, a legend above and titled axes; `axes`: further layout settings."""
    # Given at once: an update of a figure that is there takes Plotly several times as long.
    layout = {
        "height": height,
        "margin": {"l": 56, "r": 16, "t": 12, "b": 48},
        "legend": LEGEND | {"y": 1 - TOOLBAR / height},
        "hovermode": "closest",
        "hoverlabel": {"align": "left"},
        "xaxis": {"title": {"text": x_title}, "automargin": True, "zeroline": False, "tickfont": FONT},
        "yaxis": {"title": {"text": y_title}, "automargin": True, "zeroline": False, "tickfont": FONT},
    }
    return go.Figure(layout=layout | axes)


def bars(rows: pd.DataFrame, value: str = "value", low: str = "low", *, high: str = "high") -> dict[str, Any]:
    """Plotly's asymmetric error bars from columns of these names; rows without an interval get none."""
    above = (rows[high].astype(float) - rows[value].astype(float)).clip(lower=0).fillna(0.0)
    below = (rows[value].astype(float) - rows[low].astype(float)).clip(lower=0).fillna(0.0)
    return {
        "type": "data",
        "symmetric": False,
        "array": above.tolist(),
        "arrayminus": below.tolist(),
        "thickness": 1.4,
        "width": 3,
    }


def sample(
    rows: pd.DataFrame, most: int = MOST_POINTS, *, total: int | None = None
) -> tuple[pd.DataFrame, str]:
    """At most `most` rows, drawn evenly with a fixed seed, and what to say about it (empty when all).

    `total`: how many there are where the rows are a sample already.
    """
    total = max(len(rows), total or 0)
    if len(rows) > most:
        rows = rows.sample(most, random_state=0).sort_index()
    if len(rows) == total:
        return rows, ""
    return rows, f"A sample: {len(rows):,} of {total:,} points are drawn."


def evenly(number: int, most: int) -> list[int]:
    """Places of at most `most` of `number` ordered points, evenly spaced, both ends kept."""
    if number <= most:
        return list(range(number))
    most = max(most, 2)
    return [round(place * (number - 1) / (most - 1)) for place in range(most)]
