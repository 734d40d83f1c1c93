"""What went in and came out: mixes, sources, labelled statements, generations to search, scorers, scores."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.app_pages.data import groups_view, search_view, sources_view
from hormesis.dashboard.base import selection
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.wording import arm_label, plain
from hormesis.dashboard.charts.figure_cache import drawn
from hormesis.dashboard.charts.mixes import mix_bars
from hormesis.dashboard.charts.training import histogram
from hormesis.dashboard.parts import card, states
from hormesis.dashboard.parts.paging import paged
from hormesis.dashboard.parts.texts import Shown, show_texts
from hormesis.dashboard.rows.context import Context, current, current_choice
from hormesis.db.contract.left_out import NOTE

PER_PAGE = 12
BINS = 20


def mixes(context: Context) -> None:
    """Tokens by source and arm; `composition`: a row per arm, seed and source."""
    composition = rows.composition(context)
    if composition.empty and context.only_imports:
        states.trained_elsewhere("no mixes to show")
        return
    if composition.empty:
        states.not_yet(
            "mixes", after="mixing the text of the first arm", running=rows.study_progress(context).active
        )
        return
    first_seed = selection.mix_rows(composition)
    seeds = composition["seed"].nunique()
    with st.container(border=True):
        card.chart(
            drawn(mix_bars, first_seed),
            key="mixes",
            title="What each model read",
            alt="Tokens by source for every arm",
            guide=(
                "Clean text is the same in every arm; toxic text, or informal text in the control, is added."
            ),
            note=f"n = {len(first_seed['arm'].unique())} arms"
            + (
                f"; the first of {seeds} seeds is drawn, the others read as many tokens in another order."
                if seeds > 1
                else "."
            ),
            rows=composition,
        )


def samples(context: Context) -> None:
    """Labelled statements by source, blurred; `counts`: a row per label, split and source."""
    sets = rows.probe_sets(context)
    if sets.empty:
        return
    with st.container(border=True):
        st.markdown("**Labelled statements of the probe set**")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            set_names = [str(set_name) for set_name in sets["name"]]
            set_name = st.selectbox("Probe set", set_names, key="set", bind="query-params", width=220)
            set_id = int(sets["id"].iloc[set_names.index(set_name) if set_name in set_names else 0])
            counts = rows.example_counts(context, set_id)
            words = st.text_input(
                "Words", key="said", bind="query-params", icon=":material/search:", live=True, width=220
            )
            sources = ["all", *selection.options(counts["source"])]
            source = st.selectbox("Source", sources, key="source", bind="query-params", width=200)
            label = st.segmented_control(
                "Label",
                ["both", "toxic", "not toxic"],
                default="both",
                required=True,
                key="label",
                bind="query-params",
            )
        of_source = None if source == "all" else source
        of_label = None if label == "both" else int(label == "toxic")
        examples, total = paged(
            lambda page: rows.examples(
                context, set_id, page, size=PER_PAGE, source=of_source, label=of_label,
                words=str(words or "").strip(),
            ),
            key="sample",
            size=PER_PAGE,
        )  # fmt: skip
        items = [
            Shown(
                str(row.text),
                title="toxic" if row.label == 1 else "not toxic",
                meta=" · ".join(
                    str(part) for part in (row.source, row.group, row.split) if not pd.isna(part)
                ),
                blurred=row.label == 1,
            )
            for row in records(examples)
        ]
        card.heading("statements", f"{total:,} statements", examples)
        if words and not total and len(rows.left_out_texts(context)):
            st.caption(NOTE)
        show_texts(items, key="samples", columns=3)
        st.caption(
            "Statements of the same words in another order stay in one split. The file holds those on show."
        )
        card.rows_below(counts, key="counts", label="Counts by label, split and source")


def scores(context: Context) -> None:
    """Histogram of scores (a row per arm and bin), and how far scorers agree."""
    scorer_rows = rows.scorers(context)
    prompt_sets = rows.prompt_sets(context)
    if scorer_rows.empty or prompt_sets.empty:
        return
    with st.container(border=True):
        st.markdown("**Scores of unsteered texts**")
        prompt_set, scorer = current_choice().prompt_set, current_choice().scorer
        if prompt_set is None or scorer is None:
            st.caption("No scores yet.")
            return
        unsteered = rows.unsteered_conditions(context)
        set_id = int(prompt_sets[prompt_sets["name"] == prompt_set]["id"].iloc[0])
        histogram_rows = rows.score_histogram(context, set_id, scorer=scorer, bins=BINS)
        if histogram_rows.empty:
            st.caption("No scores yet under this scorer.")
        else:
            card.chart(
                drawn(histogram, histogram_rows, f"Score of {scorer} (0 to 1)"),
                key="histogram",
                title="Distribution of scores",
                alt=f"Distribution of {scorer} scores per arm",
                guide="Above 0.5 counts as toxic. A scorer of two heaps decides; one with a hump hesitates.",
                note="First seed of every arm.",
                rows=histogram_rows,
            )
        agreement(context, unsteered, set_id)
    groups_view.groups(context)
    scorer_table(context)


def agreement(context: Context, unsteered: pd.DataFrame, set_id: int) -> None:
    """Agreement of every pair of scorers on the most toxic of the arms in `unsteered` (a row each)."""
    if unsteered.empty:
        return
    toxic = unsteered[unsteered["kind"] == "toxic"].sort_values("share")
    row = toxic.iloc[-1] if len(toxic) else unsteered.iloc[-1]
    agreements = rows.scorer_agreement(context, int(row["condition_id"]), set_id)
    if agreements.empty:
        st.markdown("**Do scorers agree?**")
        st.caption("Agreement needs two toxicity scorers on the same texts; this study has one.")
        return
    of_arm = f"{arm_label(row['kind'], row['share'])}, first seed"
    name = row["checkpoint"] if row["kind"] == "imported" else of_arm
    titles = {
        "first": "First scorer",
        "second": "Second scorer",
        "n": "n",
        "pearson": "Pearson",
        "spearman": "Spearman",
        "kappa": "Kappa",
        "same": "Same side of 0.5",
    }
    card.table(
        agreements[list(titles)].rename(columns=titles),
        key="agreement",
        title="Do scorers agree?",
        out=agreements,
        column_config={
            name: st.column_config.NumberColumn(format="%.2f")
            for name in ("Pearson", "Spearman", "Kappa", "Same side of 0.5")
        },
        alt="Agreement of toxicity scorers",
        note=(
            f"On unsteered texts of {plain(name)}. "
            "Kappa: agreement beyond chance on being above 0.5, 1 is perfect."
        ),
    )


def scorer_table(context: Context) -> None:
    """Scorers with revisions, and whether they are independent of the study's text."""
    scorer_rows = rows.scorers(context)
    titles = {
        "name": "Scorer", "measures": "Measures", "trained_on": "Trained on",
        "overlap": "In common with this study", "note": "Note", "revision": "Revision",
    }  # fmt: skip
    if len(scorer_rows):
        with st.container(border=True):
            filled = scorer_rows[list(titles)].replace("", None).dropna(axis="columns", how="all")
            card.table(
                filled.rename(columns=titles),
                key="scorers_table",
                title="Scorers",
                alt="Scorers with what they were trained on, overlaps and revisions",
                note=(
                    "A scorer that learned from the toxic text's platform or annotators may know the place, "
                    "not toxicity. A score is repeatable only with its scorer's revision."
                ),
                out=filled,
                column_config={
                    name: st.column_config.TextColumn(width="large")
                    for name in ("Trained on", "In common with this study")
                },
            )


SECTIONS = {
    "Mixes": mixes,
    "Sources": sources_view.sources,
    "Labelled statements": samples,
    "Generations": search_view.generations,
    "Scores and scorers": scores,
}
context = current()
st.subheader("What went in, and what came out?")
section = st.segmented_control(
    "Show", list(SECTIONS), default="Sources" if context.only_imports else "Mixes", required=True, key="show",
    bind="query-params", label_visibility="collapsed",
)  # fmt: skip
SECTIONS[str(section)](context)
