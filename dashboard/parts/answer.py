"""What the main area of a page begins with: its question, the answer, how it was reached, its figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import streamlit as st

from hormesis.dashboard.base.headlines import Figure, Headline
from hormesis.dashboard.base.verdicts import CANNOT_TELL, NO_DATA, REFUTED, SUPPORTED, UNDECIDED

MARKS: Final = {
    SUPPORTED: (":material/check_circle:", "green"),
    REFUTED: (":material/cancel:", "red"),
    UNDECIDED: (":material/help:", "orange"),
    CANNOT_TELL: (":material/visibility_off:", "violet"),
    NO_DATA: (":material/hourglass_empty:", "gray"),
}
"""Icon and colour of a verdict."""


def answer(headline: Headline, *, beside: Callable[[], None] | None = None) -> None:
    """The question, small, and its answer; `beside` draws what stands at the right of the question."""
    icon, _, words = "", "", headline.answer
    if headline.status:
        icon, colour = MARKS[headline.status]
        verdict, colon, rest = headline.answer.partition(":")
        words = f"{icon} :{colour}[{verdict}{colon}]{rest}" if colon else f"{icon} {headline.answer}"
    with st.container(gap="small", key="answer"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(headline.question, anchor=False, width="stretch")
            if beside is not None:
                beside()
        st.markdown(f"#### {words}")
        if headline.detail:
            st.caption(headline.detail)


def figures(entries: Sequence[Figure]) -> None:
    """Numbers side by side, each with its interval; what it is an estimate of is behind the question mark."""
    if not entries:
        return
    with st.container(horizontal=True, gap="small", key="figures"):
        for entry in entries:
            icon, colour = MARKS.get(entry.status, ("", ""))
            st.metric(
                f":{colour}[{icon}] {entry.title}" if icon else entry.title,
                entry.value,
                delta=entry.interval,
                delta_color="off",
                delta_arrow="off",
                help=entry.help,
                border=True,
            )
