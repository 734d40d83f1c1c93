"""Pages of the dashboard drawn in process: opening one by its link, and the words on it."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard.launch import APP


def clear_caches() -> None:
    """Let the next page read its rows anew."""
    st.cache_data.clear()
    st.cache_resource.clear()


def open_page(
    database: Path, monkeypatch: pytest.MonkeyPatch, page: str = "overview", **query: str
) -> AppTest:
    """A page on a database, drawn once, as a link with this query opens it."""
    monkeypatch.setenv("HORMESIS_DB", f"sqlite:///{database}")
    app = AppTest.from_file(str(APP), default_timeout=120)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    return app if page == "overview" else app.switch_page(f"app_pages/{page}.py").run()


def words(app: AppTest) -> str:
    """Everything a page says in running text and code."""
    kinds = (app.subheader, app.markdown, app.caption, app.info, app.warning, app.error, app.code)
    return "\n".join(str(element.value) for kind in kinds for element in kind)
