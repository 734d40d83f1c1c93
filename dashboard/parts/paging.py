"""Rows that a query gives page by page, with the page numbers above them."""

from __future__ import annotations

import math
from collections.abc import Callable

import pandas as pd
import streamlit as st


def _page(key: str) -> int:
    """The page on show (from 1); before the page numbers were first drawn, that of the link."""
    number = str(st.session_state.get(key) or st.query_params.get(key, ""))
    return max(1, int(number)) if number.isdecimal() and len(number) < 10 else 1


def paged(query: Callable[[int], pd.DataFrame], *, key: str, size: int) -> tuple[pd.DataFrame, int]:
    """Draw page numbers; the rows of the page on show, and how many there are on all pages.

    `query` gives the rows of a page (from 0) of `size` rows, each with `total`: the rows on all pages. Where
    there are fewer pages than the one number for, the first is shown.
    """
    page = _page(key)
    rows = query(page - 1)
    if rows.empty and page > 1:
        st.session_state[key] = 1
        st.rerun()
    total = int(rows["total"].iloc[0]) if len(rows) else 0
    st.pagination(max(1, math.ceil(total / size)), key=key, bind="query-params")
    return rows.drop(columns="total"), total
