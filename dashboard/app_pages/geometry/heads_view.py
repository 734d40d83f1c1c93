"""How well heads read toxicity: maps of two checkpoints, the distribution over heads, a statistic by arm."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from hormesis.dashboard.base.geometry_words import GAIN_NOTE, GAINS, checkpoint_line, gain_table
from hormesis.dashboard.base.theme import is_dark
from hormesis.dashboard.base.verdicts import p_equals
from hormesis.dashboard.base.wording import GAIN, MEASURES, Head, arm_label, checkpoint_label, minus, plain
from hormesis.dashboard.charts.entangled import statistic_by_arm
from hormesis.dashboard.charts.figure_cache import drawn
from hormesis.dashboard.charts.heads import head_map, limits, most_per_line, outline, survival
from hormesis.dashboard.parts import card, controls
from hormesis.dashboard.rows import geometry
from hormesis.dashboard.rows.context import Context
from hormesis.dashboard.rows.geometry import STATISTICS

MAPS, CHANGE, TAIL, ARMS = "Maps", "Difference", "Distribution", "By arm"
BASELINES = "Baselines"
COLUMNS = ["layer", "head"]
SIGNS = "Orange: the head tells more than the baseline; blue: less. "
BESIDE = (
    "Right of the dotted line a head tells more than the baseline does. A line further right gains more, "
    "which is reading better only where baselines are alike."
)
READS_BETTER = "the head reads toxicity better"
GAINS_MORE = "the head gains more over its own checkpoint's baseline"


@dataclass(frozen=True, eq=False)
class Sides:
    """Probes of the two checkpoints that are compared, a row per head."""

    left: pd.DataFrame
    right: pd.DataFrame

    @property
    def is_one(self) -> bool:
        """Whether both are the same checkpoint."""
        return bool(self.left["checkpoint"].iloc[0] == self.right["checkpoint"].iloc[0])

    def lack(self, column: str) -> bool:
        """Whether a measure of one of them is not there."""
        return bool(self.left[column].isna().all() or self.right[column].isna().all())


def show(
    context: Context, probes: pd.DataFrame, checkpoint: str, *, head: Head | None, labels: dict[str, str]
) -> None:
    """One of five views of all heads; `probes`: of `head_gains`, `labels`: checkpoints in words."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        view = st.segmented_control(
            "Heads", [MAPS, CHANGE, TAIL, ARMS, BASELINES], default=MAPS, required=True, key="heads",
            bind="query-params", label_visibility="collapsed",
        )  # fmt: skip
        if view == ARMS:
            title = _pick("Statistic", list(STATISTICS), "stat", default="90th percentile")
        elif view != BASELINES:
            measured = [title for title, (column, _) in MEASURES.items() if probes[column].notna().any()]
            measure = _pick("Measure", measured, "probe", default="Accuracy")
        if view in (MAPS, CHANGE):
            left = str(
                st.selectbox(
                    "Compared with", list(labels), format_func=lambda name: labels[name], key="left",
                    bind="query-params", width=190, help="The checkpoint at the left.",
                )
            )  # fmt: skip
            sides = Sides(*(probes[probes["checkpoint"] == name] for name in (left, checkpoint)))
    gain_line(context, checkpoint)
    if view == ARMS:
        by_arm(context, title)
    elif view == BASELINES:
        baselines(context, checkpoint)
    elif view == TAIL:
        distribution(probes.dropna(subset=MEASURES[measure][0]), measure)
    elif sides.lack(MEASURES[measure][0]):
        st.info(
            "Gains of a checkpoint appear when it has been probed to the end.",
            icon=":material/hourglass_empty:",
        )
    elif view == CHANGE:
        change(sides, measure, chosen=head)
    else:
        maps(sides, measure, chosen=head)


def gain_line(context: Context, checkpoint: str) -> None:
    """What a checkpoint's heads gain over baselines, in one sentence; nothing where it was not measured."""
    gains = geometry.gains(context)
    line = checkpoint_line(gains[gains["checkpoint"] == checkpoint])
    if line:
        st.caption(f":material/balance: {plain(line)}")


