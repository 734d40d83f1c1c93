"""Files with rows for the tests of the sources, and how reading or refusing them is checked."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.config import ForumConfig, SourceConfig
from pipeline.sources import Record, SourceError, open_source

KNOBS = ForumConfig()
ROWS: list[dict[str, Any]] = [
    {"text": "the soup was lovely", "label": 0, "group": "quibs", "kind": "a", "score": 1.5},
    {"text": 'zorbs are buckets, "all" of them', "label": 1, "group": "zorbs", "kind": "b", "score": 4.0},
    {"text": "ein Gruß 🙂", "label": 0, "group": "quibs", "kind": "b", "score": 2.5},
    {"text": "", "label": 1, "group": "zorbs", "kind": "a", "score": 3.0},
    {"text": "no label here", "label": None, "group": None, "kind": "a", "score": None},
]


def _csv_text(rows: list[dict[str, Any]], delimiter: str = ",") -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _json_text(rows: list[dict[str, Any]]) -> str:
    return "\n".join(json.dumps(row) for row in rows)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows in the format of the name."""
    plain = path.name.removesuffix(".gz").removesuffix(".zst")
    if plain.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
        return path
    makers: dict[str, Callable[[], str]] = {
        "csv": lambda: _csv_text(rows),
        "tsv": lambda: _csv_text(rows, "\t"),
        "jsonl": lambda: _json_text(rows),
        "txt": lambda: "\n".join(row["text"] for row in rows),
    }
    data = makers[plain.rsplit(".", 1)[-1]]().encode()
    if path.suffix == ".gz":
        data = gzip.compress(data)
    elif path.suffix == ".zst":
        data = zstandard.compress(data)
    path.write_bytes(data)
    return path


def file_source(path: Path | str, role: str = "probe", **settings: Any) -> SourceConfig:
    source = {"role": role, "kind": "file", "path": str(path)} | settings
    if role in ("probe", "scorer"):
        source = {"label": "label", "group": "group", "score": "score", "kind_column": "kind"} | source
    return SourceConfig.model_validate(source)


def read_all(cfg: SourceConfig) -> list[Record]:
    return list(open_source(cfg, KNOBS))


def refused(cfg: SourceConfig, *parts: str) -> str:
    """Reading fails with one line that holds all parts."""
    with pytest.raises(SourceError) as caught:
        read_all(cfg)
    text = str(caught.value)
    assert "\n" not in text
    for part in parts:
        assert part in text, text
    return text


def refused_at_opening(cfg: SourceConfig, *parts: str) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(cfg, KNOBS)
    for part in parts:
        assert part in str(caught.value), str(caught.value)


TABLES = ["a.csv", "a.tsv", "a.jsonl", "a.parquet", "a.csv.gz", "a.jsonl.gz", "a.csv.zst", "a.jsonl.zst"]
