"""Charts of attacks and capability: by condition, over steps, censored, as heat maps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
import plotly.graph_objects as go

from hormesis.dashboard.base.colours import SEQUENTIAL, arm_colour, arm_mark, fade, ink
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.wording import number
from hormesis.dashboard.charts.frame import Level, bars, figure
from hormesis.dashboard.charts.maps import CATEGORIES

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


class Reference(NamedTuple):
    """A figure from elsewhere in a condition's column."""

    condition: str
    value: float
    text: str


def condition_colours(order: Sequence[str], *, dark: bool) -> dict[str, str]:
    """A colour for each condition: the neutral ink for the unsteered one, distinct ones for the others."""
    others = [name for name in order if name != "Unsteered"]
    colours = {name: CATEGORIES[place % len(CATEGORIES)] for place, name in enumerate(others)}
    return colours | {"Unsteered": ink(dark=dark)}


def by_condition(
    values: pd.DataFrame,
    order: Sequence[str],
    y_title: str,
    *,
    dark: bool,
    x_column: str = "label",
    reference: Sequence[Reference] = (),
    level: Level | None = None,
    factor: float = 1.0,
    colours: Mapping[str, str] | None = None,
) -> go.Figure:
    """One column per condition (or value of `x_column`), one marker per arm with its interval.

    Columns: arm, kind, share, value, low, high, n, n_seeds and `x_column`. order: its values from left to
    right; reference: figures from elsewhere, as crosses; level: a horizontal line with its name; factor: 100
    for percent; colours: by `arm`, where these are not the arms' own.
    """
    chart = figure("", y_title, 400)
    arms = list(dict.fromkeys(values["arm"]))
    places = {name: place for place, name in enumerate(order)}
    for arm_index, arm in enumerate(arms):
        of_series = values[(values["arm"] == arm) & values[x_column].isin(order)]
        if of_series.empty:
            continue
        first = of_series.iloc[0]
        colour = (colours or {}).get(arm) or arm_colour(str(first["kind"]), float(first["share"]))
        nudge = (arm_index - (len(arms) - 1) / 2) * 0.6 / max(1, len(arms))
        scaled = of_series.assign(
            **{name: of_series[name].astype(float) * factor for name in ("value", "low", "high")}
        )
        chart.add_trace(
            go.Scatter(
                x=[places[str(name)] + nudge for name in of_series[x_column]],
                y=scaled["value"],
                error_y=bars(scaled) | {"color": fade(colour, 0.8)},
                mode="markers",
                marker={"color": colour, "size": 10 if len(arms) < 6 else 8, "symbol":
                        arm_mark(str(first["kind"]))[0], "line": {"width": 2, "color": colour}},
                name=arm,
                hovertext=[_hover(row, arm, str(getattr(row, x_column))) for row in records(scaled)],
                hoverinfo="text",
            )
        )  # fmt: skip
    _reference(chart, places, reference, dark=dark)
    if level is not None:
        chart.add_hline(
            y=level.value * factor, line={"dash": level.dash, "color": ink(dark=dark), "width": 1},
            annotation={"text": level.text, "font": {"size": 11}},
        )  # fmt: skip
    _columns(chart, order)
    return chart


