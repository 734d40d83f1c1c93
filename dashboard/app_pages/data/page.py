"""What went in: the mixes, labelled samples by source, scorers, their agreement and their scores."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.base import selection
from hormesis.dashboard.base.records import records
from hormesis.dashboard.charts.figure_cache import drawn
from hormesis.dashboard.charts.mixes import mix_bars
from hormesis.dashboard.charts.training import histogram
from hormesis.dashboard.parts import card, controls, states
from hormesis.dashboard.parts.texts import Shown, show_texts
from hormesis.dashboard.rows.context import Context, current

PER_PAGE = 12
BINS = 20


def mixes(context: Context) -> None:
    """Tokens by source and arm."""
    table = rows.composition(context)
    if table.empty:
        states.not_yet(
            "mixes", after="mixing the text of the first arm", running=rows.study_progress(context).active
        )
        return
    first_seed, seeds = selection.mix_rows(table), table["seed"].nunique()
    with st.container(border=True):
        card.chart(
            drawn(mix_bars, first_seed),
            key="mixes",
            title="What each model read",
            alt="Tokens by source for every arm",
            how=(
                "Clean text is the same in every arm; toxic text, or plain forum text in the "
                "control, is added to it."
            ),
            note=f"n = {len(first_seed['arm'].unique())} arms"
            + (
                f"; the first of {seeds} seeds is drawn, the others differ in their text alone."
                if seeds > 1
                else "."
            ),
            rows=table,
        )


def samples(context: Context) -> None:
    """Labelled statements by source, blurred."""
    sets = rows.probe_sets(context)
    if sets.empty:
        return
    with st.container(border=True):
        st.markdown("**Labelled statements of the probe set**")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            names = [str(name) for name in sets["name"]]
            name = st.selectbox("Probe set", names, key="set", bind="query-params", width=220)
            set_id = int(sets["id"].iloc[names.index(name) if name in names else 0])
            counts = rows.example_counts(context, set_id)
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
        chosen = counts if of_source is None else counts[counts["source"] == of_source]
        chosen = chosen if of_label is None else chosen[chosen["label"] == of_label]
        total = int(chosen["n"].sum())
        pages = max(1, -(-total // PER_PAGE))
        page = st.pagination(pages, key="sample", bind="query-params")
        table = rows.examples(context, set_id, page - 1, size=PER_PAGE, source=of_source, label=of_label)
        items = [
            Shown(
                str(row.text),
                title="toxic" if row.label == 1 else "not toxic",
                meta=" · ".join(
                    str(part) for part in (row.source, row.group, row.split) if not pd.isna(part)
                ),
                blurred=row.label == 1,
            )
            for row in records(table)
        ]
        show_texts(items, key="samples", columns=3)
        st.caption(
            f"n = {total:,} statements. Statements of the same words in another order stay in one split."
        )
        card.rows_below(counts, key="counts", label="Counts by label, split and source")


def scores(context: Context) -> None:
    """Histogram of scores, and how far scorers agree."""
    scorer_rows = rows.scorers(context)
    sets = rows.prompt_sets(context)
    if scorer_rows.empty or sets.empty:
        return
    with st.container(border=True):
        st.markdown("**Scores of unsteered texts**")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            prompts = controls.prompt_set([str(name) for name in sets["name"]])
            toxicity = [str(name) for name in scorer_rows[scorer_rows["measures"] == "toxicity"]["name"]]
            scorer = controls.scorer(toxicity)
        if prompts is None or scorer is None:
            return
        base = rows.unsteered_conditions(context)
        set_id = int(sets[sets["name"] == prompts]["id"].iloc[0])
        table = rows.score_histogram(context, set_id, scorer=scorer, bins=BINS)
        if table.empty:
            st.caption("No scores yet under this scorer.")
        else:
            card.chart(
                drawn(histogram, table, f"Score of {scorer} (0 to 1)"),
                key="histogram",
                title="Distribution of scores",
                alt=f"Distribution of {scorer} scores per arm",
                how="Above 0.5 counts as toxic. A scorer with two heaps decides; one with a hump hesitates.",
                note="First seed of every arm.",
                rows=table,
            )
        agreement(context, base, set_id)


def agreement(context: Context, base: pd.DataFrame, set_id: int) -> None:
    """Agreement of every pair of scorers on the arm with most toxic text."""
    if base.empty:
        return
    last = base[base["kind"] == "toxic"].sort_values("share")
    row = last.iloc[-1] if len(last) else base.iloc[-1]
    table = rows.scorer_agreement(context, int(row["condition_id"]), set_id)
    if table.empty:
        st.markdown("**Do scorers agree?**")
        st.caption("Agreement needs two toxicity scorers on the same texts; this study has one.")
        return
    names = {
        "first": "First scorer",
        "second": "Second scorer",
        "n": "n",
        "pearson": "Pearson",
        "spearman": "Spearman",
        "kappa": "Kappa",
        "same": "Same side of 0.5",
    }
    card.table(
        table[list(names)].rename(columns=names),
        key="agreement",
        title="Do scorers agree?",
        out=table,
        column_config={
            name: st.column_config.NumberColumn(format="%.2f")
            for name in ("Pearson", "Spearman", "Kappa", "Same side of 0.5")
        },
        alt="Agreement of toxicity scorers",
        note=(
            f"On unsteered texts of {row['checkpoint']}. Kappa: agreement beyond chance on being above "
            "0.5, 1 is perfect."
        ),
    )


def scorer_table(context: Context) -> None:
    """Scorers with revisions."""
    scorer_rows = rows.scorers(context)
    if len(scorer_rows):
        with st.container(border=True):
            card.table(
                scorer_rows[["name", "revision", "measures"]].rename(
                    columns={"name": "Scorer", "revision": "Revision", "measures": "Measures"}
                ),
                key="scorers_table",
                title="Scorers",
                alt="Scorers with their revisions",
                note="A score is repeatable only with its scorer's revision; every stored score carries one.",
                out=scorer_rows.drop(columns="id"),
            )


context = current()
st.subheader("What went in?")
mixes(context)
samples(context)
scores(context)
scorer_table(context)
