"""The parts a report is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import pandas as pd
import plotly.graph_objects as go

from hormesis.dashboard.base.terms import Term

MOST_ROWS = 500
"""Rows of a table that are written into a page; above that it says how many there are."""


@dataclass(frozen=True)
class Chart:
    """A figure in two lights. `dark` may be left out where nothing in the figure depends on the ground."""

    block: ClassVar[str] = "chart"
    title: str
    light: go.Figure
    dark: go.Figure | None = None
    guide: str = ""
    alt: str = ""


@dataclass(frozen=True)
class Table:
    """Rows as a table; `formats` are Python format strings by column, for numbers."""

    block: ClassVar[str] = "table"
    title: str
    rows: pd.DataFrame
    note: str = ""
    formats: Mapping[str, str] = field(default_factory=dict)
    folded: bool = False
    """Whether it is closed until asked for."""


@dataclass(frozen=True)
class Claim:
    """One claim with what the rows say of it."""

    status: str
    claim: str
    detail: str


@dataclass(frozen=True)
class Claims:
    """Claims, one a line."""

    block: ClassVar[str] = "claims"
    title: str
    claims: Sequence[Claim]
    note: str = ""


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    block: ClassVar[str] = "facts"
    title: str
    entries: Mapping[str, str]
    folded: bool = False


@dataclass(frozen=True)
class Code:
    """Text shown as it is, e.g. a configuration."""

    block: ClassVar[str] = "code"
    title: str
    text: str
    folded: bool = True


@dataclass(frozen=True)
class Text:
    """One text that a model wrote, with what it continues and what it was given."""

    title: str
    prompt: str
    text: str
    meta: str = ""


@dataclass(frozen=True)
class Texts:
    """Texts that may hurt: always closed until a reader opens them."""

    block: ClassVar[str] = "texts"
    title: str
    texts: Sequence[Text]
    note: str = ""


@dataclass(frozen=True)
class Terms:
    """Definitions with formulas."""

    block: ClassVar[str] = "terms"
    title: str
    terms: Sequence[Term]


Block = Chart | Table | Claims | Facts | Code | Texts | Terms


@dataclass(frozen=True)
class Section:
    """A heading, a lead sentence and blocks."""

    title: str
    blocks: Sequence[Block]
    lead: str = ""


@dataclass(frozen=True)
class Document:
    """A page: title, the answer in one line, sections, and where it came from."""

    title: str
    sections: Sequence[Section]
    subtitle: str = ""
    answer: str = ""
    detail: str = ""
    """The numbers behind the answer."""
    status: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    scheme: Literal["", "light", "dark"] = ""
    """Empty follows the reader's own theme; a figure drawn for one ground alone fixes it."""
