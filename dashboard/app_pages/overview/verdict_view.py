"""The table of claims with their verdicts, and how one of them was tested."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd
import streamlit as st

from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.verdicts import (
    NO_DATA,
    measured,
    p_said,
    verdict_table,
)
from hormesis.dashboard.base.wording import missing
from hormesis.dashboard.parts import card
from hormesis.dashboard.parts.answer import MARKS
from hormesis.db.paper import source

PAPER, READERS, EVERY = "The paper's", "Readers' questions", "All"
_FAMILIES: Final = {PAPER: ["paper"], READERS: ["readers"], EVERY: ["paper", "readers"]}


def _badge(status: str) -> str:
    icon, colour = MARKS[status]
    return f":{colour}-badge[{icon} {status}]"


def claims(verdicts: pd.DataFrame, running: bool) -> None:
    """The table of claims, those without rows named below it, and the declared test of one."""
    with st.container(border=True):
        if verdicts.empty:
            st.markdown("**Claims and verdicts**")
            after = "once all arms are scored" if running else "by `hormesis verdicts`"
            st.info(f"No verdicts are stored yet; they are made {after}.", icon=":material/hourglass_empty:")
            return
        family = st.segmented_control(
            "Claims", list(_FAMILIES), default=PAPER, required=True, key="claims", bind="query-params"
        )
        of_family = verdicts[verdicts["family"].isin(_FAMILIES[str(family or PAPER)])]
        decided = of_family[of_family["status"] != NO_DATA]
        card.heading("verdicts", "Claims and verdicts", of_family)
        if len(decided):
            table = verdict_table(decided)
            badges = table.assign(Verdict=table["Verdict"].map(_badge))
            # Of one scorer, say, nothing differs by scorer: such a column takes room from the others.
            filled = badges.loc[:, (badges != "–").any()]
            st.table(filled.set_index("Verdict"), border="horizontal")
        _waiting(of_family[of_family["status"] == NO_DATA], running)
        st.caption(
            "Seeds are the unit; intervals hold the spread between seeds (pooled over a claim's arms) and "
            "prompts, of training text only where the study samples it by seed. "
            "Supported needs two seeds, Holm's p of at most .05 over the claims of one group with rows, and "
            "an interval that leaves room for an effect large enough to matter; not supported means that the "
            "interval rules such an effect out, also where a smaller one is there; cannot be told, that no "
            "effect the scale allows could have come out supported here; undecided is all between. "
            "Toxicity is compared by its odds: a ratio of 1 is no difference, 0.67 or 1.5 would matter. "
            "Minimum detectable effect: the smallest true one found with a power of 80 % at the level of its "
            "family; room: the largest that the scale allows. "
            f"{source()}: never our result."
        )
        _test_of(of_family)


def _waiting(rows: pd.DataFrame, running: bool) -> None:
    """Claims without data (rows), folded away."""
    if rows.empty:
        return
    with st.expander(
        f"{'No data yet' if running else 'Not measured'} ({len(rows)})",
        icon=":material/hourglass_empty:",
        key="verdicts_waiting",
    ):
        for row in records(rows):
            st.markdown(f"- {row.statement}: :gray[{row.detail}]")
        if not running:
            st.caption("This study was not set up to measure these; its study file says what it measures.")


def _test_of(verdicts: pd.DataFrame) -> None:
    """The declared test of one claim, word by word, with its numbers."""
    claims = {str(row.statement): row for row in records(verdicts)}
    claim = st.selectbox(
        "How was it tested?", list(claims), index=None, key="claim", bind="query-params",
        placeholder="Choose a claim",
        help="The declared test; a rule written after a first look at results says so.",
    )  # fmt: skip
    if claim in claims:
        _declared(claims[str(claim)])


def _declared(row: Any) -> None:
    """The declared test of a claim (row) and its numbers."""
    st.markdown(f"{_badge(str(row.status))} **{row.question}**")
    entries = {
        "Estimand": row.estimand,
        "Rows": row.rows_used,
        "Rule": row.rule,
        "Compared": row.detail,
        "Interval": row.interval,
        "By scorer": row.by_scorer,
        "Paper †": row.paper,
    }
    if not missing(row.value):
        entries["Found"] = f"{measured(row)}; p = {p_said(row.p)}, after Holm {p_said(row.p_holm)}"
    st.markdown("\n".join(f"- {name}: {value}" for name, value in entries.items() if value))
