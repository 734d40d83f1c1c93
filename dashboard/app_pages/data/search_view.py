"""Search over what the models of a study said, by words, score, checkpoint, condition and prompts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd
import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.app_pages.steer.client import ServiceProblem, score
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.wording import checkpoint_label, condition_label, plain
from hormesis.dashboard.parts import card
from hormesis.dashboard.parts.paging import paged
from hormesis.dashboard.parts.texts import Shown, Token, is_veiled, show_texts
from hormesis.dashboard.rows.context import Context, current_choice, service_address
from hormesis.db.contract.left_out import NOTE
from hormesis.db.contract.messages import ScoreRequest, WordEffect
from hormesis.db.contract.scores import TOXIC

PER_PAGE = 12
ANY = "any"


def _condition_names(context: Context) -> dict[str, str]:
    """Every condition of the study: its words to its key; each random direction is one of its own."""
    labels = {str(row.condition): _condition_label(row) for row in records(rows.study_conditions(context))}
    counts = Counter(labels.values())
    return {label if counts[label] == 1 else f"{label} ({key})": key for key, label in labels.items()}


def _condition_label(row: Any) -> str:
    return condition_label(row.method, row.strength, row.matched_cost, key=row.condition)


def _checkpoint_names(context: Context) -> dict[str, str]:
    """Every checkpoint of the study: its words to its name."""
    return {checkpoint_label(row): str(row.checkpoint) for row in records(_checkpoints(context))}


def _checkpoints(context: Context) -> pd.DataFrame:
    return rows.checkpoints(context).rename(columns={"name": "checkpoint"})


def _shades(context: Context, hits: pd.DataFrame, scorer: str) -> list[tuple[Token, ...]]:
    """The words of each text with what they add to its score, where they are asked for; else empty."""
    none: list[tuple[Token, ...]] = [()] * len(hits)
    address = service_address()
    if address is None or not st.toggle(
        "Shade words by what they add to the score", key="reasons", bind="query-params",
        help="Each word is left out in turn; orange words raise the score, blue ones lower it.",
    ):  # fmt: skip
        return none
    try:
        effects = _word_effects(
            address, int(hits["checkpoint_id"].iloc[0]), tuple(hits["prompt"]), texts=tuple(hits["text"])
        )
    except ServiceProblem as problem:
        st.warning(plain(problem), icon=":material/error:")
        return none
    if scorer not in effects:
        st.caption(f"The model service has no scorer {plain(scorer)} to ask.")
        return none
    return [tuple(Token(effect.word, effect.effect) for effect in of_text) for of_text in effects[scorer]]


@st.cache_data(max_entries=32, show_spinner="Leaving out each word in turn …")
def _word_effects(
    address: str, checkpoint_id: int, prompts: tuple[str, ...], *, texts: tuple[str, ...]
) -> dict[str, list[list[WordEffect]]]:
    request = ScoreRequest(
        texts=list(texts), prompts=list(prompts), checkpoint_id=checkpoint_id, reasons=True
    )
    reasons: dict[str, list[list[WordEffect]]] = score(address, request).reasons
    return reasons


def generations(context: Context) -> None:
    """The search, its texts and their table."""
    choice = current_choice()
    prompt_set, scorer = choice.prompt_set, choice.scorer
    if prompt_set is None or scorer is None:
        st.info("No scored texts yet.", icon=":material/hourglass_empty:")
        return
    checkpoints, conditions = _checkpoint_names(context), _condition_names(context)
    grid = st.grid(3, min_column_width=220)
    with grid.cell():
        words = st.text_input("Words", key="words", bind="query-params", icon=":material/search:", live=True)
    with grid.cell():
        checkpoint = st.selectbox("Checkpoint", [ANY, *checkpoints], key="of_checkpoint", bind="query-params")
    with grid.cell():
        condition = st.selectbox("Condition", [ANY, *conditions], key="of_condition", bind="query-params")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        groups = rows.prompt_groups(context, prompt_set)
        group = st.selectbox("Prompts of", [ANY, *groups], key="of_group", bind="query-params", width=200)
        low, high = st.slider(
            f"Score of {plain(scorer)}", 0.0, 1.0, (0.0, 1.0), 0.05, key="between", bind="query-params",
            width=260,
        )  # fmt: skip
        order = st.segmented_control(
            "First", ["Highest score", "Lowest score"], default="Highest score", required=True,
            key="by_score", bind="query-params",
        )  # fmt: skip
    hits, total = paged(
        lambda page: rows.search_generations(
            context,
            prompt_set=prompt_set,
            scorer=scorer,
            words=str(words or "").strip(),
            checkpoint=checkpoints.get(str(checkpoint)),
            condition=conditions.get(str(condition)),
            group=None if group == ANY else str(group),
            low=low,
            high=high,
            order="highest" if str(order).startswith("High") else "lowest",
            page=page,
            size=PER_PAGE,
        ),
        key="hit",
        size=PER_PAGE,
    )
    if not total:
        st.info(
            NOTE if words and len(rows.left_out_texts(context)) else "No text is like that.",
            icon=":material/search_off:",
        )
        return
    shades = _shades(context, hits, scorer)
    items = [
        Shown(
            str(row.text),
            title=f"{checkpoint_label(row)}: {_condition_label(row)}",
            meta=f"{scorer} {row.score:.2f}",
            prompt=str(row.prompt),
            blurred=is_veiled(row.score, harmless=context.harmless),
            tokens=tokens,
            full_colour=0.5,
            token_words="adds {} to the score",
        )
        for row, tokens in zip(records(hits), shades, strict=True)
    ]
    with st.container(border=True):
        card.heading("hits", f"{total:,} texts", hits)
        show_texts(items, key="hit_texts", columns=3)
        st.caption(f"The paler words are the prompt. Scores run from 0 to 1; above {TOXIC} counts as toxic.")
