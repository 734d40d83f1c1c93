"""Charts of the toy experiment: entanglement and norms over the share, DiDs, learning, directions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.colors import sample_colorscale

from hormesis.dashboard.base.colours import fade, ink
from hormesis.dashboard.base.toy_rows import RARE_FEATURES
from hormesis.dashboard.charts.frame import Level, bars, figure

RARE, CONTROL = "#E37B33", "#2F74D0"
SECOND_CONTROL = "#3E9E6E"
SHARE_TITLE = "Share r: frequency of the rare chain over each other one"
GROUPS = (("rare", "Rare chain", RARE, "circle"), ("control", "Controls", CONTROL, "square"))


def rarity_colour(share: float) -> str:
    """Colour of a share r between .001 and 1 on a sequential scale of its own (Viridis, without its ends)."""
    place = float(np.clip(1 + np.log10(max(share, 1e-3)) / 3, 0, 1))
    return str(sample_colorscale("Viridis", [0.2 + 0.65 * place])[0])


def _share_axis(chart: go.Figure, shares: list[float]) -> None:
    chart.update_xaxes(
        type="log", tickvals=shares, ticktext=[f"{share:g}".removeprefix("0") for share in shares]
    )


def _reference(chart: go.Figure, level: Level, shares: list[float], *, dark: bool) -> None:
    """A level across all `shares` (rising), named in the legend: beside it its name would lie on the data."""
    chart.add_trace(
        go.Scatter(
            x=[shares[0] * 0.9, shares[-1] * 1.1],
            y=[level.value, level.value],
            mode="lines",
            name=level.text,
            line={"color": ink(dark=dark), "width": 1.2, "dash": level.dash},
            hoverinfo="skip",
        )
    )


def references(experiment: pd.Series, cosine: str) -> tuple[Level, ...]:
    """Lines of the random null and, for absolute cosines, of Welch's bound."""
    null_mean = float(experiment[f"null_{cosine}"])
    lines = [Level(null_mean, f"Random directions {null_mean:.3f}")]
    if cosine == "absolute":
        lines.append(Level(float(experiment["welch"]), f"Welch bound {experiment['welch']:.3f}", "dash"))
    return tuple(lines)


def over_share(
    rows: pd.DataFrame,
    means: pd.DataFrame,
    quantity: str,
    *,
    y_title: str,
    dark: bool,
    references: tuple[Level, ...] = (),
    unit_range: bool = True,
    height: int = 400,
) -> go.Figure:
    """Rare chain and controls over the share: means over seeds with intervals, single seeds (rows) faint.

    Columns of rows: share, seed, `rare_QUANTITY` and `control_QUANTITY`; of means: name (one of these two),
    share, value, low, high, n_seeds. `references` are lines across it.
    """
    chart = figure(SHARE_TITLE, y_title, height)
    for name, label, colour, symbol in GROUPS:
        column = f"{name}_{quantity}"
        chart.add_trace(
            go.Scatter(
                x=rows["share"] * (0.97 if name == "rare" else 1.03),
                y=rows[column],
                mode="markers",
                marker={"color": fade(colour, 0.28), "size": 4},
                name=f"{label}, single seeds",
                showlegend=False,
                hoverinfo="skip",
            )
        )
        of_group = means[means["name"] == column]
        chart.add_trace(
            go.Scatter(
                x=of_group["share"] * (0.97 if name == "rare" else 1.03),
                y=of_group["value"],
                error_y=bars(of_group) | {"color": colour},
                mode="lines+markers",
                name=label,
                line={"color": colour, "width": 2.4, "dash": "solid" if name == "rare" else "dash"},
                marker={"color": colour, "size": 9, "symbol": symbol},
                hovertext=[
                    f"{label}, r = {row.share:g}<br>{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]<br>"
                    f"n = {row.n_seeds} seeds"
                    for row in of_group.itertuples(index=False)
                ],
                hoverinfo="text",
            )
        )
    shares = sorted(set(rows["share"]))
    for level in references:
        _reference(chart, level, shares, dark=dark)
    _share_axis(chart, shares)
    if unit_range:
        lowest = min(rows[f"rare_{quantity}"].min(), rows[f"control_{quantity}"].min())
        floor = min([0.35, float(lowest) - 0.03, *(level.value - 0.03 for level in references)])
        chart.update_yaxes(range=[floor, 1.02])
    return chart


