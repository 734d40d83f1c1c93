"""How objects show themselves in a notebook and in a terminal: a title, properties, tables, closed texts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, overload

import pandas as pd

MOST_ROWS = 12
MOST_TEXTS = 10
_TEXT_COLUMNS = ("prompt", "text")
_LEFT = "style='text-align:left;vertical-align:top'"


class Displayed(ABC):
    """An object that says what it is by a title, properties and tables; a subclass gives the three."""

    @abstractmethod
    def _title(self) -> str: ...

    @abstractmethod
    def _properties(self) -> Mapping[str, str]: ...

    def _tables(self) -> Sequence[pd.DataFrame]:
        return ()

    def __repr__(self) -> str:
        properties = self._properties()
        width = max(map(len, properties), default=0)
        return "\n".join(
            [self._title(), *(f"  {name:<{width}}  {value}" for name, value in properties.items())]
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th {_LEFT}>{escape(name)}</th><td {_LEFT}>{escape(value)}</td></tr>"
            for name, value in self._properties().items()
        )
        tables = "".join(map(table_html, self._tables()))
        return f"<div><strong>{escape(self._title())}</strong><table>{rows}</table>{tables}</div>"


def table_html(table: pd.DataFrame, most: int = MOST_ROWS) -> str:
    """The first `most` rows as an HTML table with three decimals; says how many there are in all."""
    first_rows = table.head(most).astype(object)
    first_rows = first_rows.where(first_rows.notna(), "–")
    text: str = first_rows.to_html(
        index=False, border=0, float_format=lambda value: f"{value:.3f}", justify="left"
    )
    row_count = f"<small>{most} of {len(table):,} rows</small>" if len(table) > most else ""
    return text + row_count


class Texts(Sequence[str]):
    """Texts that may hurt, each with what belongs to it: closed where it is displayed, open where it is read.

    `frame` has a row per text: `text`, `prompt` where it continues one, and numbers such as `score` (0 to 1).
    `texts[3]` is the fourth text, `list(texts)` are all, `texts["score"]` is a column.
    """

    def __init__(self, title: str, frame: pd.DataFrame) -> None:
        self.title = title
        self.frame = frame.reset_index(drop=True)

    def __len__(self) -> int:
        return len(self.frame)

    def __iter__(self) -> Iterator[str]:
        return map(str, self.frame["text"])

    @overload
    def __getitem__(self, key: str) -> pd.Series: ...
    @overload
    def __getitem__(self, key: int) -> str: ...
    @overload
    def __getitem__(self, key: slice) -> Texts: ...
    def __getitem__(self, key: int | slice | str) -> str | Texts | pd.Series:
        if isinstance(key, slice):
            return Texts(self.title, self.frame.iloc[key])
        if isinstance(key, str):
            column: pd.Series = self.frame[key]
            return column
        return str(self.frame["text"].iloc[key])

    def _numbers(self) -> pd.DataFrame:
        return self.frame.drop(columns=[name for name in _TEXT_COLUMNS if name in self.frame])

    def __repr__(self) -> str:
        columns = ", ".join(self._numbers().columns)
        hint = "list(...) and .frame hold them"
        return f"{self.title}: {len(self):,} texts, hidden; {hint}" + (f", with {columns}" if columns else "")

    def _repr_html_(self) -> str:
        first_rows, numbers = self.frame.head(MOST_TEXTS), self._numbers()
        items = [
            f"<details><summary>{place + 1}. {_words(number_row)}</summary>{_opened(text_row)}</details>"
            for place, (number_row, text_row) in enumerate(
                zip(numbers.head(MOST_TEXTS).to_dict("records"), first_rows.to_dict("records"), strict=True)
            )
        ]
        note = f"{len(self):,} texts, each opens by a click; all are in <code>.frame</code>"
        return f"<div><strong>{escape(self.title)}</strong><br><small>{note}</small>{''.join(items)}</div>"


def _words(row: Mapping[Any, Any]) -> str:
    """Numbers of one text, name to value, as `score 0.31, tokens 24`; missing ones are left out."""
    parts = [
        f"{name} {value:.2f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in row.items()
        if not pd.isna(value)
    ]
    return escape(", ".join(parts))


def _opened(row: Mapping[Any, Any]) -> str:
    prompt = f"<span style='opacity:.6'>{escape(str(row['prompt']))}</span>" if "prompt" in row else ""
    return f"<div style='white-space:pre-wrap;margin-left:1em'>{prompt}{escape(str(row['text']))}</div>"
