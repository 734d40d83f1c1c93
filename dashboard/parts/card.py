"""The frame round every chart and table: title, how to read it, its rows, its files.

This is the one place where files are offered. Each is made when its button is pressed, and says where it
came from (`dashboard.parts.export_metadata`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from hormesis.dashboard.base import exports
from hormesis.dashboard.base.columns import in_words, text_widths
from hormesis.dashboard.base.terms import links, term_of
from hormesis.dashboard.base.theme import is_dark
from hormesis.dashboard.base.wording import plain
from hormesis.dashboard.charts.figure_cache import Drawn, ready
from hormesis.dashboard.parts.export_metadata import stamp
from hormesis.dashboard.rows.context import current_or_none

Figure: TypeAlias = go.Figure | Drawn
CONFIG: dict[str, Any] = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["zoomIn2d", "zoomOut2d", "autoScale2d", "toggleSpikelines"],
}


def _button(label: str, make: Callable[[], bytes], name: str, *, mime: str, key: str) -> None:
    """A button that offers a file; `make` gives its bytes when it is pressed, `name` is what it is called."""
    st.download_button(
        label,
        data=make,
        file_name=name,
        mime=mime,
        icon=":material/download:",
        key=key,
        on_click="ignore",
        type="tertiary",
        width="stretch",
    )


def _study_name() -> str:
    context = current_or_none()
    return str(context.study["name"]) if context is not None else ""


def _plotly_figure(figure: Figure) -> go.Figure:
    return figure.figure if isinstance(figure, Drawn) else figure


def files(
    key: str,
    title: str,
    rows: pd.DataFrame | None,
    *,
    figure: Figure | None = None,
    guide: str = "",
    alt: str = "",
) -> None:
    """The menu of files for a view (`key`: its widgets' own); nothing is made until one is chosen.

    Rows go out as CSV and Parquet, both and a figure as HTML, a figure as PNG where a browser can draw it.
    """
    context, dark, name = current_or_none(), is_dark(), exports.file_name(_study_name(), key)

    def metadata() -> dict[str, str]:
        return stamp(context, title or key, None if rows is None else len(rows))

    def page() -> bytes:
        # Imported when asked for: the templates' library is not needed to draw a page.
        from hormesis.dashboard.document.single import single_page

        drawing = None if figure is None else _plotly_figure(figure)
        return single_page(title or key, rows, drawing, guide=guide, alt=alt, metadata=metadata(), dark=dark)

    with st.popover(
        "Export",
        icon=":material/download:",
        type="tertiary",
        key=f"{key}_files",
        help="Save this view as a file",
    ):
        if rows is not None:
            rows_shown = rows
            _button(
                "CSV",
                lambda: exports.to_csv(rows_shown, metadata()),
                f"{name}.csv",
                mime="text/csv",
                key=f"{key}_csv",
            )
            kind = "application/vnd.apache.parquet"
            _button(
                "Parquet",
                lambda: exports.to_parquet(rows_shown, metadata()),
                f"{name}.parquet",
                mime=kind,
                key=f"{key}_parquet",
            )
        label = "Interactive HTML" if figure is not None else "HTML"
        _button(label, page, f"{name}.html", mime="text/html", key=f"{key}_html")
        if figure is None:
            return
        if exports.can_draw_png():
            plot = figure
            _button(
                "PNG (a few seconds)",
                lambda: exports.to_png(_plotly_figure(plot), dark=dark, title=title),
                f"{name}.png",
                mime="image/png",
                key=f"{key}_png",
            )
        st.caption("The camera above the chart saves it as you see it, as a PNG from your own browser.")


@dataclass(frozen=True)
class Header:
    """The row above a view: title, controls that only this view needs, files."""

    key: str
    row: DeltaGenerator
    title: DeltaGenerator

    def options(self) -> DeltaGenerator:
        """A popover for the view's own controls."""
        return self.row.popover("Options", icon=":material/tune:", type="tertiary", key=f"{self.key}_options")


def header(key: str) -> Header:
    """The row above a view, its title still open: it may depend on what the view's own controls choose."""
    row = st.container(horizontal=True, vertical_alignment="center", key=f"{key}_head")
    return Header(key, row, row.container(width="content"))


def heading(
    above: Header | str, title: str, rows: pd.DataFrame | None, *, figure: Figure | None = None, **more: str
) -> None:
    """A title, as it is written, with the files beside it; the right is left to toolbars.

    `above`: the row to fill, or the key of a new one.
    """
    above = header(above) if isinstance(above, str) else above
    if title:
        above.title.markdown(f"**{plain(title)}**", width="content")
    with above.row:
        files(above.key, title, rows, figure=figure, **more)


def rows_below(rows: pd.DataFrame, *, key: str, label: str = "Rows", own_files: bool = True) -> None:
    """The rows behind a view in words, folded away; nothing is sent while it is folded."""
    fold = st.expander(
        f"{label} ({len(rows):,})", icon=":material/table_rows:", key=f"{key}_rows", on_change="rerun"
    )
    if not fold.open:
        return
    with fold:
        if own_files:
            heading(f"{key}_table", label, rows)
        table = in_words(rows)
        st.dataframe(
            table,
            hide_index=True,
            alt=f"{label} behind the chart above",
            column_config=columns_of(table, {}),
            placeholder="–",
        )


def chart(
    figure: Figure,
    *,
    key: str,
    alt: str,
    guide: str,
    title: str = "",
    note: str = "",
    rows: pd.DataFrame | None = None,
    on_select: Any = "ignore",
    selection_mode: Any = ("points",),
    above: Header | None = None,
) -> None:
    """A chart with its title, a sentence on how to read it (`guide`, `note`), its files, its rows below.

    `above`: the row for its title, where the chart has controls of its own in it.
    """
    text = " ".join(part for part in (guide, note) if part)
    heading(above or key, title, rows, figure=figure, guide=text, alt=alt)
    options: dict[str, Any] = {}
    if on_select != "ignore":
        options = {"on_select": on_select, "selection_mode": selection_mode}
    # The camera of the toolbar needs nothing but the person's own browser.
    camera = {"toImageButtonOptions": {"filename": key, "scale": exports.PNG_SCALE}}
    sent = figure if isinstance(figure, Drawn) else ready(figure)
    st.plotly_chart(sent, key=key, alt=alt, config=CONFIG | camera, **options)
    st.caption(" ".join(part for part in (text, links(f"{title} {alt}")) if part))
    if rows is not None:
        rows_below(rows, key=key, own_files=False)


def table(
    rows: pd.DataFrame,
    *,
    key: str,
    alt: str,
    title: str = "",
    note: str = "",
    out: pd.DataFrame | None = None,
    **options: Any,
) -> Any:
    """A table with its title, files and a note; gives back what `st.dataframe` does.

    `out` is what the files hold where that differs from what is shown (numbers instead of words). Other
    options go to `st.dataframe`.
    """
    heading(key, title, rows if out is None else out)
    configured = columns_of(rows, options.pop("column_config", {}))
    state = st.dataframe(
        rows,
        hide_index=True,
        alt=alt,
        key=f"{key}_grid",
        column_config=configured,
        placeholder="–",
        **options,
    )
    caption = " ".join(part for part in (note, links(f"{title} {alt}")) if part)
    if caption:
        st.caption(caption)
    return state


def columns_of(rows: pd.DataFrame, settings: dict[str, Any]) -> dict[str, Any]:
    """Column settings; where none were given, a term has its definition as help and no text is cut."""
    columns, widths = dict(settings), text_widths(rows)
    for name in map(str, rows.columns):
        term, column = term_of(name), columns.get(name, {})
        usual = {"help": term.text if term else None, "width": widths.get(name)}
        if isinstance(column, dict) and any(usual.values()):
            columns[name] = usual | {key: value for key, value in column.items() if value is not None}
    return columns


def selected(key: str) -> list[Any]:
    """The customdata of the points selected on a chart, in order; empty where nothing is selected."""
    state = st.session_state.get(key)
    points = state.selection.points if state is not None else []
    values = []
    for point in points:
        value = point.get("customdata")
        values.append(value[0] if isinstance(value, list) and value else value)
    return [value for value in values if value is not None]
