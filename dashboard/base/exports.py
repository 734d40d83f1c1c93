"""Files from rows and figures: CSV, Parquet, HTML, PNG, each with where it came from.

- CSV begins with comment lines `# name: value`; every text is quoted and null is nothing at all, so
  `pandas.read_csv(path, comment="#")` reads the rows whatever is in them.
- Parquet carries the same as the file's metadata under the key `hormesis` (JSON).
- HTML is one file that opens without a network. PNG needs kaleido and a Chromium or Chrome.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import re
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.parquet as pq

from hormesis.db.csv_files import as_text, write_csv

METADATA = b"hormesis"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
PNG_SIZE = (1000, 560)
PNG_SCALE = 2
TITLE = 36
"""Pixels that a picture is higher with its title."""


def _plain(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with dicts and lists as JSON text; a column that holds bytes is left out."""
    plain = rows.copy()
    for column in rows.columns:
        kinds = set(rows[column].map(type)) if rows[column].dtype == object else set()
        if bytes in kinds:
            plain = plain.drop(columns=column)
        elif kinds & {dict, list, tuple}:
            plain[column] = [
                json.dumps(value, sort_keys=True, default=str)
                if isinstance(value, (dict, list, tuple))
                else value
                for value in rows[column]
            ]
    return plain


def _comment(value: str) -> str:
    """A value on one line, no part of which between separators is a formula for a spreadsheet."""
    return re.sub(r"(?<=[,;])[^,;]+", lambda part: as_text(part[0]), " ".join(value.split()))


def to_csv(rows: pd.DataFrame, metadata: Mapping[str, str]) -> bytes:
    """UTF-8 CSV with the metadata as comment lines above the header."""
    head = "".join(f"# {name}: {_comment(str(value))}\n" for name, value in metadata.items())
    table = pa.Table.from_pandas(_plain(rows), preserve_index=False)
    target = io.BytesIO()
    target.write(head.encode())
    write_csv([table], table.schema, target)
    return target.getvalue()


def to_parquet(rows: pd.DataFrame, metadata: Mapping[str, str]) -> bytes:
    """Parquet (zstd) of the rows, with the metadata as JSON in that of the schema."""
    table = pa.Table.from_pandas(_plain(rows), preserve_index=False)
    table = table.replace_schema_metadata(
        {**(table.schema.metadata or {}), METADATA: json.dumps(dict(metadata)).encode()}
    )
    target = io.BytesIO()
    pq.write_table(table, target, compression="zstd")
    return target.getvalue()


@cache
def browser_path() -> str | None:
    """A Chromium or Chrome that can draw a PNG: `BROWSER_PATH`, or one on the search path; None without."""
    browser = os.environ.get("BROWSER_PATH")
    if browser:
        return browser if Path(browser).is_file() else None
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@cache
def can_draw_png() -> bool:
    """Whether kaleido is installed and there is a browser for it. Looks, imports nothing."""
    return importlib.util.find_spec("kaleido") is not None and browser_path() is not None


def to_png(figure: go.Figure, *, dark: bool, title: str = "") -> bytes:
    """A PNG of the figure, 1000 points wide at twice the resolution. Takes a second or two.

    Raises RuntimeError where `can_draw_png` is false or the browser fails.
    """
    path = browser_path()
    if not can_draw_png() or path is None:
        raise RuntimeError("a PNG needs the package kaleido and a Chromium or Chrome")
    import kaleido

    page_figure = go.Figure(figure)
    height = page_figure.layout.height or PNG_SIZE[1]
    height += TITLE if title else 0
    page_figure.update_layout(**_page_colours(dark), height=height, width=PNG_SIZE[0])
    if title:
        place = {"x": 0.01, "y": 1, "yanchor": "top", "pad": {"t": 14}}
        page_figure.update_layout(
            title={"text": title, "font": {"size": 17}} | place,
            margin={"t": 2 * TITLE},
            legend={"yref": "container", "yanchor": "top", "y": 1 - (TITLE + 8) / height},
        )
    # Without MathJax the page asks no server for anything.
    image = kaleido.calc_fig_sync(
        page_figure.to_dict(),
        opts={"format": "png", "scale": PNG_SCALE},
        kopts={"path": path, "n": 1, "mathjax": False},
    )
    return bytes(image)


def _page_colours(dark: bool) -> dict[str, Any]:
    ground, ink, grid = ("#11161B", "#E4E9ED", "#2D3740") if dark else ("#FFFFFF", "#1B2530", "#DCE2E6")
    axis = {"gridcolor": grid, "linecolor": grid, "zerolinecolor": grid}
    return {
        "template": go.layout.Template(layout={"xaxis": axis, "yaxis": axis, "font": {"color": ink}}),
        "paper_bgcolor": ground,
        "plot_bgcolor": ground,
        "font": {"color": ink, "size": 14},
    }


def file_name(*parts: str) -> str:
    """A file's stem of the words given: letters, digits, dots and dashes only."""
    words = ["".join(c if c.isalnum() or c in "-." else "-" for c in part) for part in parts if part]
    return "-".join(part.strip("-") for part in words if part.strip("-"))[:120] or "export"
