"""The viewer's theme: light or dark. Apart from the colours, which need no page."""

from __future__ import annotations

import streamlit as st


def is_dark() -> bool:
    """Whether the viewer's page is dark; False where it is not known yet."""
    return st.context.theme.type == "dark"
