"""Loss curves and score histograms. Knows the columns of training points and of binned scores."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from hormesis.dashboard.base.colours import arm_colour, arm_mark
from hormesis.dashboard.base.records import arm_groups, records
from hormesis.dashboard.base.wording import arm_label
from hormesis.dashboard.charts.frame import MOST_POINTS, figure

LOSSES = {"Held-out clean text": "clean_loss", "Held-out toxic text": "toxic_loss", "Training text": "loss"}


def loss_curves(points: pd.DataFrame, loss_column: str, height: int = 340) -> go.Figure:
    """A loss over the tokens seen, one line per arm; seeds of an arm share its colour.

    Columns: arm, kind, share, seed, tokens and the loss (nats per token, null where it was not taken).
    """
    chart = figure("Tokens seen (millions)", "Loss (nats per token)", height)
    points = points[points[loss_column].notna()]
    stride = max(1, len(points) // MOST_POINTS)
    legend: set[str] = set()
    order = points.drop_duplicates("arm").sort_values(
        ["kind", "share", "seed"], ascending=[False, True, True]
    )
    for arm in records(order):
        curve = points[points["arm"] == arm.arm].sort_values("tokens").iloc[::stride]
        label = arm_label(arm.kind, arm.share)
        chart.add_trace(
            go.Scatter(
                x=curve["tokens"] / 1e6,
                y=curve[loss_column],
                mode="lines" if len(curve) > 1 else "markers",
                name=label,
                legendgroup=label,
                showlegend=label not in legend,
                line={
                    "color": arm_colour(arm.kind, arm.share),
                    "width": 1.6,
                    "dash": arm_mark(arm.kind)[1],
                },
                hovertemplate=f"{arm.arm}<br>%{{x:.2f}} M tokens<br>%{{y:.3f}} nats<extra></extra>",
            )
        )
        legend.add(label)
    return chart


def histogram(rows: pd.DataFrame, x_title: str, height: int = 320) -> go.Figure:
    """Percent of texts per score bin, one line per arm. Columns: kind, share, low, high (ends), count."""
    chart = figure(x_title, "Texts (%)", height + 12 * len(rows.drop_duplicates(["kind", "share"])))
    for kind, share, bins in arm_groups(rows):
        label = arm_label(kind, share)
        bins = bins.sort_values("low")
        total = int(bins["count"].sum())
        percents = 100 * bins["count"] / max(total, 1)
        chart.add_trace(
            go.Scatter(
                # Steps from edge to edge; the last share is written twice so that its bin has a width too.
                x=[*bins["low"], bins["high"].iloc[-1]],
                y=[*percents, percents.iloc[-1]],
                mode="lines",
                name=f"{label} (n = {total:,})",
                line={
                    "shape": "hv",
                    "color": arm_colour(kind, share),
                    "width": 2,
                    "dash": arm_mark(kind)[1],
                },
                hovertemplate=f"{label}<br>score from %{{x:.2f}}: %{{y:.1f}} %<extra></extra>",
            )
        )
    chart.update_xaxes(range=[-0.01, 1.01], dtick=0.1)
    chart.update_yaxes(rangemode="tozero")
    return chart
