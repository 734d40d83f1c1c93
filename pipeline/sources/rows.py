"""From a row of any table to a record: columns, filters, labels, lengths.

Knows the meaning of the source's settings; knows neither files nor the hub. A row is a dictionary that may be
nested (`prompt.text` reads `row["prompt"]["text"]`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from string import whitespace
from typing import Any

from hormesis.db.contract.sources import reasons
from hormesis.pipeline.sources.cleaning import place_of, without_repetition, words_of
from hormesis.pipeline.sources.record import Reason, Record, RowCount, SourceError, Stop
from hormesis.pipeline.study.source_config import EVERY_OTHER, SourceConfig

Row = Mapping[str, Any]
LABELLED = ("probe", "scorer", "directions")
"""Roles in which every record needs a label."""
STORED = ("probe", "prompts")
"""Roles whose texts become rows of the database."""
LABEL_ROWS, LABEL_VALUES = 10_000, 12
"""How many first rows, and rows behind one whose label means nothing, are looked at for values, of which so
many are told."""
_TRUE = {"1", "true", "yes", "1.0"}
_FALSE = {"0", "false", "no", "0.0"}


def source_columns(cfg: SourceConfig) -> list[str]:
    """Every column the settings name, once each.

    Raises SourceError where the role needs labels and no column is named.
    """
    if cfg.role in LABELLED and not cfg.label_columns:
        raise SourceError(f"source '{cfg.title}': role '{cfg.role}' needs a label column (label = \"...\")")
    texts = [cfg.prompt, cfg.chosen, cfg.rejected] if cfg.role == "pairs" else [cfg.text]
    columns = [*texts, *cfg.label_columns, cfg.group, cfg.source, cfg.score, cfg.kind_column, cfg.part_column]
    return list(
        dict.fromkeys(
            [name for name in columns if name]
            + [*cfg.where, *cfg.where_not, *cfg.at_least, *cfg.below, *cfg.matching]
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
    except (TypeError, ValueError, OverflowError) as error:
        problem = "too large" if isinstance(error, OverflowError) else "not a number"
        raise SourceError(
            f"{row_name}: column '{column}' holds {str(value)[:40]!r}, which is {problem}"
        ) from None
    if math.isinf(number):
        raise SourceError(f"{row_name}: column '{column}' holds {str(value)[:40]!r}, which is not finite")
    return None if math.isnan(number) else number


def number_in(row: Row, column: str, row_name: str) -> float:
    """The number of a column. Raises SourceError where it is missing or none."""
    number = _number(value_of(row, column), column, row_name)
    if number is None:
        raise SourceError(f"{row_name}: column '{column}' is empty")
    return number


def text_in(row: Row, column: str, row_name: str) -> str:
    """The text of a column. Raises SourceError where it is missing or none."""
    value = value_of(row, column)
    if _is_null(value):
        raise SourceError(f"{row_name}: column '{column}' is empty")
    if not isinstance(value, str):
        raise SourceError(f"{row_name}: column '{column}' holds {type(value).__name__}, not text")
    return readable(value, column, row_name)


def readable(text: str, column: str, row_name: str) -> str:
    """The text. Raises SourceError for half a character, which neither tokenizer nor database takes."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise SourceError(
            f"{row_name}: column '{column}' holds half a character, {text[error.start]!a}, as its "
            f"{error.start + 1}th: write the file anew as UTF-8, or leave the row out"
        ) from None
    return text


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
    for column, pattern in cfg.matching.items():
        value = value_of(row, column)
        if not isinstance(value, str) or re.search(pattern, value) is None:
            return False
    return True


class UnknownLabel(SourceError):
    """A label value that the settings say nothing about; `advice` says what to write."""

    def __init__(self, row_name: str, column: str, value: Any, *, cfg: SourceConfig) -> None:
        problem = "which neither positive nor negative names" if cfg.positive else "not 0 or 1"
        # Others than texts as a study file writes them, so `true` and not `'True'`.
        literal = repr(value[:40]) if isinstance(value, str) else json.dumps(value, default=str)[:40]
        super().__init__(f"{row_name}: label column '{column}' holds {literal}, {problem}")
        if cfg.positive:
            self.advice = f"add it to one of them, or leave its rows out by where_not.{column}"
        elif isinstance(value, str):
            self.advice = "put those that mean toxic into positive = [...], the others into negative = [...]"
        else:
            self.advice = "for scores set label_threshold, else name the values in positive and negative"