def forest(rows: pd.DataFrame, x_title: str, *, dark: bool) -> go.Figure:
    """DiDs with their intervals, one line per `label`, first on top.

    Columns: label, hover, network, value, low, high. Trained networks are filled discs, the frozen control
    open diamonds; orange and blue where the interval leaves zero out above or below.
    """
    chart = figure(x_title, "", 120 + 26 * rows["label"].nunique())
    plain = ink(dark=dark)
    for network, label, symbol in (
        ("trained", "Network trained at its share", "circle"),
        ("frozen", "Network frozen at r = 1, probe refitted", "diamond-open"),
    ):
        is_in_legend = False
        below, above = rows["high"] < 0, rows["low"] > 0
        for colour, chosen in ((RARE, above), (CONTROL, below), (plain, ~above & ~below)):
            marks = rows[chosen & (rows["network"] == network)]
            if marks.empty:
                continue
            chart.add_trace(
                go.Scatter(
                    x=marks["value"],
                    y=marks["label"],
                    error_x=bars(marks) | {"color": fade(colour, 0.75)},
                    mode="markers",
                    marker={"color": colour, "size": 10, "symbol": symbol, "line": {"width": 2}},
                    name=label,
                    legendgroup=network,
                    showlegend=not is_in_legend,
                    hovertext=marks["hover"],
                    hoverinfo="text",
                )
            )
            is_in_legend = True
    chart.add_vline(x=0, line={"color": plain, "width": 1, "dash": "dot"})
    order = list(dict.fromkeys(rows["label"]))
    chart.update_yaxes(categoryorder="array", categoryarray=order[::-1])
    return chart


def learned(rows: pd.DataFrame, *, dark: bool, threshold: float = 0.99) -> go.Figure:
    """Effect of each run (row) against its accuracy on the rare chain; `threshold`: learned from there on.

    Columns: share, seed, rare_accuracy, effect.
    """
    chart = figure("Accuracy on the rare chain at the end of training", "Effect of the run (DiD)", 380)
    for share, of_share in rows.groupby("share", sort=True):
        chart.add_trace(
            go.Scatter(
                x=of_share["rare_accuracy"],
                y=of_share["effect"],
                mode="markers",
                name=f"r = {share:g}",
                marker={"color": rarity_colour(float(str(share))), "size": 8, "opacity": 0.85},
                customdata=of_share["seed"],
                hovertemplate=f"r = {share:g}, seed %{{customdata}}<br>accuracy %{{x:.3f}}<br>"
                "effect %{y:+.3f}<extra></extra>",
            )
        )
    chart.add_hline(y=0, line={"color": ink(dark=dark), "width": 1, "dash": "dot"})
    chart.add_vline(x=threshold, line={"color": ink(dark=dark), "width": 1, "dash": "dash"})
    chart.update_xaxes(range=[-0.03, 1.03])
    return chart


