"""The frame round every chart: title, chart, how to read it, its rows with a download. Knows no data."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

CONFIG: dict[str, Any] = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["zoomIn2d", "zoomOut2d", "autoScale2d", "toggleSpikelines"],
}


def rows_below(rows: pd.DataFrame, *, key: str, label: str = "Rows") -> None:
    """The rows behind a view, folded away, with a CSV download; nothing is sent while it is folded."""
    fold = st.expander(
        f"{label} ({len(rows):,})", icon=":material/table_rows:", key=f"{key}_rows", on_change="rerun"
    )
    if not fold.open:
        return
    with fold:
        st.dataframe(rows, hide_index=True, alt=f"{label} behind the chart above")
        st.download_button(
            "Download CSV",
            data=lambda: rows.to_csv(index=False).encode(),
            file_name=f"{key}.csv",
            mime="text/csv",
            icon=":material/download:",
            key=f"{key}_csv",
            on_click="ignore",
        )


def chart(
    figure: go.Figure,
    *,
    key: str,
    alt: str,
    how: str,
    title: str = "",
    note: str = "",
    rows: pd.DataFrame | None = None,
    on_select: Any = "ignore",
    selection_mode: Any = ("points",),
) -> None:
    """A chart with its title, a sentence on how to read it, and its rows below."""
    if title:
        st.markdown(f"**{title}**")
    options: dict[str, Any] = {}
    if on_select != "ignore":
        options = {"on_select": on_select, "selection_mode": selection_mode}
    st.plotly_chart(figure, key=key, alt=alt, config=CONFIG, **options)
    st.caption(" ".join(part for part in (how, note) if part))
    if rows is not None:
        rows_below(rows, key=key)


def selected(key: str) -> list[Any]:
    """The customdata of the points selected on a chart, in order; empty where nothing is selected."""
    state = st.session_state.get(key)
    points = state.selection.points if state is not None else []
    found = []
    for point in points:
        value = point.get("customdata")
        found.append(value[0] if isinstance(value, list) and value else value)
    return [value for value in found if value is not None]