def _label_values(row: Row, cfg: SourceConfig) -> Iterator[str]:
    """Values of the label columns as they are written in a study file."""
    for column in cfg.label_columns:
        value = value_of(row, column)
        if not _is_null(value):
            yield json.dumps(value.strip()[:40] if isinstance(value, str) else value, default=str)


def label_of(row: Row, cfg: SourceConfig, row_name: str) -> int | None:
    """1 (toxic), 0 or None (not known) by the label columns of a row.

    Of several columns `any` needs one toxic label, `all` needs each to be toxic; a missing one leaves the
    label unknown unless the others decide. Raises SourceError for a value that means nothing.
    """
    labels = [_label(value_of(row, column), cfg, column, row_name) for column in cfg.label_columns]
    decisive = int(cfg.label_rule == "any")
    if decisive in labels:
        return decisive
    return None if None in labels or not labels else 1 - decisive


def _label(value: Any, cfg: SourceConfig, column: str, row_name: str) -> int | None:
    """0, 1 or None of a value: by the study's own lists, a score's threshold, or a boolean's spellings."""
    if _is_null(value):
        return None
    if cfg.label_threshold is not None:
        number = _number(value, column, row_name)
        return None if number is None else int(number >= cfg.label_threshold)
    if cfg.positive:
        return _listed(value, cfg, column, row_name)
    if isinstance(value, str):
        spelt = value.strip().lower()
        if spelt in _TRUE or spelt in _FALSE:
            return int(spelt in _TRUE)
    elif value in (0, 1):
        return int(value)
    raise UnknownLabel(row_name, column, value, cfg=cfg)


def _listed(value: Any, cfg: SourceConfig, column: str, row_name: str) -> int:
    """1 where `positive` names the value, 0 where `negative` does."""
    for label, values in ((1, cfg.positive), (0, cfg.negative)):
        if any(_same_label(value, expected) for expected in values):
            return label
    if EVERY_OTHER in (*cfg.positive, *cfg.negative):
        return int(EVERY_OTHER in cfg.positive)
    raise UnknownLabel(row_name, column, value, cfg=cfg)


def _same_label(value: Any, expected: str | int | float | bool) -> bool:
    if isinstance(value, str) and isinstance(expected, str):
        return value.strip().casefold() == expected.strip().casefold()
    return _same(value, expected)


def _text_of(value: Any, cfg: SourceConfig, row_name: str, *, column: str | None = None) -> str | Reason:
    """A value's text without outer white space, or why it is not used."""
    column = column or cfg.text
    if _is_null(value):
        return Reason.NO_TEXT
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            raise SourceError(f"{row_name}: column '{column}' is not UTF-8 text") from None
    if not isinstance(value, str):
        raise SourceError(f"{row_name}: column '{column}' holds {type(value).__name__}, not text")
    if "\0" in value and cfg.role in STORED:
        raise SourceError(
            f"{row_name}: column '{column}' holds a null character, which not every database takes: remove "
            "it, or leave the row out"
        )
    text = _cleaned(readable(value, column, row_name), cfg)
    if not text:
        return Reason.NO_TEXT
    if len(text) < cfg.min_characters:
        return Reason.SHORT
    return Reason.LONG if cfg.max_characters is not None and len(text) > cfg.max_characters else text


def _cleaned(text: str, cfg: SourceConfig) -> str:
    text = " ".join(text.split()) if cfg.one_line else text.strip()
    if cfg.strip:
        text = text.strip(cfg.strip + whitespace).strip()
    return text if cfg.cap_repetition is None else without_repetition(text, cfg.cap_repetition)


def _in_part(text: str, cfg: SourceConfig) -> bool:
    """Whether a text falls into the source's part, by its hash."""
    return cfg.part is None or cfg.part[0] <= place_of(text, cfg.part_by) < cfg.part[1]


