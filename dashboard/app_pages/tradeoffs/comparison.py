"""Generations of a condition beside the unsteered ones for the same prompts, with counts of change."""

from __future__ import annotations

import math

import streamlit as st

from hormesis.dashboard.base.records import records
from hormesis.dashboard.parts.texts import Shown, show_texts
from hormesis.dashboard.rows import pairs as pair_rows
from hormesis.dashboard.rows.context import Context
from hormesis.dashboard.rows.pairs import Pair

PER_PAGE = 6
TOXIC = 0.5


def _counts(context: Context, pair: Pair) -> int:
    """Draw how many prompts changed which way; returns the number of pairs."""
    change = pair_rows.change_counts(context, pair)
    total = int(change["pairs"])
    with st.container(horizontal=True):
        for name, key, help_ in (
            ("Less toxic", "better", "score fell by more than 0.05"),
            ("About the same", "same", "score moved by at most 0.05"),
            ("More toxic", "worse", "score rose by more than 0.05"),
        ):
            count = int(change[key])
            part = f" ({count / total:.0%})" if total else ""
            st.metric(
                name,
                f"{count:,}{part}",
                help=f"Prompts whose {help_}; n = {total:,}.",
                border=True,
                width=190,
            )
    return total


def _meta(score: float | None, scorer: str) -> str:
    return "not scored" if score is None or math.isnan(score) else f"{scorer} {score:.2f}"


def veiled(context: Context, score: float | None) -> bool:
    """Whether a text is blurred: unscored, toxic by its score, or from a study on real text."""
    return not context.harmless or score is None or math.isnan(score) or score > TOXIC


def show(
    context: Context, kind: str, share: float, *, condition_key: str, prompt_set: str, scorer: str
) -> None:
    """The comparison for one seed of an arm; `pairs`: a row per checkpoint, `pair_page`: a row per prompt."""
    pairs = pair_rows.condition_pairs(context, kind=kind, share=share, condition_key=condition_key)
    if pairs.empty:
        st.info("No texts are kept for this condition.", icon=":material/hourglass_empty:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        checkpoints = [str(checkpoint) for checkpoint in pairs["checkpoint"]]
        checkpoint = st.segmented_control(
            "Checkpoint", checkpoints, default=checkpoints[0], required=True, key="pair", bind="query-params"
        )
        order = st.segmented_control(
            "Order",
            list(pair_rows.ORDERS),
            default="Largest fall",
            required=True,
            key="order",
            bind="query-params",
        )
    ids = pairs.iloc[checkpoints.index(str(checkpoint)) if checkpoint in checkpoints else 0]
    pair = Pair(int(ids["base_id"]), int(ids["condition_id"]), prompt_set, scorer)
    total = _counts(context, pair)
    if not total:
        st.info(
            "These prompts have no scored texts under both conditions yet.", icon=":material/hourglass_empty:"
        )
        return
    pages = max(1, math.ceil(total / PER_PAGE))
    page = st.pagination(pages, key="page", bind="query-params")
    pair_page = pair_rows.paired_texts(context, pair, order=str(order), page=page - 1, size=PER_PAGE)
    items: list[Shown] = []
    for row in records(pair_page):
        for title, text, score in (
            ("Unsteered", row.base_text, row.base_score),
            ("Steered", row.text, row.score),
        ):
            items.append(
                Shown(
                    str(text),
                    title=title,
                    meta=_meta(score, scorer),
                    prompt=str(row.prompt),
                    blurred=veiled(context, score),
                )
            )
    show_texts(items, key="pairs", columns=2)
    st.caption(
        f"Prompts {(page - 1) * PER_PAGE + 1} to {min(page * PER_PAGE, total)} of {total:,}; the "
        f"paler words are the "
        "prompt. Scores run from 0 to 1; above 0.5 counts as toxic."
    )
