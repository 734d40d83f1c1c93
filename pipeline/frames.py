"""Typed doors to pandas, whose own annotations leave group keys open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pandas as pd


def groups(frame: pd.DataFrame, by: str | list[str]) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Each key (a tuple for several columns) and its rows, keys ascending."""
    return iter(cast(Any, frame.groupby(by)))


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries, missing values as None."""
    return [
        {str(name): None if _missing(value) else value for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and value != value)