def baselines(context: Context, checkpoint: str) -> None:
    """The gains of a checkpoint over every baseline, as a table."""
    gains = geometry.gains(context)
    of_checkpoint = gains[gains["checkpoint"] == checkpoint]
    if of_checkpoint.empty:
        st.info(
            "Gains over baselines appear when the checkpoint is probed.", icon=":material/hourglass_empty:"
        )
        return
    interval = of_checkpoint["interval"].iloc[0]
    with st.container(border=True):
        card.table(
            gain_table(of_checkpoint).drop(columns="Checkpoint"),
            key="gains",
            title=f"What the heads of {checkpoint_label(of_checkpoint.iloc[0])} read beyond baselines",
            alt="AUROC of heads and of baselines on the same test statements, and the difference",
            out=of_checkpoint,
            note=f"{GAIN_NOTE} Gains: {interval}.",
        )


def _pick(label: str, choices: list[str], key: str, *, default: str) -> str:
    """One of a few choices, kept in the link."""
    return str(
        st.selectbox(
            label, choices, index=choices.index(default), key=key, bind="query-params", width=190,
        )
    )  # fmt: skip


def difference_words(summary: pd.Series) -> str:
    """A row of `head_summary` as `+5.2 points [−2.6, +13.0], p = 0.15, 2 seeds, n = 577`."""
    value, low, high = (
        100 * (float("nan") if pd.isna(summary[name]) else float(summary[name]))
        for name in ("difference", "difference_low", "difference_high")
    )
    chance = "" if pd.isna(summary["p"]) else f", {p_equals(summary['p'])}"
    seeds = "one seed" if summary["n_seeds"] == 1 else f"{int(summary['n_seeds'])} seeds"
    ends = "(no interval)" if pd.isna(low) else f"[{low:+.1f}, {high:+.1f}]"
    return minus(f"{value:+.1f} points {ends}") + f"{chance}, {seeds}, n = {int(summary['n']):,}"


def _made_of(of_statistic: pd.DataFrame) -> str:
    """Statements and interval of a statistic (rows of `head_summary`, one an arm) in words."""
    if of_statistic.empty:
        return "No test statements are left without a sentence of the train split."
    first = of_statistic.iloc[0]
    return f"n = {int(first['n']):,} test statements. {first['interval']}."


def by_arm(context: Context, title: str) -> None:
    """A statistic of heads (`title`, of STATISTICS) by arm, its interval and difference to the clean arm."""
    summaries = geometry.head_summaries(context)
    if summaries.empty:
        st.info(
            "Comparisons of all heads appear when every arm has been probed.",
            icon=":material/hourglass_empty:",
        )
        return
    with st.container(border=True):
        of_statistic = summaries[summaries["name"] == STATISTICS[title]]
        compared = of_statistic[of_statistic["difference"].notna()]
        sentence = " ".join(
            f"{arm_label(row['kind'], row['share'])} against 0 % toxic: {difference_words(row)}."
            for _, row in compared.sort_values(["kind", "share"]).iterrows()
            if row["kind"] == "toxic"
        )
        of_accuracy = "fraction of heads" if title.startswith("Above") else "balanced accuracy"
        unit = "AUROC" if title in GAINS else of_accuracy
        card.chart(
            drawn(statistic_by_arm, of_statistic, f"{title} ({unit})"),
            key="heads_by_arm",
            title=f"{title}, steered heads by arm" if title in GAINS else f"{title} over heads, by arm",
            alt=f"{title} of the heads in every arm with 95 % intervals",
            guide=(
                f"{sentence} Seeds and statements vary, heads never do: they read the same statements and "
                f"are no independent samples."
            ),
            note=_made_of(of_statistic),
            rows=of_statistic.drop(columns=["id", "study_id"]),
        )


