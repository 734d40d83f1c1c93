"""Log-in by OpenID Connect, which `[auth]` in Streamlit's secrets.toml sets up: asked for by the pages."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import streamlit as st

PAGES_ASK = threading.Event()
"""Set by the guard where it leaves the log-in to the pages; secrets that vanish later let nobody in."""


def is_let_in() -> bool:
    """Whether the page may be drawn; draws the log-in in its place where it may not be."""
    if not PAGES_ASK.is_set() or st.user.get("is_logged_in"):
        return True
    section = st.secrets.get("auth", {}) if st.secrets.load_if_toml_exists() else {}
    providers = [name for name, value in section.items() if isinstance(value, Mapping)]
    st.subheader("Log in to Hormesis")
    for name in ["default"] if "client_id" in section else providers:
        label = "Log in" if name == "default" else f"Log in with {name}"
        st.button(label, key=f"log_in_{name}", on_click=st.login, args=(name,), type="primary")
    return False