def learning(rows: pd.DataFrame, column: str, y_title: str, *, log: bool) -> go.Figure:
    """A quantity of the rare chain over training, one line per share. Columns: share, step and `column`."""
    chart = figure("Training step", y_title, 360)
    for share, of_share in rows.groupby("share", sort=True):
        chart.add_trace(
            go.Scatter(
                x=of_share["step"],
                y=of_share[column],
                mode="lines",
                name=f"r = {share:g}",
                line={"color": rarity_colour(float(str(share))), "width": 2},
                hovertemplate=f"r = {share:g}<br>step %{{x}}<br>%{{y:.3g}}<extra></extra>",
            )
        )
    if log:
        ticks = [base * 10.0**power for power in range(-6, 4) for base in (1, 2, 5)]
        chart.update_yaxes(type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    else:
        chart.update_yaxes(range=[-0.03, 1.03])
    return chart


def principal(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, float]:
    """Unit vectors on their principal axes through the origin: [n, 3], and what 2 and 3 axes hold of all.

    Not centred: angles at the origin are what the directions are about.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1.0)
    _, sizes, axes = np.linalg.svd(unit, full_matrices=False)
    variance = np.cumsum(sizes**2) / max(float((sizes**2).sum()), 1e-12)
    points = unit @ axes[:3].T
    points = np.pad(points, ((0, 0), (0, 3 - points.shape[1])))
    return points, float(variance[min(1, len(variance) - 1)]), float(variance[min(2, len(variance) - 1)])


def _nearest(vectors: NDArray[np.float64], *, signed: bool) -> list[str]:
    """For each row of `vectors` [n, width] the other one of the largest (`signed` or absolute) cosine."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1.0)
    cosines = unit @ unit.T
    closeness = cosines if signed else np.abs(cosines)
    closeness = closeness - 3 * np.eye(len(closeness))
    nearest = closeness.argmax(axis=1)
    return [
        f"nearest: {feature_name(int(other))}, cos {cosines[row, other]:+.2f}"
        for row, other in enumerate(nearest)
    ]


def feature_name(feature: int) -> str:
    """A feature's name: chain and state; the rare chain is called so."""
    chain, state = divmod(feature, RARE_FEATURES)
    return (
        f"rare {state + 1}"
        if chain == 0
        else f"control {'AB'[chain - 1] if chain < 3 else chain} {state + 1}"
    )


def directions(vectors: NDArray[np.float64], *, signed: bool, flat: bool) -> go.Figure:
    """The 12 directions [12, width] as unit arrows on principal axes; hover says each one's nearest other.

    `flat`: two axes, else three. `path` [12, 3]: origin, tip and a gap for each arrow of a chain.
    """
    chart = figure("Principal axis 1", "Principal axis 2", 460)
    coordinates, _, _ = principal(vectors)
    nearest = _nearest(vectors, signed=signed)
    chains = (("Rare chain", RARE), ("Control A", CONTROL), ("Control B", SECOND_CONTROL))
    for chain, (label, colour) in enumerate(chains):
        features = range(chain * RARE_FEATURES, (chain + 1) * RARE_FEATURES)
        tips = coordinates[list(features)]
        path = np.full((3 * RARE_FEATURES, 3), np.nan)
        path[0::3], path[1::3] = 0.0, tips
        feature_names = [feature_name(feature) for feature in features]
        width = 3.0 if chain == 0 else 1.8
        common = {"name": label, "legendgroup": label}
        arrow = common | {"mode": "lines", "line": {"color": colour, "width": width}, "hoverinfo": "skip"}
        tip = common | {
            "mode": "markers+text",
            "showlegend": False,
            "marker": {"color": colour, "size": 9 if flat else 5},
            "text": [name.rsplit(" ", 1)[-1] for name in feature_names],
            "textposition": "top center",
            "hovertext": [
                f"{name}<br>{nearest[feature]}" for name, feature in zip(feature_names, features, strict=True)
            ],
            "hoverinfo": "text",
        }
        for points, options in ((path, arrow), (tips, tip)):
            x, y, z = points.T
            chart.add_trace(
                go.Scatter(x=x, y=y, **options) if flat else go.Scatter3d(x=x, y=y, z=z, **options)
            )
    if flat:
        chart.update_xaxes(range=[-1.1, 1.1])
        chart.update_yaxes(range=[-1.1, 1.1], scaleanchor="x")
    else:
        chart.update_layout(
            scene={name: {"title": "", "range": [-1.1, 1.1]} for name in ("xaxis", "yaxis", "zaxis")}
        )
        chart.update_layout(margin={"l": 0, "r": 0, "t": 12, "b": 0})
    return chart
