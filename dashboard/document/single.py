"""One chart or one table as a page of its own."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from hormesis.dashboard.document.blocks import Block, Chart, Document, Section, Table
from hormesis.dashboard.document.page import render


def single_page(
    title: str,
    rows: pd.DataFrame | None,
    figure: go.Figure | None,
    *,
    guide: str = "",
    alt: str = "",
    metadata: Mapping[str, str],
    dark: bool = False,
) -> bytes:
    """A page with the figure, its rows (closed beside a figure) and where they came from."""
    blocks: list[Block] = []
    if figure is not None:
        blocks.append(Chart("", figure, None, guide, alt))
    if rows is not None:
        blocks.append(Table("Rows" if figure is not None else "", rows, folded=figure is not None))
    study = metadata.get("study", "")
    return render(
        Document(
            title,
            [Section("", blocks)],
            subtitle=f"Study {study}" if study else "",
            metadata=metadata,
            scheme="" if figure is None else "dark" if dark else "light",
        )
    )
