"""From a row of any table to a record: columns, filters, labels, lengths.

Knows the meaning of the source's settings; knows neither files nor the hub. A row is a dictionary that may be
nested (`prompt.text` reads `row["prompt"]["text"]`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hormesis.pipeline.sources.record import Record, SourceError
from hormesis.pipeline.study.source_config import SourceConfig

Row = Mapping[str, Any]
LABELLED = ("probe", "scorer", "directions")
"""Roles in which every record needs a label."""
_TRUE = {"1", "true", "yes", "1.0"}
_FALSE = {"0", "false", "no", "0.0"}


def source_columns(cfg: SourceConfig) -> list[str]:
    """Every column the settings name, once each.

    Raises SourceError where the role needs labels and no column is named.
    """
    if cfg.role in LABELLED and cfg.label is None:
        raise SourceError(f"source '{cfg.title}': role '{cfg.role}' needs a label column (label = \"...\")")
    texts = [cfg.prompt, cfg.chosen, cfg.rejected] if cfg.role == "pairs" else [cfg.text]
    columns = [*texts, cfg.label, cfg.group, cfg.source, cfg.score, cfg.kind_column]
    return list(
        dict.fromkeys(
            [name for name in columns if name] + [*cfg.where, *cfg.where_not, *cfg.at_least, *cfg.below]
        )
    )


def check_columns(where: str, columns: Iterable[str], present: Iterable[str]) -> None:
    """Raise SourceError naming the first column that is missing and those there are, or one that is nested.

    `present` are the source's names, dotted for nested columns, beside the outer ones.
    """
    available = list(present)
    for name in columns:
        nested = [column for column in available if column.startswith(f"{name}.")]
        if nested:
            raise SourceError(f"{where}: column '{name}' is nested; name one of {', '.join(nested[:8])}")
        if name not in available:
            listing = ", ".join(available[:20]) + (", ..." if len(available) > 20 else "")
            raise SourceError(f"{where}: no column '{name}' (columns: {listing})")


def column_names(row: Row, prefix: str = "") -> list[str]:
    """Names of a row's columns, nested ones dotted."""
    columns: list[str] = []
    for key, value in row.items():
        columns.append(prefix + str(key))
        if isinstance(value, Mapping):
            columns += column_names(value, f"{prefix}{key}.")
    return columns


def value_of(row: Row, name: str) -> Any:
    """The value of a column, by its own name or by a dotted path; None where the row lacks it."""
    if name in row:
        return row[name]
    head, dot, tail = name.partition(".")
    inner = row.get(head)
    return value_of(inner, tail) if dot and isinstance(inner, Mapping) else None


