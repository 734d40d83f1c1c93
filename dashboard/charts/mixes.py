"""Bars of what went into each mix. Knows the columns of composition rows."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.frame import figure
from dashboard.charts.maps import CATEGORIES, OTHER


def mix_bars(rows: pd.DataFrame) -> go.Figure:
    """Stacked bars, one per arm. Columns: arm, source, tokens."""
    arms = list(dict.fromkeys(rows["arm"]))[::-1]
    made = figure("Tokens (millions)", "", 110 + 42 * len(arms))
    sizes = rows.groupby("source")["tokens"].sum().sort_values(ascending=False)
    for place, source in enumerate(sizes.index):
        mine = rows[rows["source"] == source]
        made.add_trace(
            go.Bar(
                y=mine["arm"],
                x=mine["tokens"].astype(float) / 1e6,
                orientation="h",
                name=str(source),
                marker={"color": CATEGORIES[place] if place < len(CATEGORIES) else OTHER},
                customdata=mine["documents"].astype(float),
                hovertemplate=(
                    f"{source}<br>%{{x:.3f}} M tokens, %{{customdata:,.0f}} documents<extra></extra>"
                ),
            )
        )
    made.update_layout(barmode="stack", bargap=0.35)
    made.update_yaxes(categoryorder="array", categoryarray=arms)
    return made
