"""Blocks to HTML: one self-contained file.

All text goes through the template's escaping; nothing from a database is ever HTML here.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hormesis.dashboard.base.terms import anchor
from hormesis.dashboard.base.wording import missing
from hormesis.dashboard.document import figures
from hormesis.dashboard.document.blocks import MOST_ROWS, Chart, Document, Table

FOLDER = Path(__file__).parent
FOLLOWS = "(prefers-color-scheme: dark)"
SCHEMES = {"": FOLLOWS, "light": "not all", "dark": "all"}


@cache
def _environment() -> Environment:
    """The templates' environment, with our filters and tests."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "figure": _figure,
        "mathml": mathml,
        "slug": anchor,
        "code_marks": code_marks,
    }
    environment.tests["numeric"] = lambda value: (
        isinstance(value, str) and value.startswith(tuple("0123456789−+-"))
    )
    return environment


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


@cache
def _part(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _figure(chart: Chart) -> Markup:
    """A chart's JSON; it holds no `<`, so it cannot leave its script element."""
    return Markup(figures.as_json(chart))


def mathml(formula: str) -> Markup:
    """LaTeX as MathML, which browsers draw by themselves."""
    from latex2mathml.converter import convert

    return Markup(convert(formula, display="block"))


def code_marks(text: str) -> Markup:
    """Escaped text with `words in backticks` as code."""
    parts = str(text).split("`")
    markup = Markup("")
    for place, part in enumerate(parts):
        markup += Markup("<code>{}</code>").format(part) if place % 2 else Markup("{}").format(part)
    return markup


def cell(value: Any, form: str = "") -> str:
    """One value as a table shows it; `form`: a Python format string, or empty."""
    if missing(value) or value is pd.NA or value is pd.NaT:
        return "–"
    if form:
        return form.format(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return str(value)


def table_cells(table: Table) -> list[list[str]]:
    """The rows of a table as text, at most `MOST_ROWS`."""
    forms = [table.formats.get(str(name), "") for name in table.rows.columns]
    return [
        [cell(value, form) for value, form in zip(row, forms, strict=True)]
        for row in table.rows.head(MOST_ROWS).itertuples(index=False, name=None)
    ]


def render(document: Document) -> bytes:
    """The page as UTF-8. Plotly's program is inside once where a chart is."""
    blocks = [block for section in document.sections for block in section.blocks]
    has_charts = any(block.block == "chart" for block in blocks)
    media_query = SCHEMES[document.scheme]
    template = _environment().get_template("page.html.jinja")
    page = template.render(
        document=document,
        cells=table_cells,
        most=MOST_ROWS,
        style=Markup(_part("page.css").replace(FOLLOWS, media_query)),
        script=Markup(_part("page.js").replace(FOLLOWS, media_query)) if has_charts else "",
        plotly=Markup(_plotly()) if has_charts else "",
    )
    return page.encode()
