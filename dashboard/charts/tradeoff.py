"""Toxicity against cost: one curve per arm and method, the frontier, intervals in both directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from hormesis.dashboard.base.colours import CONTROL, arm_colour, arm_mark, fade, ink
from hormesis.dashboard.base.frontier import non_dominated
from hormesis.dashboard.base.records import arm_groups, groups, records
from hormesis.dashboard.base.wording import (
    arm_label,
    condition_label,
    interval,
    is_second,
    measured,
    series,
    series_label,
)
from hormesis.dashboard.charts.frame import bars, figure
from hormesis.db.contract.methods import DPO, ITI, NONE, NULL_KINDS, PROMPT, RANDOM_DIRECTION, SFT

SYMBOLS = {
    NONE: "circle-open",
    ITI: "circle",
    "isotropic": "x-thin-open",
    "covariance": "cross-thin-open",
    "permuted": "asterisk-open",
    "reversed": "triangle-down-open",
    "resampled": "hourglass-open",
    PROMPT: "diamond",
    SFT: "square",
    DPO: "triangle-up",
    "meda": "pentagon",
    "inst": "hexagon",
}


def symbol(method: str) -> str:
    """The marker of a method; a combination with ITI has that of its other part, with a dot in it."""
    if "+" in method:
        return f"{symbol(method.split('+')[0])}-dot"
    return SYMBOLS.get(method, "star")


@dataclass(frozen=True)
class Style:
    """How an arm is drawn and called; arms of another study than the one on show are dotted."""

    label: str
    colour: str
    dash: str


def style_of(kind: str, share: float | None, study: str = "") -> Style:
    """The style of an arm; `study`: the name of another study than the one on show."""
    label = arm_label(kind, share)
    return Style(
        f"{study}: {label}" if study else label,
        arm_colour(kind, share),
        "dot" if study else arm_mark(kind)[1],
    )


def condition_id(row: Any) -> str:
    """The name of a point in links, lists and selections: its arm and its condition in words."""
    condition = condition_label(row.method, row.strength, row.matched_cost, key=row.condition_key)
    return f"{_arm_name(row)}: {condition}"


def _arm_name(row: Any) -> str:
    return style_of(row.kind, row.share, getattr(row, "study", "")).label


def _hover(rows: pd.DataFrame, y_name: str) -> list[str]:
    """The hover text of each row (a condition of an arm); `y_name`: the metric in words."""
    return [
        f"<b>{_arm_name(row)}{measured(row)}</b><br>"
        f"{condition_label(row.method, row.strength, row.matched_cost, key=row.condition_key)}<br>"
        f"{y_name} {interval(row.value, row.low, row.high, unit=row.unit)}<br>"
        f"cost {interval(row.cost, row.cost_low, row.cost_high, unit='nats')}<br>"
        f"{row.n_seeds} seeds, n = {row.n:,}"
        + (f"<br>gates: {row.gates}" if getattr(row, "gates", "") else "")
        for row in records(rows)
    ]


def _curve(rows: pd.DataFrame, style: Style, *, method: str, y_name: str) -> go.Scatter:
    """One arm's points (rows) of a series, the unsteered among them; joined by cost, null directions not."""
    rows = rows.sort_values("cost")
    colour = style.colour
    real = method not in NULL_KINDS
    return go.Scatter(
        x=rows["cost"],
        y=rows["value"],
        error_x=bars(rows, "cost", "cost_low", high="cost_high") | {"color": fade(colour, 0.55)},
        error_y=bars(rows) | {"color": fade(colour, 0.55)},
        mode="lines+markers" if real else "markers",
        name=f"{style.label}, {series_label(method)}",
        legendgroup=style.label,
        showlegend=False,
        line={"color": colour, "width": 2, "dash": style.dash},
        marker={
            "color": colour,
            "size": 10,
            "symbol": [symbol(name) for name in rows["series"]],
            "line": {"width": 2, "color": colour},
        },
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 1}},
        # Only points of the study on show have texts to go to.
        customdata=[None if getattr(row, "study", "") else condition_id(row) for row in records(rows)],
        hovertext=_hover(rows, y_name),
        hoverinfo="text",
    )


def _key(name: str, marker: str) -> go.Scatter:
    """A line of the legend for a method: its marker, in no arm's colour."""
    return go.Scatter(
        x=[None],
        y=[None],
        mode="markers",
        marker={"symbol": marker, "size": 10, "color": CONTROL, "line": {"width": 2, "color": CONTROL}},
        name=name,
        hoverinfo="skip",
    )


