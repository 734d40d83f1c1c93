"""Do scorers treat groups alike? The part of harmless statements that is flagged, by group."""

from __future__ import annotations

import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.base.theme import is_dark
from hormesis.dashboard.base.wording import plain
from hormesis.dashboard.charts import scorer_groups
from hormesis.dashboard.charts.figure_cache import drawn
from hormesis.dashboard.parts import card
from hormesis.dashboard.rows.context import Context


def groups(context: Context) -> None:
    """The chart of ratios with their null, and the table; a sentence where no probe set names groups."""
    of_study = rows.scorer_groups(context)
    with st.container(border=True):
        if of_study.empty:
            st.markdown(f"**{scorer_groups.TITLE}**")
            st.caption(
                "Measured when a study ends, where its probe set names two groups or more with ten "
                "statements each that are not toxic."
            )
            return
        ratios = of_study[of_study["ratio"].notna()]
        if len(ratios):
            card.chart(
                drawn(scorer_groups.group_ratios, ratios, dark=is_dark()),
                key="scorer_groups",
                title=scorer_groups.TITLE,
                alt="How often scorers flag a group's statements, over the others, beside permuted groups",
                guide=scorer_groups.GUIDE,
                note=scorer_groups.NOTE,
                rows=of_study,
            )
        card.table(
            scorer_groups.group_table(of_study),
            key="scorer_group_table",
            title="Scorers by group",
            alt="False-positive rate and mean score by scorer and group",
            note=plain(" ".join(scorer_groups.group_sentences(of_study))),
            out=of_study,
        )
