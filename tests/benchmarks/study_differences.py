"""How far two runs of one study are apart, table by table: rows matched by natural keys, numbers compared.

Numbers of arrays (vectors, activations, losses of documents) and of JSON count with the rest. Times, paths,
hashes of weights and what else tells of the machine are left out, and so are UMAP layouts, which the last bit
of their input turns and bends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np

from tests.fixtures.named_rows import named_rows

OF_THE_MACHINE = (
    "study.created", "study.data_revisions", "arm.composition", "checkpoint.path", "checkpoint.weights_hash",
    "checkpoint.details", "train_point.tokens_per_second", "attack.input_hash", "attack.parameters",
    "condition.parameters", "verdict.evaluated",
    *(f"toy_experiment.{name}" for name in ("created", "heartbeat", "seconds", "host", "packages")),
    *(f"stage_run.{name}" for name in (
        "done", "total", "unit", "message", "started", "heartbeat", "finished", "seconds", "host", "pid",
        "packages", "files",
    )),
)  # fmt: skip
ENCODINGS = {"data": "<f2", "document_nats": "<f8", "document_tokens": "<i8", "item_tops": "<f8"}
ENCODINGS |= {"item_bottoms": "<f8", "bits": "u1"}
"""Element types of columns of bytes, other than float32."""
UMAP = "umap"


@dataclass(frozen=True)
class TableDifference:
    """Two runs' rows of one table. `largest`: of |a - b| / max(1, |a|) over numbers of rows in both runs."""

    table: str
    rows: int
    unequal: int
    """Rows that only one run has, with another text, or with a number beyond the tolerance."""
    largest: float


def differences(first: str, second: str, tolerance: Callable[[str], float]) -> list[TableDifference]:
    """The tables of two databases (URLs) that hold rows; `tolerance` of a table."""
    rows, others = (named_rows(url, without=OF_THE_MACHINE) for url in (first, second))
    result = []
    for table, expected in rows.items():
        keys = {key for key in expected.keys() | others[table].keys() if UMAP not in repr(key)}
        common = [key for key in keys if key in expected and key in others[table]]
        distances = [_distance(expected[key], others[table][key]) for key in common]
        unequal = len(keys) - len(common) + sum(distance > tolerance(table) for distance in distances)
        largest = max((distance for distance in distances if distance < math.inf), default=0.0)
        if keys:
            result.append(TableDifference(table, len(keys), unequal, largest))
    return result


def _distance(row: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest difference of two rows' numbers; infinite where anything else differs."""
    largest = 0.0
    for name, value in row.items():
        for left, right in zip_longest(_leaves(name, value), _leaves(name, other[name])):
            if isinstance(left, float) and isinstance(right, float):
                largest = max(largest, _apart(left, right))
            elif isinstance(left, np.ndarray) and isinstance(right, np.ndarray) and left.shape == right.shape:
                scale = max(1.0, float(np.abs(left).max(initial=0.0)))
                largest = max(largest, float(np.abs(left - right).max(initial=0.0)) / scale)
            elif isinstance(left, np.ndarray) or isinstance(right, np.ndarray) or left != right:
                return math.inf
    return largest


def _apart(left: float, right: float) -> float:
    if left == right or (math.isnan(left) and math.isnan(right)):
        return 0.0
    distance = abs(left - right) / max(1.0, abs(left))
    return distance if math.isfinite(distance) else math.inf


def _leaves(name: str, value: Any) -> Iterator[Any]:
    """Numbers as float, arrays and texts of a value, in order."""
    if isinstance(value, bytes):
        yield np.frombuffer(value, ENCODINGS.get(name, "<f4")).astype(np.float64)
    elif isinstance(value, dict):
        for key in sorted(value):
            yield key
            yield from _leaves(name, value[key])
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _leaves(name, part)
    else:
        yield float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