def record_of(row: Row, cfg: SourceConfig, row_name: str) -> Record | Reason:
    """Make a record of a row, or say why the settings leave it out. `row_name` is for errors."""
    if not _passes_filters(row, cfg, row_name):
        return Reason.FILTER
    if cfg.part_column is not None:
        value = readable(str(value_of(row, cfg.part_column)), cfg.part_column, row_name)
        if not _in_part(value, cfg):
            return Reason.OTHER_PART
    if cfg.role == "pairs":
        return _pair_of(row, cfg, row_name)
    text = _text_of(value_of(row, cfg.text), cfg, row_name)
    if isinstance(text, Reason):
        return text
    if cfg.part_column is None and not _in_part(text, cfg):
        return Reason.OTHER_PART
    label = label_of(row, cfg, row_name)
    if label is None and cfg.role in LABELLED:
        return Reason.NO_LABEL
    group, source, kind = (
        _name_in(row, column, row_name) for column in (cfg.group, cfg.source, cfg.kind_column)
    )
    score = _number(value_of(row, cfg.score), cfg.score, row_name) if cfg.score else None
    return Record(text, label, group, source=source, score=score, kind=kind)


def _pair_of(row: Row, cfg: SourceConfig, row_name: str) -> Record | Reason:
    """A pair: the chosen text, with prompt (may be empty) and rejected text as features."""
    prompt = value_of(row, cfg.prompt)
    chosen, rejected = (
        _text_of(value_of(row, name), cfg, row_name, column=name) for name in (cfg.chosen, cfg.rejected)
    )
    if isinstance(chosen, Reason):
        return chosen
    if isinstance(rejected, Reason):
        return rejected
    if not (_is_null(prompt) or isinstance(prompt, str)):
        raise SourceError(f"{row_name}: column '{cfg.prompt}' holds {type(prompt).__name__}, not text")
    text = "" if _is_null(prompt) else readable(str(prompt), cfg.prompt, row_name)
    features = {"prompt": text, "rejected": rejected}
    return Record(chosen, source=_name_in(row, cfg.source, row_name), features=features)


def _name_in(row: Row, column: str | None, row_name: str) -> str | None:
    """What sorts a record: any value as text; None where it is missing."""
    value = None if column is None else value_of(row, column)
    return None if column is None or _is_null(value) else readable(str(value), column, row_name)


def records(rows: Iterable[tuple[str, Row]], cfg: SourceConfig, count: RowCount) -> Iterator[Record]:
    """Records of (name, row) pairs, up to the limit; `count` is told of every row.

    Raises SourceError where not one row is left, or a label means nothing: then with the values of the rows
    around it and what to write.
    """
    values_seen: dict[str, None] = {}
    texts_seen: set[str] = set()
    numbered = iter(rows)
    n_records = 0
    for row_name, row in numbered:
        if len(values_seen) < LABEL_VALUES and count.read < LABEL_ROWS:
            values_seen.update(dict.fromkeys(_label_values(row, cfg)))
        try:
            record = record_of(row, cfg, row_name)
        except UnknownLabel as error:
            for later_row in (row, *(later for _, later in islice(numbered, LABEL_ROWS))):
                values_seen.update(dict.fromkeys(_label_values(later_row, cfg)))
            values = ", ".join(list(values_seen)[:LABEL_VALUES])
            values += ", ..." if len(values_seen) > LABEL_VALUES else ""
            raise SourceError(f"{error} (values seen: {values}); {error.advice}") from None
        except SourceError:
            raise
        except (ValueError, ArithmeticError) as error:  # whatever a cell may hold that nobody thought of
            raise SourceError(f"{row_name}: cannot be read ({error}); correct it or leave it out") from None
        count.read += 1
        if cfg.distinct and isinstance(record, Record):
            key = words_of(record.text)
            record = Reason.SAME_TEXT if key in texts_seen else record
            texts_seen.add(key)
        if isinstance(record, Reason):
            count.drop(record)
            continue
        n_records += 1
        if n_records == cfg.limit:
            count.stopped = Stop.LIMIT
        yield record
        if count.stopped:
            return
    if not n_records:
        dropped = f" ({reasons(count.reasons)})" if count.read else ""
        raise SourceError(f"source '{cfg.title}': none of {count.read:,} rows is left{dropped}")
