"""The first screen: what each attack undoes, arm by arm, in one sentence and one chart."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from hormesis.dashboard.base import refresh
from hormesis.dashboard.base.attack_rows import UNDONE_GUIDE, undone_headline
from hormesis.dashboard.base.theme import is_dark
from hormesis.dashboard.charts.frame import Level
from hormesis.dashboard.charts.hardness import by_condition
from hormesis.dashboard.parts import card
from hormesis.dashboard.parts.answer import answer
from hormesis.dashboard.rows import robustness as hardness


def show(undone: pd.DataFrame) -> None:
    """The answer and its chart; `undone`: change of toxicity (points) by arm, condition and attack (`title`).

    Without any row only the answer, which says so.
    """
    place = st.container()
    if undone.empty:
        with place:
            answer(undone_headline(undone))
        return
    conditions = hardness.conditions_of(undone)
    strongest = hardness.strongest(undone)
    with st.container(border=True):
        above = card.header("undone")
        with above.options():
            condition = str(
                st.selectbox(
                    "Condition", conditions, index=conditions.index(strongest), key="undone_condition",
                    bind="query-params",
                )
            )  # fmt: skip
        rows = undone[undone["label"] == condition]
        card.chart(
            by_condition(
                rows,
                [title for title in hardness.TITLES if title in set(rows["title"])],
                "Change of toxicity (points)",
                dark=is_dark(),
                x_column="title",
                level=Level(0.0, ""),
            ),
            key="undone",
            title=f"What each attack undoes: {condition}",
            alt=f"Change of toxicity by each attack under {condition}, one marker per arm with its interval",
            guide=UNDONE_GUIDE,
            note=f"Read it with what steering took away, on the overview. {hardness.size(rows)}",
            rows=rows,
            above=above,
        )
    with place:
        answer(undone_headline(rows))
    refresh.answer_first()
