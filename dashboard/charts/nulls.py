"""What ITI takes away beside each null direction, one line per arm and kind. Knows `db.read.null_effects`."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from hormesis.dashboard.base.colours import arm_colour, fade, ink
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.wording import arm_label, missing
from hormesis.dashboard.charts.frame import figure
from hormesis.dashboard.charts.tradeoff import symbol
from hormesis.db.contract.methods import NULL_KINDS, NULL_TITLES

STEP = 0.25
"""From one kind of null directions to the next, where arms are 1 apart."""


def null_points(effects: pd.DataFrame, *, dark: bool) -> go.Figure:
    """Points taken away: a marker per null direction, a disc for ITI, a stroke for the 95th percentile.

    `effects`: rows of `db.read.null_effects` of one prompt set and scorer.
    """
    kinds = [kind for kind in NULL_KINDS if (effects["null_kind"] == kind).any()]
    arms = list(dict.fromkeys(zip(effects["kind"], effects["share"], strict=True)))
    chart = figure("Toxicity taken away (points)", "", 130 + 28 * len(arms) * len(kinds))
    plain = ink(dark=dark)
    for place, kind in enumerate(kinds):
        shift = STEP * (place - (len(kinds) - 1) / 2)
        x: dict[str, list[float]] = {"null": [], "iti": [], "percentile": []}
        y: dict[str, list[float]] = {name: [] for name in x}
        texts: list[str] = []
        colours: list[str] = []
        for row in records(effects[effects["null_kind"] == kind]):
            line = arms.index((row.kind, row.share)) + shift
            falls = row.falls["points"]
            for name, values in (("null", falls), ("iti", [row.steered]), ("percentile", [row.percentile])):
                x[name] += values
                y[name] += [line] * len(values)
            colours.append(arm_colour(row.kind, row.share))
            texts.append(
                f"<b>{arm_label(row.kind, row.share)}</b><br>ITI {row.steered:.3g} points, rank {row.rank} "
                f"of {row.directions + 1}<br>{NULL_TITLES[kind]}: mean {row.mean:.3g}<br>"
                f"{row.n_seeds} seeds, n = {row.n:,}"
            )
        null_marker = {"symbol": symbol(kind), "size": 8, "color": fade(plain, 0.75), "line": {"width": 1.5}}
        disc = {"symbol": "circle", "size": 11, "color": colours}
        stroke = {"symbol": "line-ns-open", "size": 16, "color": plain, "line": {"width": 2}}
        for name, title, marker in (
            ("null", NULL_TITLES[kind], null_marker),
            ("percentile", "Their 95th percentile", stroke),
            ("iti", "ITI", disc),
        ):
            is_first = name == "null" or (place == 0 and not all(map(missing, x[name])))
            chart.add_trace(
                go.Scatter(
                    x=x[name], y=y[name], mode="markers", marker=marker, name=title, showlegend=is_first,
                    hovertext=texts if name == "iti" else None,
                    hoverinfo="text" if name == "iti" else "x+name",
                )
            )  # fmt: skip
    chart.add_vline(x=0, line={"color": plain, "width": 1, "dash": "dot"})
    names = [arm_label(kind, share) for kind, share in arms]
    chart.update_yaxes(tickvals=list(range(len(arms))), ticktext=names, range=[len(arms) - 0.5, -0.5])
    return chart
