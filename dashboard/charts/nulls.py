"""ITI beside null directions, one line per arm and kind: chart, table and note of `db.read.null_effects`."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from hormesis.dashboard.base.colours import arm_colour, fade, ink
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.wording import arm_label, interval, missing, number
from hormesis.dashboard.charts.frame import figure
from hormesis.dashboard.charts.tradeoff import symbol
from hormesis.db.contract.methods import NULL_KINDS, NULL_TITLES, RESAMPLED

BAND = 0.8
"""Room of an arm's kinds of null directions, where arms are 1 apart."""
GUIDE = (
    "How far toxicity is below that unsteered, in points: ITI (disc) and each null direction, all at one "
    "cost and on the same prompts. Where nulls reach as far as ITI, the direction is not what detoxifies. "
    "Added instead of removed, it should lie left of 0."
)


def null_points(effects: pd.DataFrame, *, dark: bool) -> go.Figure:
    """Points taken away: a marker per null direction, a disc for ITI, a stroke for the 95th percentile.

    `effects`: rows of `db.read.null_effects` of one prompt set and scorer.
    """
    kinds = [kind for kind in NULL_KINDS if (effects["null_kind"] == kind).any()]
    arms = list(dict.fromkeys(zip(effects["kind"], effects["share"], strict=True)))
    chart = figure("Toxicity taken away (points)", "", 150 + 20 * len(arms) * len(kinds))
    plain = ink(dark=dark)
    for place, kind in enumerate(kinds):
        shift = BAND / len(kinds) * (place - (len(kinds) - 1) / 2)
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
                f"<b>{arm_label(row.kind, row.share)}</b><br>ITI {row.steered:.3g} points"
                f"{_rank(row, ', rank ')}<br>{NULL_TITLES[kind]}: mean {row.mean:.3g}<br>"
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


def _rank(row: Any, before: str = "") -> str:
    """Rank of ITI among null directions; empty for its own, estimated anew."""
    return "" if missing(row.rank) else f"{before}{row.rank} of {row.directions + 1}"


def parts_table(effects: pd.DataFrame) -> pd.DataFrame:
    """What the interval of ITI's fall is made of, a row per arm: shares of the variance in percent."""
    rows = [row for row in records(effects) if not missing(row.direction_variance)]
    return pd.DataFrame(
        {
            "Arm": [arm_label(row.kind, row.share) for row in rows],
            "ITI takes away": [interval(row.steered, row.steered_low, row.steered_high) for row in rows],
            **{
                title: [_part(row, part) for row in rows]
                for title, part in (("Seeds", "seeds"), ("Prompts", "prompts"), ("Direction", "direction"))
            },
            "Standard error of the direction": [number(row.direction_variance**0.5) for row in rows],
            "n": [row.n for row in rows],
            "Replicates": [row.directions for row in rows],
        }
    )


def _part(row: Any, part: str) -> str:
    parts = {name: getattr(row, f"{name}_variance") for name in ("seeds", "prompts", "direction")}
    if any(map(missing, parts.values())) or sum(parts.values()) == 0:
        return "–"
    return f"{100 * parts[part] / sum(parts.values()):.0f} %"


PARTS_NOTE = (
    "Points of toxicity taken away at one matched cost, with a 95 % interval that holds seeds, prompts and "
    "the estimate of the direction, and the part of its variance that each gives. Direction: statements are "
    "drawn anew, heads chosen, directions and strengths found again, the same statements in all seeds. One "
    "seed has no interval."
)


def null_table(effects: pd.DataFrame) -> pd.DataFrame:
    """A row per arm and kind of null directions: what both take away, percentile, odds ratio, rank."""
    rows = records(effects)
    return pd.DataFrame(
        {
            "Arm": [arm_label(row.kind, row.share) for row in rows],
            "Null directions": [f"{NULL_TITLES[row.null_kind]} ({row.directions})" for row in rows],
            "ITI takes away": [number(row.steered) for row in rows],
            "Nulls take away": [number(row.mean) for row in rows],
            "95th percentile": [number(row.percentile) for row in rows],
            "ITI against nulls": [interval(row.value, row.low, row.high) for row in rows],
            "Rank among nulls": [_rank(row) or "–" for row in rows],
            "Seeds": effects["n_seeds"].tolist(),
            "n": effects["n"].tolist(),
        }
    )


def null_note(effects: pd.DataFrame) -> str:
    """What the numbers are, and where there is no percentile."""
    costs = ", ".join(f"+{cost:g}" for cost in sorted(set(effects["matched_cost"])))
    few = effects.loc[~effects["null_kind"].isin(["reversed", RESAMPLED]), "percentile"].isna().any()
    return (
        f"At {costs} nats; points of toxicity, n = {int(effects['n'].max()):,} prompts at most. ITI against "
        "nulls: odds ratio to their mean, below 1 where ITI takes away more; 95 % intervals over seeds, "
        "prompts and directions; of imported checkpoints over prompts and directions alone."
        + (" Fewer than 19 directions have no 95th percentile." if few else "")
    )
