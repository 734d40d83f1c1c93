"""How well heads read toxicity: maps of two checkpoints, the distribution over heads, a statistic by arm."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from hormesis.dashboard.base.theme import is_dark
from hormesis.dashboard.base.wording import MEASURES, Head, arm_label, checkpoint_label
from hormesis.dashboard.charts.entangled import statistic_by_arm
from hormesis.dashboard.charts.figure_cache import drawn
from hormesis.dashboard.charts.heads import head_map, limits, most_per_line, outline, survival
from hormesis.dashboard.parts import card, controls
from hormesis.dashboard.rows import geometry
from hormesis.dashboard.rows.context import Context
from hormesis.dashboard.rows.geometry import STATISTICS

MAPS, TAIL, ARMS = "Maps", "Distribution", "By arm"
COLUMNS = ["layer", "head"]


def show(
    context: Context, probes: pd.DataFrame, checkpoint: str, *, head: Head | None, labels: dict[str, str]
) -> None:
    """One of three views of all heads; `probes`: a row per head, `labels`: checkpoints in words."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        view = st.segmented_control(
            "Heads", [MAPS, TAIL, ARMS], default=MAPS, required=True, key="heads", bind="query-params",
            label_visibility="collapsed",
        )  # fmt: skip
        if view == ARMS:
            measure = ""
        else:
            measure = str(
                st.segmented_control(
                    "Measure", list(MEASURES), default="Accuracy", required=True, key="probe",
                    bind="query-params", label_visibility="collapsed",
                )
            )  # fmt: skip
        if view == MAPS:
            left = str(
                st.selectbox(
                    "Compared with", list(labels), format_func=lambda name: labels[name], key="left",
                    bind="query-params", width=200,
                )
            )  # fmt: skip
    if view == ARMS:
        by_arm(context)
    elif view == TAIL:
        distribution(probes, measure)
    else:
        left_probes, right_probes = (probes[probes["checkpoint"] == name] for name in (left, checkpoint))
        maps(left_probes, right_probes, measure, chosen=head)


def difference_words(summary: pd.Series) -> str:
    """A row of `head_summary` as `+5.2 points [−2.6, +13.0], p = 0.15, 2 seeds, n = 577`."""
    value, low, high = (
        float(summary[name]) * 100 for name in ("difference", "difference_low", "difference_high")
    )
    chance = "" if pd.isna(summary["p"]) else f", p = {summary['p']:.2f}"
    seeds = "one seed" if summary["n_seeds"] == 1 else f"{int(summary['n_seeds'])} seeds"
    return f"{value:+.1f} points [{low:+.1f}, {high:+.1f}]{chance}, {seeds}, n = {int(summary['n']):,}"


def by_arm(context: Context) -> None:
    """A statistic of all heads over arms (a row each), its interval and differences to the clean arm."""
    summaries = geometry.head_summaries(context)
    if summaries.empty:
        st.info(
            "Comparisons of all heads appear when every arm has been probed.",
            icon=":material/hourglass_empty:",
        )
        return
    with st.container(border=True):
        title = str(
            st.segmented_control(
                "Accuracy of heads",
                list(STATISTICS),
                default="90th percentile",
                required=True,
                key="stat",
                bind="query-params",
            )
        )
        of_statistic = summaries[summaries["name"] == STATISTICS[title]]
        compared = of_statistic[of_statistic["difference"].notna()]
        sentence = " ".join(
            f"{arm_label(row['kind'], row['share'])} against 0 % toxic: {difference_words(row)}."
            for _, row in compared.sort_values(["kind", "share"]).iterrows()
            if row["kind"] == "toxic"
        )
        unit = "fraction of heads" if title.startswith("Above") else "balanced accuracy"
        card.chart(
            drawn(statistic_by_arm, of_statistic, f"{title} ({unit})"),
            key="heads_by_arm",
            title=f"{title} over heads, by arm",
            alt=f"{title} of the heads' accuracies in every arm with 95 % intervals",
            guide=(
                f"{sentence} Seeds and statements vary, heads never do: they read the same statements and "
                f"are no independent samples."
            ),
            note=str(of_statistic["interval"].iloc[0]) + "." if len(of_statistic) else "",
            rows=of_statistic.drop(columns=["id", "study_id"]),
        )


def maps(left_probes: pd.DataFrame, right_probes: pd.DataFrame, measure: str, *, chosen: Head | None) -> None:
    """Two maps (a row per head) on one scale, and their difference; `measure`: a key of MEASURES."""
    column, value_name = MEASURES[measure]
    span = limits(column, left_probes, right_probes)
    mark = [] if chosen is None else [outline(chosen.head, chosen.layer)]
    same_checkpoint = left_probes["checkpoint"].iloc[0] == right_probes["checkpoint"].iloc[0]
    grid = st.grid(3, min_column_width=330)
    for side, probes in (("left", left_probes), ("right", right_probes)):
        if side == "right" and same_checkpoint:
            break
        row = probes.iloc[0]
        with grid.cell(), st.container(border=True):
            card.chart(
                drawn(head_map, probes, column, span=span, chosen=None, dark=is_dark()).plus(shapes=mark),
                key=f"map_{side}",
                title=checkpoint_label(row),
                alt=f"{measure} of every head by layer, {row['checkpoint']}",
                guide=(
                    f"One square per head: {value_name}. White dots: heads that are steered. Click a "
                    f"square to choose it."
                ),
                note=f"n = {int(row['n_test']):,} test statements.",
                rows=probes,
                on_select=lambda side=side: controls.clicked(f"map_{side}"),
            )
    joined = left_probes.merge(right_probes, on=COLUMNS, suffixes=("_left", ""))
    if same_checkpoint or joined.empty:
        return
    joined["change"] = joined[column] - joined[f"{column}_left"]
    reach = float(joined["change"].abs().max()) or 1e-6
    with grid.cell(), st.container(border=True):
        card.chart(
            drawn(
                head_map,
                joined[[*COLUMNS, "change"]],
                "change",
                span=(-reach, reach),
                chosen=None,
                dark=is_dark(),
                difference=True,
            ).plus(shapes=mark),
            key="map_change",
            title="Right minus left",
            alt=f"Change of {measure} of every head by layer",
            guide="Orange: the head reads toxicity better on the right; blue: worse.",
            note=f"n = {len(joined):,} heads.",
            rows=joined[[*COLUMNS, f"{column}_left", column, "change"]],
            on_select=lambda: controls.clicked("map_change"),
        )


def distribution(probes: pd.DataFrame, measure: str) -> None:
    """How many heads are good, a line per checkpoint; `measure`: a key of MEASURES."""
    column, value_name = MEASURES[measure]
    lines = max(1, probes["checkpoint"].nunique())
    n_heads, most = len(probes) // lines, most_per_line(lines)
    thinned = f" Lines are thinned to {most:,} of {n_heads:,} heads." if n_heads > most else ""
    with st.container(border=True):
        card.chart(
            drawn(survival, probes, column, f"{measure} ({value_name})"),
            key="tail",
            title=f"{measure} over heads",
            alt=f"Share of heads above each {measure}, one line per checkpoint",
            guide="A line further right has better heads; the lower right end is the tail of the best ones.",
            note=f"n = {n_heads:,} heads per checkpoint, one line per seed.{thinned}",
            rows=probes,
        )
