"""Every term on screen, its formula, its code and its source. `?term=NAME` or `#name` leads to one."""

from __future__ import annotations

import streamlit as st

from hormesis.dashboard.base.terms import TERMS, Term, term_of
from hormesis.dashboard.base.wording import plain


def matches(term: Term, query: str) -> bool:
    """Whether a term's name, labels, text or code hold the words asked for."""
    return query.lower() in " ".join((term.name, *term.labels, term.text, term.code)).lower()


def chosen(query: str) -> list[Term]:
    """The terms to show: the one called so where there is one (links ask by name), else all that match."""
    exact_match = term_of(query)
    return [exact_match] if exact_match is not None else [term for term in TERMS if matches(term, query)]


def card(term: Term) -> None:
    """One term in a frame, with an anchor of its own."""
    with st.container(border=True, height="stretch"):
        st.markdown(f"##### {term.name}")
        st.markdown(term.text)
        if term.formula:
            st.latex(term.formula)
        if term.labels:
            st.caption(f"Also on screen as: {', '.join(term.labels)}.")
        if term.code:
            st.caption(f"Code: `{term.code}`")
        if term.source:
            st.caption(f"Source: {term.source}")


st.subheader("What do the words mean?")
query = str(
    st.text_input(
        "Find a term", key="term", bind="query-params", live=True, icon=":material/search:", width=320
    )
    or ""
).strip()
terms = chosen(query)
if not terms:
    st.info(f"No term matches “{plain(query)}”.", icon=":material/search_off:")
else:
    st.caption(f"{len(terms)} of {len(TERMS)} terms.")
for section in dict.fromkeys(term.section for term in terms):
    st.markdown(f"#### {section}")
    grid = st.grid(2, min_column_width=380)
    for term in (term for term in terms if term.section == section):
        with grid.cell():
            card(term)
