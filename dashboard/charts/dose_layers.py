"""What can be laid over a dose-response chart: fitted curves, and the paper's figures as reference lines."""

from __future__ import annotations

from typing import Final

import pandas as pd
import plotly.graph_objects as go

from hormesis.dashboard.base.colours import fade, ink
from hormesis.dashboard.base.records import groups, records
from hormesis.dashboard.base.wording import missing, percent
from hormesis.db import paper

_DASHES: Final = {"weak": "dot", "mid": "dash", "strong": "longdash"}


def fitted_curves(chart: go.Figure, curves: pd.DataFrame, colours: dict[str, str]) -> int:
    """Draw curve and optimum of every fit (row) with a supported dip, and count them.

    `colours`: condition key to colour.
    """
    hormetic = curves[curves["status"] == "hormetic"]
    for row in records(hormetic):
        colour = colours.get(str(row.condition_key), "#888888")
        chart.add_trace(
            go.Scatter(
                x=[share * 100 for share in row.curve["share"]],
                y=row.curve["value"],
                mode="lines",
                line={"color": fade(colour, 0.55), "width": 5},
                name="Fitted curve (Brain-Cousens)",
                hoverinfo="skip",
                legendgroup="fit",
                showlegend=row.condition_key == hormetic["condition_key"].iloc[0],
            )
        )
        if not missing(row.optimum):
            chart.add_vrect(
                x0=row.optimum_low * 100,
                x1=row.optimum_high * 100,
                fillcolor=colour,
                opacity=0.10,
                line_width=0,
                layer="below",
            )
            chart.add_vline(
                x=row.optimum * 100,
                line={"color": colour, "dash": "dot", "width": 1.5},
                annotation_text=f"best dose {percent(row.optimum)}",
                annotation_position="top",
            )
    return len(hormetic)


def paper_column(prompt_set: str | None) -> str | None:
    """Which of the paper's two prompt sets these are; None where its figures do not apply."""
    name = (prompt_set or "").lower().replace("_", "").replace("-", "")
    if "toxigen" in name:
        return "toxigen"
    return "rtp" if "rtp" in name or "realtoxicity" in name else None


def reference_lines(chart: go.Figure, column: str, *, dark: bool, steered: bool) -> None:
    """The paper's Table 1 (`column`: `toxigen` or `rtp`): unsteered and, where `steered`, ITI; in grey."""
    paper_rows = paper.table()
    drawn_rows = paper_rows[paper_rows["method"].isin(["none", "iti"] if steered else ["none"])]
    colour = fade(ink(dark=dark), 0.6)
    for (method, level), rows in groups(drawn_rows, ["method", "level"]):
        name = "unsteered" if method == "none" else f"ITI {level}"
        chart.add_trace(
            go.Scatter(
                x=rows["share"] * 100,
                y=rows[column],
                mode="lines+markers",
                line={"color": colour, "dash": _DASHES.get(str(level), "dot"), "width": 1.5},
                marker={"symbol": "x-thin-open", "size": 9, "color": colour},
                name=f"Paper †: {name}",
                hovertext=[
                    f"Paper †, {name}: {value:g} points at {percent(share)}<br>another model and scorer"
                    for share, value in zip(rows["share"], rows[column], strict=True)
                ],
                hoverinfo="text",
            )
        )
