"""Dose-response: a metric against the share, one line per condition, the control arm beside them."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from hormesis.dashboard.base.colours import CONTROL, ink, ramp, share_colour
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.wording import condition_label, measured, missing, number, percent
from hormesis.dashboard.charts.dose_layers import fitted_curves, reference_lines
from hormesis.dashboard.charts.frame import bars, figure

X_TITLE = "Share of toxic-source text in the training mix (%)"
SYMBOLS = ("circle", "square", "triangle-up", "star", "pentagon")


def _conditions(rows: pd.DataFrame) -> list[str]:
    """Condition keys in summary rows, unsteered first, then by rising cost (nats) or strength (sigmas)."""
    order = rows.drop_duplicates("condition_key").copy()
    order["_first"] = (order["method"] != "none").astype(int)
    order["_size"] = order["matched_cost"].astype(float).fillna(order["strength"].astype(float)).fillna(0.0)
    return [str(key) for key in order.sort_values(["_first", "_size"])["condition_key"]]


def _hover(rows: pd.DataFrame, label: str) -> list[str]:
    """The hover text of each summary row; `label`: the condition in words."""
    return [
        f"{label}<br>{percent(row.share)} {'of a toxic source' if row.kind == 'toxic' else 'not toxic'}"
        f"{measured(row)}<br>"
        f"{number(row.value)} [{number(row.low)}, {number(row.high)}] {row.unit}<br>"
        f"{row.n_seeds} seeds, n = {row.n:,}"
        for row in records(rows)
    ]


def _control_line(
    chart: go.Figure, control: pd.DataFrame, base: pd.DataFrame, *, label: str, is_in_legend: bool
) -> None:
    """The control arm as an open diamond, joined by dashes to the row of `base` (toxic arms) at share 0."""
    path = pd.concat([base[base["share"] == 0], control.sort_values("share")])
    chart.add_trace(
        go.Scatter(
            x=path["share"] * 100,
            y=path["value"],
            mode="lines",
            line={"color": CONTROL, "dash": "dash", "width": 1.5},
            hoverinfo="skip",
            showlegend=False,
            legendgroup="control",
        )
    )
    chart.add_trace(
        go.Scatter(
            x=control["share"] * 100,
            y=control["value"],
            error_y=bars(control) | {"color": CONTROL},
            mode="markers",
            marker={"symbol": "diamond-open", "size": 11, "color": CONTROL, "line": {"width": 2}},
            name="Control: as much informal text that is not toxic",
            legendgroup="control",
            showlegend=is_in_legend,
            hovertext=_hover(control, label),
            hoverinfo="text",
        )
    )


def _share_ticks(chart: go.Figure, rows: pd.DataFrame) -> None:
    """A tick at each share, the measured one of its toxic arm below it where there is one."""
    shares = {round(share * 100, 6): f"{share * 100:.6g}" for share in sorted(rows["share"])}
    below = {
        round(row.share * 100, 6): f"<br>({100 * row.measured_share:.1f})"
        for row in records(rows[rows["kind"] == "toxic"])
        if not missing(getattr(row, "measured_share", None))
    }
    texts = [text + below.get(at, "") for at, text in shares.items()]
    chart.update_xaxes(tickvals=list(shares), ticktext=texts)
    if below:
        chart.update_xaxes(title_text=f"{X_TITLE}, measured toxic share in brackets")


def dose_response(
    rows: pd.DataFrame,
    y_title: str,
    *,
    dark: bool,
    height: int = 390,
    from_zero: bool = True,
    curves: pd.DataFrame | None = None,
    paper: str | None = None,
) -> go.Figure:
    """Summary rows of one metric, prompt set and scorer as lines over the share.

    Columns used: kind, share, method, condition_key, strength, matched_cost, value, low, high, n, n_seeds,
    unit. Arms that are missing are left out; a condition with one arm is a point. `curves`: fits whose
    supported curves are drawn; `paper`: column of the paper's table to draw as reference lines. Lines are
    nudged sideways (in percent), so that their bars do not cover each other.
    """
    chart = figure(X_TITLE, y_title, height)
    toxic, control = rows[rows["kind"] == "toxic"], rows[rows["kind"] != "toxic"]
    keys = _conditions(rows)
    n_steered = {True: 0, False: 0}
    colours: dict[str, str] = {}
    for place, key in enumerate(keys):
        line = toxic[toxic["condition_key"] == key].sort_values("share")
        of_control = control[control["condition_key"] == key]
        first = (line if len(line) else of_control).iloc[0]
        label = condition_label(first["method"], first["strength"], first["matched_cost"], key=key)
        unsteered = first["method"] == "none"
        matched = bool(pd.notna(first["matched_cost"]))
        colour = ink(dark=dark) if unsteered else ramp(n_steered[matched], dark=dark)
        n_steered[matched] += not unsteered
        colours[key] = colour
        nudge = (place - (len(keys) - 1) / 2) * 0.22
        if len(of_control):
            _control_line(
                chart,
                of_control.assign(share=of_control["share"]),
                line,
                label=label,
                is_in_legend=place == 0,
            )
        chart.add_trace(
            go.Scatter(
                x=line["share"] * 100 + nudge,
                y=line["value"],
                error_y=bars(line) | {"color": colour},
                mode="lines+markers",
                name=label,
                line={
                    "color": colour,
                    "width": 2.6 if unsteered else 2,
                    "dash": "solid" if unsteered or matched else "dot",
                },
                marker={
                    "symbol": SYMBOLS[place % len(SYMBOLS)],
                    "size": 11,
                    "color": [share_colour(share) for share in line["share"]],
                    "line": {"color": colour, "width": 2},
                },
                hovertext=_hover(line, label),
                hoverinfo="text",
            )
        )
    if curves is not None:
        fitted_curves(chart, curves[curves["condition_key"].isin(keys)], colours)
    if paper is not None:
        fixed = (rows["method"] == "iti") & rows["matched_cost"].isna()
        reference_lines(chart, paper, dark=dark, steered=bool(fixed.any()))
    _share_ticks(chart, rows)
    if from_zero:
        chart.update_yaxes(rangemode="tozero")
    return chart
