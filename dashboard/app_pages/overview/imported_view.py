"""The overview of imported checkpoints, which have no dose: what steering does to them, and its cost."""

from __future__ import annotations

import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.base import selection
from hormesis.dashboard.base.geometry_words import checkpoint_line
from hormesis.dashboard.base.theme import is_dark
from hormesis.dashboard.base.wording import plain
from hormesis.dashboard.charts.figure_cache import drawn
from hormesis.dashboard.charts.tradeoff import fewer_prompts, tradeoff
from hormesis.dashboard.parts import card, states
from hormesis.dashboard.parts.answer import answer
from hormesis.dashboard.report.button import report_button
from hormesis.dashboard.rows import geometry
from hormesis.dashboard.rows.answers import study_headline
from hormesis.dashboard.rows.context import Context, current_choice


def steering(context: Context) -> None:
    """Toxicity against cost of every imported checkpoint, and the answer for the first of them."""
    choice = current_choice()
    conditions = rows.summaries_with_cost(
        context, name="toxicity", prompt_set=choice.prompt_set, scorer=choice.scorer
    )
    answer(study_headline(context, "overview", choice), beside=lambda: report_button(context))
    states.degraded_note(context)
    states.empty_note(context, current_choice().prompt_set)
    conditions = selection.in_view(conditions, choice.view)
    with st.container(border=True):
        card.chart(
            drawn(tradeoff, conditions, "Toxicity (points)", dark=is_dark(), chosen=None, height=420),
            key="imported_tradeoff",
            title="Toxicity against cost",
            alt="Toxicity against added cross-entropy by imported checkpoint and method",
            guide="Down and left is better. Each curve starts at its unsteered checkpoint (open circle).",
            note=" ".join(filter(None, ("Bars: 95 % intervals, both ways.", fewer_prompts(conditions)))),
            rows=conditions,
        )
    gains = geometry.gains(context)
    for checkpoint in gains["checkpoint"].unique():
        line = checkpoint_line(gains[gains["checkpoint"] == checkpoint])
        st.caption(f":material/balance: {plain(line)}")
