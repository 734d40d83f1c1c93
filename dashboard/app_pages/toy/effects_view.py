"""The stored DiDs on the page: the answers in words, a forest plot, and the effect against accuracy."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from hormesis.dashboard.app_pages.toy import words
from hormesis.dashboard.base.theme import is_dark
from hormesis.dashboard.charts import toy as charts
from hormesis.dashboard.parts import card
from hormesis.dashboard.rows import toy

MOST_LINES = 60


def answers(effects: pd.DataFrame, experiments: pd.DataFrame, probe: str, *, cosine: str) -> None:
    """The answers, one line per question, under the probe and cosine on show; `effects`: stored DiDs."""
    with st.container(border=True):
        st.markdown("**Answers**")
        for line in words.lines(effects, experiments, probe, cosine=cosine):
            details = "; ".join(line.details)
            st.markdown(f"- {line.question}: **{line.answer}**" + (f". {details}." if details else "."))
        st.caption(
            f"{words.tried(effects)} Directions: {toy.PROBES[probe].lower()}; the last two lines are always "
            "of the probe they name. What moves there, the probe made: while it has not converged, its "
            "threshold cannot deny a rare feature, so its weights do, those of all rare features alike. Of "
            "each setting the configuration with most runs. An effect is said to be there where its whole "
            "95 % interval (Student's t over seeds) lies on one side of zero; no correction for the number "
            "of intervals."
        )


def forest(effects: pd.DataFrame, experiments: pd.DataFrame, cosine: str) -> None:
    """DiD (rows of `effects`) of every configuration and probe, trained and frozen; `lines`: those drawn."""
    chosen = toy.forest_rows(effects, experiments, cosine)
    if chosen.empty:
        return
    lines = chosen[chosen["label"].isin(list(dict.fromkeys(chosen["label"]))[:MOST_LINES])]
    cut = f" The first {MOST_LINES} lines are drawn." if len(lines) < len(chosen) else ""
    with st.container(border=True):
        card.chart(
            charts.forest(lines, f"DiD of entanglement ({cosine} cosine)", dark=is_dark()),
            key="toy_forest",
            title="Rare-specific effect in every setting and under every probe",
            alt="DiD with interval for each setting and probe, trained and frozen networks",
            guide=(
                "DiD: how much more the rare chain's entanglement rises from r = 1 to r of .01 or less "
                "than the controls' does. Right of the dotted line: more entangled when rare. Orange and "
                "blue intervals leave zero out. An open diamond away from zero is an effect of the probe "
                "alone."
            ),
            note=f"n = {chosen['experiment_id'].nunique()} configurations.{cut}",
            rows=chosen.drop(columns=["config", "hover"]),
        )


def by_accuracy(
    effects: pd.DataFrame, experiment_id: int, measures: pd.DataFrame, *, probe: str, cosine: str
) -> None:
    """Each run's effect against how well the rare chain was learned, and the DiDs of both sides.

    `measures`: a row per run and network under `probe`; `cosine`: `absolute` or `signed`.
    """
    runs = toy.run_effects(measures[measures["network"] == "trained"], cosine)
    if runs.empty:
        return
    of_probe = words.pick(effects, experiment_id=experiment_id, probe=probe, cosine=cosine, network="trained")
    estimate_by_split = {str(row["split"]): words.estimate(row) for _, row in of_probe.iterrows()}
    parts = [
        f"below .99: {estimate_by_split.get('under-learned', 'no such run')}",
        f"from .99: {estimate_by_split.get('learned', 'no such run')}",
    ]
    with st.container(border=True):
        card.chart(
            charts.learned(runs, dark=is_dark()),
            key="toy_learned",
            title="Effect against how well the rare chain was learned",
            alt="Effect of each run against its accuracy on the rare chain, coloured by share",
            guide="One point per run below r = 1. Right of the dashed line the rare chain is learned.",
            note=f"DiD at shares up to .01, {'; '.join(parts)}. n = {len(runs)} runs.",
            rows=runs,
        )
