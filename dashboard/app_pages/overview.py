"""Does a dose of toxic text help? The dose-response chart, verdicts from rows, and progress while it runs."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import card, context, controls, rows, states
from dashboard.charts.dose import dose_response
from dashboard.charts.training import LOSSES, loss_curves
from dashboard.colours import is_dark
from dashboard.progress_view import live_progress
from dashboard.verdicts import NO_DATA, REFUTED, SUPPORTED, UNDECIDED, Verdict, verdicts
from dashboard.wording import is_imported, metric_name

MARKS = {
    SUPPORTED: (":material/check_circle:", "green"),
    REFUTED: (":material/cancel:", "red"),
    UNDECIDED: (":material/help:", "orange"),
    NO_DATA: (":material/hourglass_empty:", "gray"),
}


READ_FLUENCY = (
    "Read beside the left chart: toxicity that falls together with fluency is broken text, not detox."
)
READ_REPETITION = "Read beside the left chart: toxicity that falls while repetition rises is a looping model."


def headline(found: list[Verdict]) -> None:
    """The answer in one line."""
    first = found[0]
    icon, colour = MARKS[first.status]
    answer = {
        SUPPORTED: "Yes, at matched cost a dose of toxic text helps in this study.",
        REFUTED: "No: at matched cost every dose leaves the steered model more toxic in this study.",
        UNDECIDED: "Undecided: at matched cost the difference lies within the noise of this study.",
        NO_DATA: "Not known yet: the arms that answer it are still to come.",
    }[first.status]
    st.markdown(f"#### {icon} :{colour}[{answer}]")
    st.caption(first.detail[:1].upper() + first.detail[1:] + ".")


def verdict_lines(found: list[Verdict]) -> None:
    """One line per claim."""
    st.markdown("**What the rows say**")
    for verdict in found:
        icon, colour = MARKS[verdict.status]
        st.markdown(f":{colour}-badge[{icon} {verdict.status}] {verdict.claim}: :gray[{verdict.detail}.]")
    st.caption(
        "A claim is supported or not when the whole 95 % interval of the difference lies on one side of zero "
        "and there are at least two seeds; else it is undecided. Picking the best of several arms widens "
        "the interval (Bonferroni)."
    )


def pick(table: pd.DataFrame) -> tuple[str | None, str | None, str]:
    """The controls above the charts."""
    toxicity = table[table["name"] == "toxicity"]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        view = controls.view(controls.MATCHED, controls.FIXED)
        prompts = controls.prompt_set(controls.by_size(toxicity))
        mine = toxicity[toxicity["prompt_set"] == prompts]
        scorer = controls.scorer(controls.options(mine["scorer"]))
    return prompts, scorer, view


def dose_card(table: pd.DataFrame, name: str, key: str, how: str) -> None:
    """One dose-response chart in a frame."""
    unit = str(table["unit"].iloc[0]) if len(table) else ""
    title = f"{metric_name(name)} ({unit})" if unit else metric_name(name)
    seeds = int(table["n_seeds"].max()) if len(table) else 0
    with st.container(border=True):
        card.chart(
            dose_response(table, title, dark=is_dark(), from_zero=name == "toxicity"),
            key=key,
            title=f"{metric_name(name)} by toxic share",
            alt=f"{metric_name(name)} against the toxic share of the training mix, one line per condition",
            how=how,
            note=f"Bars: 95 % intervals over seeds (up to {seeds}) and prompts.",
            rows=table,
        )


def fluency_rows(table: pd.DataFrame, prompts: str | None) -> pd.DataFrame:
    """The first fluency metric the study has, for these prompts."""
    for name in ("fluency", "distinct_2", "repetition_4"):
        mine = table[(table["name"] == name) & (table["prompt_set"] == prompts)]
        if len(mine):
            names = mine["scorer"].fillna("")
            first: pd.DataFrame = mine.loc[names == names.iloc[0]]
            return first
    return table.iloc[:0]


def results(found: context.Context, running: bool) -> None:
    """Charts and verdicts, or what is still to come."""
    table = rows.summaries(found)
    # An imported checkpoint has no share: it belongs on the trade-offs, not on a dose axis.
    imported = table["kind"].map(is_imported).astype(bool)
    if len(table) and imported.all():
        st.info(
            "This study holds imported checkpoints only, so there is no dose to compare. What steering "
            "them costs is on the trade-offs page."
        )
        return
    table = table[~imported]
    table = table[table["method"].isin(["none", "iti"]) | (table["method"] == "random-direction")]
    if table[table["name"] == "toxicity"].empty:
        states.not_yet("results", after="the evaluation of the first arm", running=running)
        return
    prompts, scorer, view = pick(table)
    chosen = table[
        (table["prompt_set"] == prompts) & (table["name"] == "toxicity") & (table["scorer"] == scorer)
    ]
    fluency = fluency_rows(table, prompts)
    found_verdicts = verdicts(chosen, fluency[fluency["name"] == "fluency"])
    headline(found_verdicts)
    drawn = controls.in_view(chosen[chosen["method"] != "random-direction"], view)
    words = controls.in_view(fluency[fluency["method"] != "random-direction"], view)
    grid = st.grid(2, min_column_width=420)
    with grid.cell():
        dose_card(
            drawn,
            "toxicity",
            "dose",
            "Read across: a line that dips below its own left end means that dose helped under that "
            "condition.",
        )
    if len(words):
        with grid.cell():
            name = str(words["name"].iloc[0])
            dose_card(
                words,
                name,
                "dose_fluency",
                READ_FLUENCY if name != "repetition_4" else READ_REPETITION,
            )
    with st.container(border=True):
        verdict_lines(found_verdicts)


def curves(found: context.Context) -> None:
    """Loss curves, so that something is to be seen within the first minute."""
    points = rows.train_points(found)
    if points.empty:
        return
    known = [label for label, column in LOSSES.items() if points[column].notna().any()]
    if not known:
        return
    with st.container(border=True):
        picked = st.segmented_control(
            "Loss on", known, default=known[0], required=True, key="loss", bind="query-params"
        )
        card.chart(
            loss_curves(points, LOSSES[str(picked or known[0])]),
            key="overview_loss",
            title="Training",
            alt="Loss over tokens seen, one line per arm",
            how="Lower is better; one line per arm and seed, coloured by toxic share, the control dashed.",
            note=f"n = {points['arm'].nunique()} arms.",
            rows=points,
        )


here = context.current()
state = rows.study_progress(here)
st.subheader("Does a dose of toxic text help?")
if not state.finished:
    live_progress(here.url, here.study_id)
results(here, state.active)
if not state.finished:
    curves(here)