def tradeoff(
    rows: pd.DataFrame,
    y_title: str,
    *,
    dark: bool,
    chosen: str | None,
    logarithmic: bool = False,
    frontier: bool = True,
    height: int = 500,
) -> go.Figure:
    """Curves over cost, a row per arm and condition; `chosen`: the `condition_id` that gets a ring.

    Columns: kind, share, method, condition_key, strength, matched_cost, unit, n, n_seeds, value, low, high
    (toxicity, or another metric without its `frontier`) and cost, cost_low, cost_high (nats per token);
    also `study`, the name of another study than the one on show, empty for that, and `gates` in words.
    """
    chart = figure("Cost: rise of held-out cross-entropy (nats per token)", y_title, height)
    y_name = y_title.partition(" (")[0].lower()
    names = [series(row.method, row.condition_key) for row in records(rows)]
    studies = rows.assign(study=rows.get("study", ""), series=names)
    arms = [
        (style_of(kind, share, str(study)), arm)
        for (study,), of_study in groups(studies, ["study"])
        for kind, share, arm in arm_groups(of_study)
    ]
    for style, arm in arms:
        if frontier:
            chart.add_traces(arm_frontier(arm, style))
        base = arm[arm["method"] == "none"]
        chart.add_trace(
            go.Scatter(
                x=[None],
                y=[None],
                mode="lines",
                line={"color": style.colour, "width": 4, "dash": style.dash},
                name=style.label + measured(next(iter(records(arm)))),
                legendgroup=style.label,
                hoverinfo="skip",
            )
        )
        second = arm["condition_key"].map(is_second).astype(bool)
        for method in [name for name in sorted(set(arm["series"])) if name != "none"] or ["none"]:
            for curve in (arm[(arm["series"] == method) & ~second], arm[(arm["series"] == method) & second]):
                if len(curve):
                    joined = curve if method in ("none", *NULL_KINDS) else pd.concat([base, curve])
                    chart.add_trace(_curve(joined, style, method=method, y_name=y_name))
    for method in sorted(set(names)):
        chart.add_trace(_key(series_label(method), symbol(method)))
    chart.add_traces(ring(rows, chosen, dark=dark))
    if logarithmic:
        chart.update_xaxes(type="log")
    if frontier:
        chart.update_yaxes(rangemode="tozero")
    return chart


def arm_frontier(conditions: pd.DataFrame, style: Style) -> list[go.Scatter]:
    """The frontier of an arm with several methods as a wide pale step line; none for controls."""
    points = conditions[conditions["method"] != RANDOM_DIRECTION]
    front = points.iloc[non_dominated(list(zip(points["cost"], points["value"], strict=True)))]
    # With one method its curve is the frontier already.
    if points["method"].nunique() < 3 or len(front) < 2 or style.dash != "solid":
        return []
    return [
        go.Scatter(
            x=front["cost"],
            y=front["value"],
            mode="lines",
            line={"shape": "hv", "color": fade(style.colour, 0.25), "width": 7},
            legendgroup=style.label,
            showlegend=False,
            hoverinfo="skip",
        )
    ]


def ring(rows: pd.DataFrame, chosen: str | None, *, dark: bool) -> list[go.Scatter]:
    """A ring round the point of the `condition_id` chosen; none where it is not among `rows`."""
    colour = ink(dark=dark)
    return [
        go.Scatter(
            x=[row.cost],
            y=[row.value],
            mode="markers",
            marker={
                "symbol": "circle-open",
                "size": 21,
                "color": colour,
                "line": {"width": 2.5, "color": colour},
            },
            hoverinfo="skip",
            showlegend=False,
        )
        for row in (records(rows) if chosen else [])
        if condition_id(row) == chosen
    ]


def fewer_prompts(conditions: pd.DataFrame) -> str:
    """That null directions stand on fewer prompts than the curves beside them; empty where they do not.

    `conditions`: a row each with `method` and `n`.
    """
    is_null = conditions["method"] == RANDOM_DIRECTION
    if (
        not is_null.any()
        or is_null.all()
        or conditions[is_null]["n"].max() >= conditions[~is_null]["n"].max()
    ):
        return ""
    return (
        f"Null directions stand on {conditions[is_null]['n'].max():,} of the prompts, so their height does "
        "not compare with the curves: Trade-offs, Null directions, has both on the same prompts."
    )
