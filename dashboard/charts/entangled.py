"""Charts of toxicity among other features, and of how the heads of arms compare. Knows columns of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from hormesis.dashboard.base.colours import arm_colour, diverging, ink
from hormesis.dashboard.base.records import arm_groups, records
from hormesis.dashboard.base.wording import Head, arm_label, head_name, interval
from hormesis.dashboard.charts.frame import bars, figure
from hormesis.dashboard.charts.heads import clickable, outline, squares


def _cosine_hover(row: Any) -> str:
    """Hover text of a head and feature (row); a reliability is the fraction of a direction that is signal."""
    head = head_name(row.layer, row.head)
    if pd.isna(row.cosine):
        feature_percent, toxicity_percent = (
            max(reliability, 0) * 100 for reliability in (row.reliability, row.toxicity_reliability)
        )
        return (
            f"<b>{head}, {row.feature}</b><br>too noisy for an angle: {feature_percent:.0f} % of the "
            f"feature's direction<br>is signal, {toxicity_percent:.0f} % of toxicity's"
        )
    return (
        f"<b>{head}, {row.feature}</b><br>cosine {row.cosine:+.2f} [{row.low:+.2f}, {row.high:+.2f}]<br>"
        f"unrelated: {row.null_low:+.2f} to {row.null_high:+.2f}, p = {row.p:.3f}<br>"
        f"n = {row.n:,} statements, {row.n_feature:,} with the feature"
    )


def cosine_map(rows: pd.DataFrame, *, chosen: Head | None, dark: bool) -> go.Figure:
    """Heads down, features across, coloured by cosine with toxicity; a dot where p < 0.05.

    A row per head and feature: layer, head, feature, cosine (missing where too noisy), low, high, null_low,
    null_high, p, reliability, toxicity_reliability, n, n_feature. A click on a square chooses its head.
    """
    head_names = [head_name(layer, head) for layer, head in zip(rows["layer"], rows["head"], strict=True)]
    rows = rows.assign(name=head_names)
    heads, features = list(dict.fromkeys(head_names)), list(dict.fromkeys(rows["feature"]))
    grid = rows.pivot(index="name", columns="feature", values="cosine")
    chart = figure("", "", min(150 + 26 * len(heads), 900))
    chart.add_trace(squares(grid.reindex(index=heads, columns=features), (-1, 1), diverging(dark=dark)))
    certain = rows[rows["p"] < 0.05]
    chart.add_trace(
        go.Scatter(
            x=certain["feature"],
            y=certain["name"],
            mode="markers",
            marker={"size": 4, "color": ink(dark=dark)},
            hoverinfo="skip",
            showlegend=False,
        )
    )
    hover = [_cosine_hover(row) for row in records(rows)]
    chart.add_trace(clickable(rows["feature"], rows["name"], head_names, hover=hover))
    for shape in chosen_row(rows, chosen):
        chart.add_shape(**shape)
    chart.update_xaxes(tickangle=-50, showgrid=False, categoryorder="array", categoryarray=features)
    chart.update_yaxes(autorange="reversed", showgrid=False, categoryorder="array", categoryarray=heads)
    return chart


def chosen_row(rows: pd.DataFrame, chosen: Head | None) -> list[dict[str, Any]]:
    """The shape round the chosen head's row of the cosine map; none where it is not among `rows`."""
    places = list(dict.fromkeys(zip(rows["layer"].tolist(), rows["head"].tolist(), strict=True)))
    return [outline(0, places.index(chosen), rows["feature"].nunique())] if chosen in places else []


