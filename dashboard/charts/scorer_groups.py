"""How scorers judge harmless statements by the group that they mention: sentences, a table, a chart."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.verdicts import p_equals
from hormesis.dashboard.base.wording import interval, missing
from hormesis.dashboard.charts.frame import Level
from hormesis.dashboard.charts.hardness import by_condition
from hormesis.dashboard.charts.maps import CATEGORIES

TITLE = "Do scorers treat groups alike?"
GUIDE = (
    "Above the line a scorer flags harmless statements that mention this group more often than the others."
)
NOTE = (
    "A statement or prompt is flagged above 0.5 although it is labelled as not toxic. Bars: 95 % intervals "
    "of the ratio. The last column is the null: the largest ratio among groups that are permuted over the "
    "statements (median, and 95 % of 1,000 permutations); p compares with it, so it is corrected for the "
    "number of groups."
)
PERMUTED = "permuted groups: largest"


def group_sentences(rows: pd.DataFrame) -> list[str]:
    """A sentence per probe set and scorer on its largest ratio; `rows`: of `scorer_group`."""
    sentences = []
    for (probe_set, scorer), of_scorer in rows.groupby(["probe_set", "scorer"], sort=False):
        total = int(of_scorer["n"].sum())
        n = f"n = {total:,} texts of {probe_set} that are not toxic"
        if of_scorer["ratio"].isna().all():
            flagged = round((of_scorer["rate"] * of_scorer["n"]).sum())
            sentences.append(f"{scorer} flags {flagged} of {total:,}, too few to compare groups ({n}).")
            continue
        row = records(of_scorer.loc[[of_scorer["ratio"].idxmax()]])[0]
        is_apart = row.p <= 0.05
        sentences.append(
            f"{scorer} flags {row.group} {interval(row.ratio, row.ratio_low, row.ratio_high)} times as often "
            f"as the other groups, {'more than' if is_apart else 'no more than'} permuted groups would give "
            f"(largest ratio {row.null_median:.2f} [{row.null_low:.2f}, {row.null_high:.2f}], "
            f"{p_equals(row.p)}; {n})."
        )
    return sentences


def group_table(rows: pd.DataFrame) -> pd.DataFrame:
    """What the table shows, a row per scorer and group, the highest rate first."""
    rows = rows.sort_values(["scorer", "rate"], ascending=[True, False], kind="stable")
    return pd.DataFrame(
        {
            "Scorer": rows["scorer"],
            "Group": rows["group"],
            "n": rows["n"],
            "False-positive rate": [interval(row.rate, row.rate_low, row.rate_high) for row in records(rows)],
            "Mean score": [interval(row.score, row.score_low, row.score_high) for row in records(rows)],
            "Ratio to the other groups": [
                None if missing(row.ratio) else interval(row.ratio, row.ratio_low, row.ratio_high)
                for row in records(rows)
            ],
            "p": [None if missing(row.p) else f"{row.p:.3f}" for row in records(rows)],
        }
    )


def group_ratios(rows: pd.DataFrame, *, dark: bool) -> go.Figure:
    """Ratio of each group's rate to that of the others by scorer, the null in the last column.

    `rows`: of `scorer_group`; those of scorers that flag nothing are left out.
    """
    rows = rows[rows["ratio"].notna()]
    order = [*sorted(set(rows["group"])), PERMUTED]
    nulls = rows.drop_duplicates("scorer").assign(group=PERMUTED)
    nulls = nulls.assign(
        ratio=nulls["null_median"], ratio_low=nulls["null_low"], ratio_high=nulls["null_high"]
    )
    points = pd.concat([rows, nulls], ignore_index=True)
    points = points.rename(columns={"ratio": "value", "ratio_low": "low", "ratio_high": "high"})
    scorers = list(dict.fromkeys(points["scorer"]))
    chart = by_condition(
        points.assign(arm=points["scorer"], kind="toxic", share=0.0),
        order,
        "Flagged, over the other groups (ratio)",
        dark=dark,
        x_column="group",
        level=Level(1.0, ""),
        colours={scorer: CATEGORIES[place % len(CATEGORIES)] for place, scorer in enumerate(scorers)},
    )
    chart.update_layout(showlegend=True)  # one scorer too is to be named
    return chart