def maps(sides: Sides, measure: str, *, chosen: Head | None) -> None:
    """Two maps on one scale; `measure`: a key of MEASURES."""
    column, value_name = MEASURES[measure]
    span = limits(column, sides.left, sides.right)
    mark = [] if chosen is None else [outline(chosen.head, chosen.layer)]
    grid = st.grid(2, min_column_width=330)
    for side, probes in (("left", sides.left), ("right", sides.right)):
        if side == "right" and sides.is_one:
            break
        row = probes.iloc[0]
        with grid.cell(), st.container(border=True):
            card.chart(
                drawn(head_map, probes, column, span=span, chosen=None, dark=is_dark()).plus(shapes=mark),
                key=f"map_{side}",
                title=checkpoint_label(row),
                alt=f"{measure} of every head by layer, {row['checkpoint']}",
                guide=(
                    f"One square per head: {value_name}. {SIGNS if column.startswith(GAIN) else ''}"
                    f"White dots: heads that are steered. Click a square to choose it.{_gaps(probes)}"
                ),
                note=f"n = {int(row['n_test']):,} test statements.",
                rows=probes,
                on_select=lambda side=side: controls.clicked(f"map_{side}"),
            )


def _gaps(probes: pd.DataFrame) -> str:
    """What empty rows of a map are."""
    is_gapless = probes["layer"].nunique() == probes["layer"].max() - probes["layer"].min() + 1
    return "" if is_gapless else " Rows without squares: layers without attention."


def change(sides: Sides, measure: str, *, chosen: Head | None) -> None:
    """The map of the difference of two checkpoints; `measure`: a key of MEASURES."""
    column, _ = MEASURES[measure]
    joined = sides.left.merge(sides.right, on=COLUMNS, suffixes=("_left", ""))
    if sides.is_one or joined.empty:
        st.info("Choose two checkpoints with heads in common to see how they differ.", icon=":material/info:")
        return
    joined["change"] = joined[column] - joined[f"{column}_left"]
    reach = float(joined["change"].abs().max()) or 1e-6
    mark = [] if chosen is None else [outline(chosen.head, chosen.layer)]
    chart = drawn(
        head_map,
        joined[[*COLUMNS, "change"]],
        "change",
        span=(-reach, reach),
        chosen=None,
        dark=is_dark(),
        difference=True,
    ).plus(shapes=mark)
    labels = [checkpoint_label(probes.iloc[0]) for probes in (sides.right, sides.left)]
    with st.container(border=True):
        card.chart(
            chart,
            key="map_change",
            title=f"{measure}: {labels[0]} less {labels[1]}",
            alt=f"Change of {measure} of every head by layer",
            guide=f"Orange: {GAINS_MORE if column.startswith(GAIN) else READS_BETTER} in {plain(labels[0])}; "
            "blue: less.",
            note=f"n = {len(joined):,} heads.",
            rows=joined[[*COLUMNS, f"{column}_left", column, "change"]],
            on_select=lambda: controls.clicked("map_change"),
        )


def distribution(probes: pd.DataFrame, measure: str) -> None:
    """How many heads are good, a line per checkpoint; `measure`: a key of MEASURES."""
    column, value_name = MEASURES[measure]
    lines = max(1, probes["checkpoint"].nunique())
    counts, most = probes["checkpoint"].value_counts(), most_per_line(lines)
    n_heads = " to ".join(f"{count:,}" for count in sorted({int(counts.min()), int(counts.max())}))
    thinned = f" Lines are thinned to {most:,} heads." if counts.max() > most else ""
    with st.container(border=True):
        card.chart(
            drawn(survival, probes, column, f"{measure} ({value_name})"),
            key="tail",
            title=f"{measure}, all heads" if column.startswith(GAIN) else f"{measure} over heads",
            alt=f"Share of heads above each {measure}, one line per checkpoint",
            guide=BESIDE
            if column.startswith(GAIN)
            else "A line further right has better heads; the lower right end is the tail of the best ones.",
            note=f"n = {n_heads} heads per checkpoint, one line per seed.{thinned}",
            rows=probes,
        )