def _is_null(value: Any) -> bool:
    """Whether a value is missing: None, empty text or NaN."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _number(value: Any, column: str, row_name: str) -> float | None:
    """A value as a number, None where it is null or NaN; `row_name` (file and line) is for errors."""
    if _is_null(value):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise SourceError(
            f"{row_name}: column '{column}' holds {str(value)[:40]!r}, which is not a number"
        ) from None
    return None if math.isnan(number) else number


def _same(value: Any, expected: str | int | float | bool) -> bool:
    """Equality by value; a text (from a CSV) is first read as the type of `expected`."""
    if isinstance(value, str) and isinstance(expected, bool):
        return value.strip().lower() in (_TRUE if expected else _FALSE)
    if isinstance(value, str) and not isinstance(expected, str):
        try:
            return float(value) == expected
        except ValueError:
            return False
    return bool(value == expected)


def _passes_filters(row: Row, cfg: SourceConfig, row_name: str) -> bool:
    """Whether the settings keep a row; each filter maps a column to its values or its limit."""
    for column, allowed in cfg.where.items():
        value = value_of(row, column)
        if not any(_same(value, expected) for expected in allowed):
            return False
    for column, refused in cfg.where_not.items():
        value = value_of(row, column)
        if any(_same(value, expected) for expected in refused):
            return False
    for column, least in cfg.at_least.items():
        number = _number(value_of(row, column), column, row_name)
        if number is None or number < least:
            return False
    for column, limit in cfg.below.items():
        number = _number(value_of(row, column), column, row_name)
        if number is None or number >= limit:
            return False
    return True


def label_of(value: Any, cfg: SourceConfig, row_name: str) -> int | None:
    """0, 1 or None of a label value: booleans, 0/1, their spellings, or a score against the threshold."""
    if _is_null(value):
        return None
    if cfg.label_threshold is not None:
        number = _number(value, str(cfg.label), row_name)
        return None if number is None else int(number >= cfg.label_threshold)
    if isinstance(value, str):
        spelt = value.strip().lower()
        if spelt in _TRUE or spelt in _FALSE:
            return int(spelt in _TRUE)
    elif value in (0, 1):
        return int(value)
    raise SourceError(
        f"{row_name}: label column '{cfg.label}' holds {str(value)[:40]!r}, not 0 or 1 "
        "(for scores set label_threshold)"
    )


def _text_of(value: Any, cfg: SourceConfig, row_name: str, *, column: str | None = None) -> str | None:
    """A value's text without outer white space; None where it is null, too short or too long."""
    column = column or cfg.text
    if _is_null(value):
        return None
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            raise SourceError(f"{row_name}: column '{column}' is not UTF-8 text") from None
    if not isinstance(value, str):
        raise SourceError(f"{row_name}: column '{column}' holds {type(value).__name__}, not text")
    text = value.strip()
    longest = cfg.max_characters
    if len(text) < max(1, cfg.min_characters) or (longest is not None and len(text) > longest):
        return None
    return text


def record_of(row: Row, cfg: SourceConfig, row_name: str) -> Record | None:
    """Make a record of a row, or None where the settings leave it out. `row_name` is for errors."""
    if not _passes_filters(row, cfg, row_name):
        return None
    if cfg.role == "pairs":
        return _pair_of(row, cfg, row_name)
    text = _text_of(value_of(row, cfg.text), cfg, row_name)
    if text is None:
        return None
    label = label_of(value_of(row, cfg.label), cfg, row_name) if cfg.label else None
    if label is None and cfg.role in LABELLED:
        return None
    group, source, kind = (
        None if name is None or _is_null(value_of(row, name)) else str(value_of(row, name))
        for name in (cfg.group, cfg.source, cfg.kind_column)
    )
    score = _number(value_of(row, cfg.score), cfg.score, row_name) if cfg.score else None
    return Record(text, label, group, source=source, score=score, kind=kind)


def _pair_of(row: Row, cfg: SourceConfig, row_name: str) -> Record | None:
    """A pair: the chosen text, with prompt (may be empty) and rejected text as features."""
    prompt = value_of(row, cfg.prompt)
    chosen, rejected = (
        _text_of(value_of(row, name), cfg, row_name, column=name) for name in (cfg.chosen, cfg.rejected)
    )
    if chosen is None or rejected is None:
        return None
    if not (_is_null(prompt) or isinstance(prompt, str)):
        raise SourceError(f"{row_name}: column '{cfg.prompt}' holds {type(prompt).__name__}, not text")
    source = value_of(row, cfg.source) if cfg.source else None
    features = {"prompt": "" if _is_null(prompt) else str(prompt), "rejected": rejected}
    return Record(chosen, source=None if _is_null(source) else str(source), features=features)


def records(rows: Iterable[tuple[str, Row]], cfg: SourceConfig) -> Iterator[Record]:
    """Records of (name, row) pairs, up to the limit. Raises SourceError where not one row is left."""
    n_records = n_rows = 0
    for row_name, row in rows:
        n_rows += 1
        record = record_of(row, cfg, row_name)
        if record is None:
            continue
        yield record
        n_records += 1
        if n_records == cfg.limit:
            return
    if not n_records:
        raise SourceError(
            f"source '{cfg.title}': none of {n_rows:,} rows is left after filters, lengths and missing labels"
        )
