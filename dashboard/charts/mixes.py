"""Bars of what went into each mix. Knows the columns of composition rows."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from hormesis.dashboard.charts.frame import figure
from hormesis.dashboard.charts.maps import CATEGORIES, OTHER


def mix_bars(rows: pd.DataFrame) -> go.Figure:
    """Stacked bars, one per arm. A row per arm and source: arm, source, tokens, documents."""
    arms = list(dict.fromkeys(rows["arm"]))[::-1]
    chart = figure("Tokens (millions)", "", 110 + 42 * len(arms))
    sizes = rows.groupby("source")["tokens"].sum().sort_values(ascending=False)
    for place, source in enumerate(sizes.index):
        of_source = rows[rows["source"] == source]
        chart.add_trace(
            go.Bar(
                y=of_source["arm"],
                x=of_source["tokens"].astype(float) / 1e6,
                orientation="h",
                name=str(source),
                marker={"color": CATEGORIES[place] if place < len(CATEGORIES) else OTHER},
                customdata=of_source["documents"].astype(float),
                hovertemplate=(
                    f"{source}<br>%{{x:.3f}} M tokens, %{{customdata:,.0f}} documents<extra></extra>"
                ),
            )
        )
    chart.update_layout(barmode="stack", bargap=0.35)
    chart.update_yaxes(categoryorder="array", categoryarray=arms)
    return chart
