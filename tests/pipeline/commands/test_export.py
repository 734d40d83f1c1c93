"""Exported files read back by pandas, polars and DuckDB: the database's own values, null, empty and typed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from hormesis.db.contract.gates import GATES
from hormesis.db.read.export import selection
from hormesis.db.read.views import view_statements
from hormesis.db.schema import Base
from hormesis.pipeline.commands.export import export_tables
from tests.fixtures.shared_worlds import copy_database

Rows = list[tuple[Any, ...]]
EMPTY = "toy_effect"
CHANGES = (
    "UPDATE generation SET text = '' WHERE id % 3 = 0",
    "UPDATE generation SET text = 'NA' WHERE id % 3 = 1",
    "UPDATE prompt SET kind = NULL WHERE position = 0",
    "UPDATE prompt SET kind = '' WHERE position = 1",
    "UPDATE prompt SET text = 'a, \"b\"' || char(10) || 'second line' WHERE position = 2",
    "UPDATE stage_run SET finished = NULL, started = '2026-01-02 03:04:05.678901' WHERE id = 1",
    f"DELETE FROM {EMPTY}",
)
"""What files have lost: empty texts, null beside empty, line breaks, moments, a table without rows."""


def csv_in_arrow(path: Path) -> pa.Table:
    """As `DICTIONARY.md` says."""
    types = json.loads((path.parent / "types.json").read_text(encoding="utf-8"))[path.stem]
    options = pa.csv.ConvertOptions(
        column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    lines = pa.csv.ParseOptions(newlines_in_values=True)
    return pa.csv.read_csv(path, parse_options=lines, convert_options=options)


def csv_in_pandas(path: Path) -> pd.DataFrame:
    frame: pd.DataFrame = csv_in_arrow(path).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return frame


def rows_of_frame(frame: pd.DataFrame) -> Rows:
    return list(frame.astype(object).where(frame.notna(), None).itertuples(index=False, name=None))


def parquet_in_polars(path: Path) -> Rows:
    rows: Rows = pytest.importorskip("polars").read_parquet(path).rows()
    return rows


def csv_in_polars(path: Path) -> Rows:
    rows: Rows = pytest.importorskip("polars").from_arrow(csv_in_arrow(path)).rows()
    return rows


def parquet_in_duckdb(path: Path) -> Rows:
    rows: Rows = pytest.importorskip("duckdb").sql(f"SET TimeZone = 'UTC'; FROM '{path}'").fetchall()
    return rows


def csv_in_duckdb(path: Path) -> Rows:
    written = csv_in_arrow(path)  # noqa: F841  (DuckDB sees the variable)
    rows: Rows = pytest.importorskip("duckdb").sql("FROM written").fetchall()
    return rows


READERS: dict[str, Callable[[Path], Rows]] = {
    "parquet in pandas": lambda path: rows_of_frame(pd.read_parquet(path)),
    "csv in pandas": lambda path: rows_of_frame(csv_in_pandas(path)),
    "parquet in polars": parquet_in_polars,
    "csv in polars": csv_in_polars,
    "parquet in duckdb": parquet_in_duckdb,
    "csv in duckdb": csv_in_duckdb,
}


@pytest.fixture(scope="module")
def database(tiny_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "study.sqlite"
    copy_database(tiny_database, path)
    connection = sqlite3.connect(path)
    for change in CHANGES:
        connection.execute(change)
    connection.commit()
    connection.close()
    return path


@pytest.fixture(scope="module")
def folders(database: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {form: tmp_path_factory.mktemp(form) for form in ("parquet", "csv")}
    for form, folder in folders.items():
        export_tables(f"sqlite:///{database}", folder, form)
    return folders


def plain(value: Any, kind: str, form: str) -> Any:
    """A value as any reader should give it; a CSV file has moments to the millisecond."""
    if value is None:
        return None
    if kind == "moment, UTC":
        moment = datetime.fromisoformat(str(value)) if not isinstance(value, datetime) else value
        return f"{moment:%Y-%m-%d %H:%M:%S.%f}"[: 26 if form == "parquet" else 23]
    if kind == "JSON":
        return json.loads(value)
    if kind == "true or false":
        return bool(value)
    return value.item() if isinstance(value, np.generic) else value


@pytest.mark.parametrize("reader", READERS)
def test_files_hold_what_the_database_holds(folders: dict[str, Path], database: Path, reader: str) -> None:
    form = reader.split()[0]
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    for name in (table.name for table in Base.metadata.sorted_tables if table.name != EMPTY):
        columns = selection(name, with_bytes=form == "parquet")
        order = ", ".join(column.name for column in columns.key)
        names = ", ".join(f'"{field.name}"' for field in columns.fields)
        stored = connection.execute(f'SELECT {names} FROM "{name}" ORDER BY {order}').fetchall()
        read = READERS[reader](folders[form] / f"{name}.{form}")
        kinds = [field.type for field in columns.fields]
        for left, right in zip(read, stored, strict=True):
            values = [[plain(v, k, form) for v, k in zip(row, kinds, strict=True)] for row in (left, right)]
            assert values[0] == values[1], name
    connection.close()


def test_integers_texts_and_empty_tables_keep_their_types(folders: dict[str, Path]) -> None:
    parquet, csv = folders["parquet"], folders["csv"]
    for frame in (pd.read_parquet(parquet / "probe.parquet"), csv_in_pandas(csv / "probe.csv")):
        assert str(frame["rank"].dtype) == "Int64" and frame["rank"].isna().any()
    texts = pd.read_parquet(parquet / "generation.parquet")["text"]
    assert (texts == "").any() and (texts == "NA").any() and not texts.isna().any()
    assert pd.read_csv(csv / "generation.csv", keep_default_na=False)["text"].tolist() == texts.tolist()
    empty = pq.read_table(parquet / f"{EMPTY}.parquet")
    assert len(empty) == 0 and empty.schema.field("value").type == pa.float64()
    assert (
        empty.schema.field("n_seeds").type == pa.int64() and empty.schema.field("split").type == pa.string()
    )
    read = csv_in_arrow(csv / f"{EMPTY}.csv")
    assert len(read) == 0 and read.schema.types == empty.schema.types


def test_a_moment_is_a_moment_in_a_spreadsheet(folders: dict[str, Path]) -> None:
    """Spreadsheets take a date and a time to the millisecond; pandas writes none with a zone."""
    line = (folders["csv"] / "stage_run.csv").read_text(encoding="utf-8").splitlines()[1]
    assert ",2026-01-02 03:04:05.678," in line
    assert csv_in_pandas(folders["csv"] / "stage_run.csv")["started"].dt.tz is None


def test_meaning_and_unit_travel_with_every_column(folders: dict[str, Path]) -> None:
    page = (folders["csv"] / "DICTIONARY.md").read_text(encoding="utf-8")
    for table in Base.metadata.sorted_tables:
        schema = pq.read_schema(folders["parquet"] / f"{table.name}.parquet")
        assert schema.metadata[b"description"].decode() in page
        assert f"### {table.name}\n" in page
        for field in schema:
            assert field.metadata[b"meaning"].decode().replace("|", "\\|") in page
    notes = pq.read_schema(folders["parquet"] / "train_point.parquet").field("loss").metadata
    assert (notes[b"unit"], notes[b"nullable"], notes[b"type"]) == (b"nats per token", b"yes", b"number")
    assert (folders["csv"] / "views.sql").read_text(encoding="utf-8") == view_statements()


def test_blobs_are_as_the_dictionary_says(folders: dict[str, Path]) -> None:
    block = pd.read_parquet(folders["parquet"] / "activation_block.parquet").iloc[0]
    listed = pd.read_parquet(folders["parquet"] / "example_list.parquet").set_index("id")
    values = np.frombuffer(block["data"], dtype="<f2").reshape(block["rows"], block["columns"])
    assert np.isfinite(values * block["scale"]).all()
    ids = np.frombuffer(listed.loc[block["example_list_id"], "ids"], dtype="<i8")
    assert len(ids) == block["rows"] and set(ids) <= set(
        pd.read_parquet(folders["parquet"] / "example.parquet")["id"]
    )
    vector = np.frombuffer(
        pd.read_parquet(folders["parquet"] / "direction.parquet")["vector"].iloc[0], dtype="<f4"
    )
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_losses_at_the_gates_are_written_with_every_table(folders: dict[str, Path]) -> None:
    parquet = pd.read_parquet(folders["parquet"] / "gates.parquet")
    csv = csv_in_pandas(folders["csv"] / "gates.csv")
    for frame in (parquet, csv):
        assert set(frame["gate"]) == set(GATES) and set(frame["study"]) == {"seeded test data"}
        assert (
            frame["status"].isin(["passes", "fails", "cannot be told"]).all() and frame["value"].isna().any()
        )
    assert rows_of_frame(parquet) == rows_of_frame(csv)


def test_a_view_is_written_by_name(database: Path, tmp_path: Path) -> None:
    written = export_tables(f"sqlite:///{database}", tmp_path, "parquet", tables=["summary_named"])
    frame = pd.read_parquet(tmp_path / "summary_named.parquet")
    assert written == {"summary_named": len(frame)} and set(frame["study"]) == {"seeded test data"}
