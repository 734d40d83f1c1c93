"""Toxicity among other features on the geometry page: by arm, and feature by feature in one checkpoint."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from hormesis.dashboard.base.selection import cosine_rows
from hormesis.dashboard.base.theme import is_dark
from hormesis.dashboard.base.verdicts import p_equals
from hormesis.dashboard.base.wording import Head, arm_label, head_name, minus, plain
from hormesis.dashboard.charts.entangled import chosen_row, cosine_map, entanglement_by_arm
from hormesis.dashboard.charts.figure_cache import drawn
from hormesis.dashboard.parts import card, controls
from hormesis.dashboard.rows import geometry
from hormesis.dashboard.rows.context import Context

MOST_HEADS = 60
BY_ARM, BY_FEATURE = "By arm", "By feature"


def show(context: Context, checkpoint: str, chosen: Head | None) -> None:
    """One of two views: the steered heads over arms, or feature by feature in one checkpoint."""
    if geometry.entanglement(context)["value"].notna().sum() == 0:
        st.info(
            "Entanglement appears when the geometry of a checkpoint has been measured.",
            icon=":material/hourglass_empty:",
        )
        return
    view = st.segmented_control(
        "Entanglement", [BY_ARM, BY_FEATURE], default=BY_ARM, required=True, key="tangle",
        bind="query-params", label_visibility="collapsed",
    )  # fmt: skip
    if view == BY_FEATURE:
        one_checkpoint(context, checkpoint, chosen, dark=is_dark())
    else:
        by_arm(context)


def _contrast(means: pd.DataFrame) -> str:
    """The largest share against none, in one sentence; `means`: a row per arm, differences to 0 % beside."""
    toxic = means[(means["kind"] == "toxic") & means["difference"].notna()].sort_values("share")
    if toxic.empty:
        return ""
    row = toxic.iloc[-1]
    verdict = (
        "no difference can be told" if row["difference_low"] <= 0 <= row["difference_high"] else "differs"
    )
    difference = f"{row['difference']:+.2f} [{row['difference_low']:+.2f}, {row['difference_high']:+.2f}]"
    return (
        f"{arm_label('toxic', row['share'])} against 0 %: {minus(difference)}, {p_equals(row['p'])}, "
        f"{int(row['n_seeds'])} seeds: {verdict}. "
    )


def by_arm(context: Context) -> None:
    """Entanglement of the steered heads over arms: a row per head and checkpoint, `means` a row per arm."""
    entanglement = geometry.entanglement(context)
    entanglement = entanglement[entanglement["rank"].notna()]
    means = geometry.head_summaries(context)
    means = means[means["name"] == "entanglement"]
    n_values = int(entanglement["value"].notna().sum())
    with st.container(border=True):
        card.chart(
            drawn(entanglement_by_arm, entanglement, means, dark=is_dark()),
            key="entangled",
            title="Is toxicity entangled with other features?",
            alt="Entanglement of the steered heads by arm, with permuted labels and random directions",
            guide=(
                f"{_contrast(means)}Each point is one steered head: the largest |cosine| of its toxicity "
                f"direction with another feature, whitened and freed of noise. Diamonds: the arm's mean with "
                f"its interval. Dotted: permuted labels stay below it in 95 %. Dashed: median of as many "
                f"random directions. Above the dotted line the angle is real; above the dashed one, more "
                f"than chance would give features in so few dimensions."
            ),
            note=(
                f"n = {n_values:,} of {len(entanglement):,} heads "
                f"({int(entanglement['n'].max()):,} statements each)"
                + ("." if n_values == len(entanglement) else "; the others are too noisy for an angle.")
            ),
            rows=entanglement.drop(columns=["id", "checkpoint_id", "probe_set_id"]),
            on_select=lambda: controls.clicked("entangled"),
        )


def one_checkpoint(context: Context, checkpoint: str, chosen: Head | None, *, dark: bool) -> None:
    """The cosine map of a checkpoint's measured heads; `cosines`: a row per head and feature."""
    entanglement = geometry.entanglement(context)
    of_checkpoint = entanglement[entanglement["checkpoint"] == checkpoint]
    if of_checkpoint.empty:
        st.info(f"No head of {plain(checkpoint)} was measured.", icon=":material/info:")
        return
    cosines = geometry.feature_cosines(context, int(of_checkpoint["checkpoint_id"].iloc[0]))
    cosines = cosine_rows(cosines, of_checkpoint, MOST_HEADS)
    n_cosines = int(cosines["cosine"].notna().sum())
    with st.container(border=True):
        card.chart(
            drawn(cosine_map, cosines, chosen=None, dark=dark).plus(shapes=chosen_row(cosines, chosen)),
            key="cosines",
            title=f"Toxicity and the other features, {checkpoint}",
            alt=f"Cosine of toxicity with each other feature in every kept head of {checkpoint}",
            guide=(
                "Orange: a statement with the feature moves the head as toxicity does; blue: against it. "
                "Dots: p < 0.05 against permuted labels, each square by itself. Empty: too noisy to tell. "
                "Steered heads first, best on top; below them heads kept at random. Click a square to choose "
                "its head."
            ),
            note=f"{n_cosines:,} of {len(cosines):,} cosines; hover for intervals and n."
            f"{_left_out(of_checkpoint)}",
            rows=cosines.drop(columns=["id", "checkpoint_id", "probe_set_id", "place"]),
            on_select=lambda: controls.clicked("cosines"),
        )


def _left_out(heads: pd.DataFrame) -> str:
    return f" The first {MOST_HEADS} of {len(heads):,} heads." if len(heads) > MOST_HEADS else ""


def of_head_row(context: Context, checkpoint: str, chosen: Head) -> pd.Series | None:
    """The chosen head's row of `entanglement`; None where it was not measured."""
    entanglement = geometry.entanglement(context)
    measured = entanglement[
        (entanglement["checkpoint"] == checkpoint)
        & (entanglement["layer"] == chosen.layer)
        & (entanglement["head"] == chosen.head)
    ]
    return None if measured.empty else measured.iloc[0]


def of_head(context: Context, checkpoint: str, chosen: Head) -> str:
    """One sentence on the chosen head's entanglement; empty where it was not measured."""
    row = of_head_row(context, checkpoint, chosen)
    if row is None:
        return ""
    if pd.isna(row["value"]):
        return f"Entanglement of {head_name(*chosen)}: too noisy in {checkpoint} to be told."
    bound = "" if pd.isna(row["welch"]) else f", Welch's bound {row['welch']:.2f}"
    return (
        f"Entanglement of {head_name(*chosen)} in {checkpoint}: {row['value']:.2f} [{row['low']:.2f}, "
        f"{row['high']:.2f}] with {row['feature']}; permuted labels stay below {row['null_high']:.2f} in "
        f"95 % ({p_equals(row['p'])}), {int(row['used'])} random directions reach "
        f"{row['random_median']:.2f}{bound}. {int(row['used'])} of {int(row['tried'])} features are read "
        f"clearly enough, n = {int(row['n']):,}."
    )
