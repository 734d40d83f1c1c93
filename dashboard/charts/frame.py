"""What every figure shares: margins, axes, legend, error bars. Knows no data of ours."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd
import plotly.graph_objects as go

LEGEND: Final[dict[str, Any]] = {
    "orientation": "h",
    "x": 0,
    "y": 1.02,
    "xanchor": "left",
    "yanchor": "bottom",
    "title": {"text": ""},
    "itemwidth": 30,
}
MOST_POINTS: Final = 15_000
"""Points a chart sends to the browser; above that it samples and says so."""


def figure(x_title: str, y_title: str, height: int = 380, **axes: Any) -> go.Figure:
    """An empty figure with our margins, a legend above it and titled axes."""
    made = go.Figure()
    made.update_layout(
        height=height,
        margin={"l": 56, "r": 16, "t": 12, "b": 48},
        legend=LEGEND,
        hovermode="closest",
        hoverlabel={"align": "left"},
        xaxis={"title": {"text": x_title}, "automargin": True, "zeroline": False},
        yaxis={"title": {"text": y_title}, "automargin": True, "zeroline": False},
        **axes,
    )
    return made


def bars(rows: pd.DataFrame, value: str = "value", low: str = "low", high: str = "high") -> dict[str, Any]:
    """Asymmetric error bars from interval columns; rows without an interval get none."""
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


def sample(rows: pd.DataFrame, most: int = MOST_POINTS) -> tuple[pd.DataFrame, str]:
    """At most `most` rows, drawn evenly with a fixed seed, and what to say about it (empty when all)."""
    if len(rows) <= most:
        return rows, ""
    return rows.sample(most, random_state=0).sort_index(), f"A random {most:,} of {len(rows):,} points."
