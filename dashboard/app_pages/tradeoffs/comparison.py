"""Which prompts changed between two conditions: counts, and both texts of each, sorted by the change."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.selection import Choice
from hormesis.dashboard.base.wording import checkpoint_label, missing, plain, points
from hormesis.dashboard.charts.tradeoff import condition_id
from hormesis.dashboard.parts.steer_link import steer_link
from hormesis.dashboard.parts.texts import Shown, is_veiled, show_texts
from hormesis.dashboard.rows import pairs as pair_rows
from hormesis.dashboard.rows.context import Context
from hormesis.dashboard.rows.pairs import CHANGES, ORDERS, Pair
from hormesis.db.contract.methods import ITI
from hormesis.db.contract.scores import TOXIC

PER_PAGE = 6
SAME_ARM = "Unsteered, same arm"


@dataclass(frozen=True)
class Compared:
    """Two stored conditions, the checkpoint of the second in words, and what the first is called."""

    before_id: int
    after_id: int
    checkpoint: str
    before: str


def _meta(score: float | None, scorer: str) -> str:
    return "not scored" if score is None or math.isnan(score) else f"{scorer} {points(score)} points"


def _first_page() -> None:
    """Other texts were asked for: they are shown from the first."""
    st.session_state["page"] = 1


def _checkpoints(context: Context, row: pd.Series) -> pd.DataFrame:
    """A row per checkpoint of a condition's arm: checkpoint, base_id, condition_id, seed, label."""
    pairs = pair_rows.condition_pairs(
        context,
        kind=str(row["kind"]),
        share=float(row["share"]),
        condition_key=str(row["condition_key"]),
    )
    details = rows.checkpoints(context).rename(columns={"name": "checkpoint"})
    labels = {str(arm.checkpoint): checkpoint_label(arm) for arm in records(details)}
    seeds = dict(zip(details["checkpoint"], details["seed"], strict=True))
    return pairs.assign(seed=pairs["checkpoint"].map(seeds), label=pairs["checkpoint"].map(labels))


def pick(context: Context, conditions: pd.DataFrame) -> Compared | None:
    """The controls, and the two conditions they choose; `conditions`: a row per arm and condition on show."""
    ids = [condition_id(row) for row in records(conditions)]
    steered = [name for name, method in zip(ids, conditions["method"], strict=True) if method != "none"]
    grid = st.grid(2, min_column_width=320)
    with grid.cell():
        chosen = st.selectbox(
            "Condition (or click a point above)", steered, key="condition", bind="query-params",
            on_change=_first_page,
        )  # fmt: skip
    with grid.cell():
        others = [SAME_ARM, *(name for name in ids if name != chosen)]
        before = st.selectbox(
            "Compared with", others, key="against", bind="query-params", on_change=_first_page
        )
    row = conditions.iloc[ids.index(chosen)]
    after = _checkpoints(context, row)
    if after.empty:
        st.info("No texts are kept for this condition.", icon=":material/hourglass_empty:")
        return None
    with st.container(horizontal=True, vertical_alignment="center"):
        names = [str(name) for name in after["checkpoint"]]
        name = st.segmented_control(
            "Checkpoint", names, default=names[0], required=True, key="pair", bind="query-params",
            label_visibility="collapsed", on_change=_first_page, format_func=plain,
        )  # fmt: skip
        checkpoint = after.iloc[names.index(str(name)) if name in names else 0]
        if row["method"] == ITI:
            cost = None if missing(row["matched_cost"]) else float(row["matched_cost"])
            steer_link(
                context,
                str(checkpoint["checkpoint"]),
                str(checkpoint["label"]),
                ITI,
                cost=cost,
                strength=float(row["strength"]),
            )
    before_id = int(checkpoint["base_id"])
    if before != SAME_ARM:
        base = _checkpoints(context, conditions.iloc[ids.index(before)])
        if base.empty:
            st.info("No texts are kept for the condition compared with.", icon=":material/hourglass_empty:")
            return None
        same_seed = base[base["seed"] == checkpoint["seed"]]
        before_id = int((same_seed if len(same_seed) else base).iloc[0]["condition_id"])
    return Compared(
        before_id,
        int(checkpoint["condition_id"]),
        str(checkpoint["checkpoint"]),
        "Unsteered" if before == SAME_ARM else str(before),
    )


def _changes(context: Context, pair: Pair) -> tuple[str, int]:
    """Draw how many prompts changed which way, to choose from; the choice and its number of prompts."""
    change = pair_rows.change_counts(context, pair)
    total = int(change["pairs"])
    counts = {words: total if key is None else int(change[key]) for words, key in CHANGES.items()}
    chosen = st.segmented_control(
        "Prompts",
        list(CHANGES),
        default="All",
        required=True,
        key="change",
        bind="query-params",
        on_change=_first_page,
        format_func=lambda words: (
            f"{words} {counts[words]:,}" + (f" ({counts[words] / total:.0%})" if total else "")
        ),
        help=(
            f"By how the score moved: more than {points(pair_rows.SAME)} points count as a change. Still "
            f"toxic: both texts above {points(TOXIC)} points. n = {total:,} prompts."
        ),
    )
    return str(chosen), counts[str(chosen)]


def show(context: Context, conditions: pd.DataFrame, choice: Choice) -> None:
    """Both texts of every prompt of two conditions to choose; `conditions`: a row per arm and condition."""
    if choice.prompt_set is None or choice.scorer is None or (conditions["method"] == "none").all():
        return
    compared = pick(context, conditions)
    if compared is None:
        return
    pair = Pair(compared.before_id, compared.after_id, choice.prompt_set, choice.scorer)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        change, total = _changes(context, pair)
        order = st.segmented_control(
            "Order",
            list(ORDERS),
            default="Largest fall",
            required=True,
            key="order",
            bind="query-params",
            on_change=_first_page,
            help="Highest score: by the more toxic of the two texts.",
        )
    if not total:
        no_texts = "These prompts have no scored texts under both conditions yet."
        st.info(no_texts if change == "All" else "There are none.", icon=":material/hourglass_empty:")
        return
    page = st.pagination(max(1, math.ceil(total / PER_PAGE)), key="page", bind="query-params")
    pair_page = pair_rows.paired_texts(
        context, pair, order=str(order), page=page - 1, size=PER_PAGE, change=change
    )
    items = [
        Shown(
            str(text),
            title=title,
            meta=_meta(score, pair.scorer),
            prompt=str(row.prompt),
            blurred=is_veiled(score, harmless=context.harmless),
        )
        for row in records(pair_page)
        for title, text, score in (
            (compared.before, row.base_text, row.base_score),
            ("Steered", row.text, row.score),
        )
    ]
    show_texts(items, key="pairs", columns=2)
    prompt_words = "" if len(rows.left_out_texts(context)) else "; the paler words are the prompt"
    st.caption(
        f"{plain(compared.checkpoint)}, prompts {(page - 1) * PER_PAGE + 1} to "
        f"{min(page * PER_PAGE, total)} of {total:,}{prompt_words}. "
        f"Points are 100 × the score; above {points(TOXIC)} "
        "counts as toxic."
    )