def entanglement_by_arm(rows: pd.DataFrame, means: pd.DataFrame, *, dark: bool) -> go.Figure:
    """Entanglement of the selected heads by arm, a point per head, the arm's mean with its interval over it.

    `rows` columns: kind, share, layer, head, checkpoint, value, low, high, feature, null_high, random_median,
    p, used. `means` columns: kind, share, value, low, high, n_seeds, interval. Beside the points: the mean
    over heads of the level that permuted labels stay below (dotted) and of random directions (dashed).
    """
    chart = figure("", "Entanglement", 360)
    arms = [
        (kind, share, heads_of_arm) for kind, share, heads_of_arm in arm_groups(rows[rows["value"].notna()])
    ]
    labels = [arm_label(kind, share) for kind, share, _ in arms]
    rng = np.random.default_rng(0)
    for place, (kind, share, heads_of_arm) in enumerate(arms):
        xs = place + rng.uniform(-0.22, 0.22, len(heads_of_arm))
        chart.add_trace(_heads(heads_of_arm, xs, arm_colour(kind, share)))
        for column, dash in (("null_high", "dot"), ("random_median", "dash")):
            level = float(heads_of_arm[column].mean())
            line = {"color": ink(dark=dark), "width": 2, "dash": dash}
            chart.add_shape(type="line", x0=place - 0.38, x1=place + 0.38, y0=level, y1=level, line=line)
    arm_means = means.assign(label=[arm_label(row.kind, row.share) for row in records(means)])
    arm_means = arm_means[arm_means["label"].isin(labels)]
    chart.add_trace(
        go.Scatter(
            x=[labels.index(label) for label in arm_means["label"]],
            y=arm_means["value"],
            error_y=bars(arm_means),
            mode="markers",
            marker={"size": 11, "symbol": "diamond", "color": ink(dark=dark)},
            hovertext=[_mean_hover(row) for row in records(arm_means)],
            hoverinfo="text",
            showlegend=False,
        )
    )
    chart.update_xaxes(tickvals=list(range(len(labels))), ticktext=labels, showgrid=False)
    chart.update_yaxes(range=[0, 1.05])
    return chart


def _heads(rows: pd.DataFrame, x: Any, colour: str) -> go.Scatter:
    """A clickable point per head (row) at the places `x`."""
    return go.Scatter(
        x=x,
        y=rows["value"],
        mode="markers",
        marker={"size": 7, "color": colour, "opacity": 0.6},
        customdata=[head_name(row.layer, row.head) for row in records(rows)],
        hovertext=[_entanglement_hover(row) for row in records(rows)],
        hoverinfo="text",
        showlegend=False,
    )


def _entanglement_hover(row: Any) -> str:
    return (
        f"<b>{head_name(row.layer, row.head)} of {row.checkpoint}</b><br>{row.value:.2f} "
        f"[{row.low:.2f}, {row.high:.2f}] with {row.feature}<br>permuted labels stay below "
        f"{row.null_high:.2f} in 95 % (p = {row.p:.3f})<br>{row.used} random directions: "
        f"{row.random_median:.2f}"
    )


def _mean_hover(row: Any) -> str:
    return (
        f"<b>{row.label}, mean of {row.n_seeds} seeds</b><br>"
        f"{interval(row.value, row.low, row.high)}<br>{row.interval}"
    )


def statistic_by_arm(rows: pd.DataFrame, name: str) -> go.Figure:
    """One statistic of the heads' accuracies, a point with its interval per arm; `name`: its axis title.

    Columns: kind, share, value, low, high, n_seeds, n, heads, interval.
    """
    chart = figure("", name, 340)
    for kind, share, of_arm in arm_groups(rows):
        row, label = of_arm.iloc[0], arm_label(kind, share)
        hover = (
            f"<b>{label}</b><br>{interval(row['value'], row['low'], row['high'])}<br>"
            f"{row['n_seeds']} seeds, {row['n']:,} statements, {row['heads']} heads<br>{row['interval']}"
        )
        chart.add_trace(
            go.Scatter(
                x=[label],
                y=of_arm["value"],
                error_y=bars(of_arm),
                mode="markers",
                marker={
                    "size": 11,
                    "color": arm_colour(kind, share),
                    "symbol": "circle" if kind == "toxic" else "diamond-open",
                },
                hovertext=[hover],
                hoverinfo="text",
                showlegend=False,
            )
        )
    chart.update_xaxes(showgrid=False)
    return chart