def _columns(chart: go.Figure, order: Sequence[str]) -> None:
    """Upright names below the columns, in as many lines as the number of columns asks for."""
    width = max(8, 64 // max(1, len(order)))
    chart.update_xaxes(
        tickvals=list(range(len(order))), ticktext=[_wrapped(name, width) for name in order], tickangle=0,
        range=[-0.6, len(order) - 0.4], showgrid=False,
    )  # fmt: skip


def _reference(
    chart: go.Figure, places: dict[str, int], reference: Sequence[Reference], *, dark: bool
) -> None:
    """Crosses for figures from elsewhere, beside their condition's column; `places`: condition to x."""
    marks = [mark for mark in reference if mark.condition in places]
    if marks:
        chart.add_trace(
            go.Scatter(
                x=[places[mark.condition] + 0.38 for mark in marks], y=[mark.value for mark in marks],
                mode="markers",
                marker={"symbol": "x-thin", "size": 10, "line": {"width": 2, "color": ink(dark=dark)}},
                name="The paper's figures (reference)", hovertext=[mark.text for mark in marks],
                hoverinfo="text",
            )
        )  # fmt: skip


def _wrapped(name: str, width: int) -> str:
    """A name in lines of about `width` characters, joined by `<br>`."""
    lines, line = [], ""
    for word in name.split():
        if line and len(line) + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "<br>".join([*lines, line])


def _hover(row: Any, arm: str, where: str) -> str:
    seeds = f"{row.n_seeds} seeds, n = {row.n:,}" if "n_seeds" in row._fields else f"n = {row.n:,}"
    return f"{arm}, {where}<br>{number(row.value)} [{number(row.low)}, {number(row.high)}]<br>{seeds}"


def curves(
    points: pd.DataFrame,
    labels: Sequence[str],
    x_title: str,
    *,
    y_title: str,
    dark: bool,
    logarithmic: bool = False,
    level: Level | None = None,
) -> go.Figure:
    """A line with error bars per condition (`labels`). Columns: label, x, value, low, high, n.

    logarithmic: x as log2(x + 1), ticks in plain numbers: steps start at 0.
    """
    chart = figure(x_title, y_title, 400)
    colours = condition_colours(labels, dark=dark)
    for place, label in enumerate(labels):
        of_series = points[points["label"] == label].sort_values("x")
        if of_series.empty:
            continue
        colour = colours[label]
        xs = [math.log2(value + 1) if logarithmic else value for value in of_series["x"]]
        chart.add_trace(
            go.Scatter(
                x=xs, y=of_series["value"], error_y=bars(of_series) | {"color": fade(colour, 0.6)},
                mode="lines+markers", name=label,
                line={"color": colour, "width": 2.2, "dash": DASHES[place % len(DASHES)]}, marker={"size": 7},
                hovertext=[_hover(row, label, f"{x_title.lower()} {row.x:g}") for row in records(of_series)],
                hoverinfo="text",
            )
        )  # fmt: skip
    if level is not None:
        chart.add_hline(
            y=level.value, line={"dash": level.dash, "color": ink(dark=dark), "width": 1.5},
            annotation={"text": level.text, "font": {"size": 11}},
        )  # fmt: skip
    if logarithmic:
        chart.update_xaxes(**_doublings({float(value) for value in points["x"]}))
    chart.update_yaxes(rangemode="tozero")
    return chart


def _doublings(values: set[float]) -> dict[str, Any]:
    """Axis settings of log2(x + 1) with these values as ticks in plain numbers; 0 has a place on it."""
    ticks = sorted(values)
    return {"tickvals": [math.log2(tick + 1) for tick in ticks], "ticktext": [f"{tick:g}" for tick in ticks]}


def steps_needed(outcomes: pd.DataFrame, order: Sequence[str], budget: float, *, dark: bool) -> go.Figure:
    """Steps to relearn, one marker per checkpoint; those beyond the budget stand on it as open triangles.

    Columns: label, arm, kind, share, seed, value (null beyond the budget), low, high, n, censored. Upwards as
    log2(steps + 1), ticks in plain numbers.
    """
    chart = figure("", "Steps of fine-tuning", 420)
    places = {name: place for place, name in enumerate(order)}
    arms = list(dict.fromkeys(outcomes["arm"]))
    for arm_index, arm in enumerate(arms):
        of_series = outcomes[(outcomes["arm"] == arm) & outcomes["label"].isin(order)].sort_values("seed")
        if of_series.empty:
            continue
        kind = str(of_series["kind"].iloc[0])
        colour = arm_colour(kind, float(of_series["share"].iloc[0]))
        seeds = sorted(set(of_series["seed"]))
        width = 0.66 / max(1, len(arms))
        offset = (arm_index - (len(arms) - 1) / 2) * width
        seed_offsets = {seed: (place + 0.5) / len(seeds) - 0.5 for place, seed in enumerate(seeds)}
        beyond = of_series["value"].isna()
        value = of_series["value"].astype(float).fillna(budget)
        steps = pd.DataFrame(
            {
                "value": value,
                "low": of_series["low"].astype(float).fillna(value),
                "high": of_series["high"].astype(float).fillna(budget),
            }
        )
        log_steps = (steps.clip(lower=0) + 1).map(math.log2)
        chart.add_trace(
            go.Scatter(
                x=[
                    places[str(row.label)] + offset + 0.8 * width * seed_offsets[row.seed]
                    for row in records(of_series)
                ],
                y=log_steps["value"],
                error_y=bars(log_steps) | {"color": fade(colour, 0.6)},
                mode="markers",
                marker={
                    "color": colour, "size": 8, "line": {"width": 1.5, "color": colour},
                    "symbol": ["triangle-up-open" if is_over else arm_mark(kind)[0] for is_over in beyond],
                },
                name=arm,
                hovertext=[_steps(row, budget) for row in records(of_series)],
                hoverinfo="text",
            )
        )  # fmt: skip
    top = math.log2(budget + 1)
    chart.add_hline(y=top, line={"dash": "dot", "color": ink(dark=dark), "width": 1})
    _columns(chart, order)
    ticks = {0.0, budget, *(2.0**power for power in range(20) if 2**power < 0.8 * budget)}
    chart.update_yaxes(range=[-0.25, top + 0.3], **_doublings(ticks))
    return chart


def _steps(row: Any, budget: float) -> str:
    """Hover text of a checkpoint's steps under a condition (row); `censored`: a fraction of resamples."""
    beyond = pd.isna(row.value)
    text = f"not within {budget:g} steps" if beyond else f"{row.value:.3g} steps"
    low = "0" if pd.isna(row.low) else f"{row.low:.3g}"
    high = f"beyond {budget:g}" if pd.isna(row.high) else f"{row.high:.3g}"
    return (
        f"{row.arm}, seed {row.seed}, {row.label}<br>{text} [{low}, {high}]<br>"
        f"{row.censored:.0%} of resamples beyond the budget, n = {row.n}"
    )


def heat(outcomes: pd.DataFrame, value_column: str, value_title: str) -> go.Figure:
    """Temperature down, top-p across, a cell per row: temperature, top_p, words (shown), `value_column`."""
    chart = figure("Top-p", "Temperature", 360)
    ordered = outcomes.sort_values(["temperature", "top_p"])
    row_names = [f"{tick:g}" for tick in sorted(set(ordered["temperature"]))]
    column_names = [f"{tick:g}" for tick in sorted(set(ordered["top_p"]))]
    cells: dict[tuple[str, str], Any] = {
        (f"{row.temperature:g}", f"{row.top_p:g}"): row for row in records(ordered)
    }
    chart.add_trace(
        go.Heatmap(
            x=column_names, y=row_names,
            z=[[getattr(cells.get((y, x)), value_column, None) for x in column_names] for y in row_names],
            text=[[getattr(cells.get((y, x)), "words", "") for x in column_names] for y in row_names],
            texttemplate="%{text}", colorscale=SEQUENTIAL, colorbar={"title": {"text": value_title}},
            hovertemplate="temperature %{y}, top-p %{x}<br>%{z:.3g}<extra></extra>",
        )
    )  # fmt: skip
    chart.update_xaxes(type="category")
    chart.update_yaxes(type="category")
    return chart
