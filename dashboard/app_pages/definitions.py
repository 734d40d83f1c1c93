"""Every term on screen, its formula and its source."""

from __future__ import annotations

import streamlit as st

from dashboard.terms import TERMS

st.subheader("What do the words mean?")
wanted = str(
    st.text_input(
        "Find a term", key="term", bind="query-params", live=True, icon=":material/search:", width=320
    )
    or ""
).strip()
found = [term for term in TERMS if wanted.lower() in f"{term.name} {term.text}".lower()]
if not found:
    st.info(f"No term matches “{wanted}”.", icon=":material/search_off:")
for section in dict.fromkeys(term.section for term in found):
    st.markdown(f"#### {section}")
    grid = st.grid(2, min_column_width=380)
    for term in (term for term in found if term.section == section):
        with grid.cell(), st.container(border=True, height="stretch"):
            st.markdown(f"**{term.name}**")
            st.markdown(term.text)
            if term.formula:
                st.latex(term.formula)
            if term.source:
                st.caption(term.source)
