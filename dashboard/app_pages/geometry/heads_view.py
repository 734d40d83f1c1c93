"""How well the heads of arms read toxicity: one statistic by arm, with differences, and the chosen head."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.wording import Head, arm_label, head_name
from hormesis.dashboard.charts.entangled import statistic_by_arm
from hormesis.dashboard.charts.figure_cache import drawn
from hormesis.dashboard.parts import card
from hormesis.dashboard.rows import geometry
from hormesis.dashboard.rows.context import Context
from hormesis.dashboard.rows.geometry import STATISTICS


def difference_words(summary: pd.Series) -> str:
    """A row of `head_summary` as `+5.2 points [−2.6, +13.0], p = 0.15, 2 seeds, n = 577`."""
    value, low, high = (
        float(summary[name]) * 100 for name in ("difference", "difference_low", "difference_high")
    )
    chance = "" if pd.isna(summary["p"]) else f", p = {summary['p']:.2f}"
    seeds = "one seed" if summary["n_seeds"] == 1 else f"{int(summary['n_seeds'])} seeds"
    return f"{value:+.1f} points [{low:+.1f}, {high:+.1f}]{chance}, {seeds}, n = {int(summary['n']):,}"


def against_clean(context: Context, kind: str, share: float, *, statistic: str) -> pd.Series | None:
    """An arm's row of a statistic (`p90`, ...) with its difference to the arm without toxic text, or None."""
    summaries = geometry.head_summaries(context)
    of_arm = summaries[
        (summaries["kind"] == kind) & (summaries["share"] == share) & (summaries["name"] == statistic)
    ]
    return None if of_arm.empty or pd.isna(of_arm["difference"].iloc[0]) else of_arm.iloc[0]


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


def head_line(probes: pd.DataFrame, chosen: Head, *, note: str) -> None:
    """The chosen head's numbers, a row per checkpoint; `probes`: a row per head of every checkpoint."""
    of_head = probes[(probes["layer"] == chosen.layer) & (probes["head"] == chosen.head)]
    rank_intervals = [
        geometry.rank_interval(row, probes[probes["checkpoint"] == row["checkpoint"]])
        for _, row in of_head.iterrows()
    ]
    table = pd.DataFrame(
        {
            "Checkpoint": of_head["checkpoint"],
            "Accuracy": [
                f"{row.accuracy:.3f} [{row.accuracy_low:.3f}, {row.accuracy_high:.3f}]"
                for row in records(of_head)
            ],
            "AUROC": of_head["auroc"],
            "Selectivity": of_head["selectivity"],
            "Separation": of_head["separation"],
            "Rank": ["–" if pd.isna(rank) else str(int(rank)) for rank in of_head["rank"]],
            "Rank on test (95 % interval)": [
                f"{low} to {high}" if low < high else str(low) for low, high in rank_intervals
            ],
        }
    )
    with st.container(border=True):
        card.table(
            table,
            key="head_line",
            title=f"{head_name(*chosen)} in every arm",
            alt=f"Probe results of head {head_name(*chosen)} in every checkpoint",
            out=of_head,
            height=min(320, 38 + 35 * len(table)),
            column_config={
                name: st.column_config.NumberColumn(format="%.3f")
                for name in ("AUROC", "Selectivity", "Separation")
            },
            note=(
                "Test split; accuracies are balanced, with 95 % intervals. Rank: order among the steered "
                "heads by the select split, without an interval. Rank on test: between the heads that are "
                "surely better and those surely worse, by intervals. " + note
            ),
        )
