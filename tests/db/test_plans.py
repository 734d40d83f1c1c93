"""No page query scans a big table, and its columns do not depend on the rows that came back."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine, event, text

from hormesis.db import read
from hormesis.db.engine import open_reader, open_writer, reading
from tests.fixtures.read_queries import QUERIES, Names

BIG = (
    "generation",
    "score",
    "projection_point",
    "activation_block",
    "direction",
    "probe",
    "example",
    "prompt",
)
BIG = (*BIG, "train_point", "metric", "summary")


@pytest.fixture
def plans(engine: Engine, path: Path) -> Iterator[list[str]]:
    """Collects the plan of every statement that runs on the engine."""
    steps: list[str] = []
    raw = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _x: Any, _many: bool) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            steps.extend(row[3] for row in raw.execute("EXPLAIN QUERY PLAN " + statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    yield steps
    event.remove(engine, "before_cursor_execute", note)
    raw.close()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", [*QUERIES, "latest_change"])
def test_no_page_query_scans_a_big_table(name: str, engine: Engine, at: Names, plans: list[str]) -> None:
    if name == "latest_change":
        read.latest_change(engine)
    else:
        QUERIES[name](engine, at)
    assert plans
    # max(id) reads one row from the end, which SQLite calls a search; anything that walks a table is a scan.
    scans = [step for step in plans if re.match(rf"SCAN ({'|'.join(BIG)}|anon_\d+_\w+)(_\d+)?\b", step)]
    scans = [step for step in scans if not re.match(r"SCAN anon_\d+$", step)]
    assert scans == [], plans


@pytest.mark.slow
@pytest.mark.parametrize("name", QUERIES)
def test_columns_and_types_do_not_depend_on_the_rows(
    name: str, engine: Engine, at: Names, tmp_path_factory: pytest.TempPathFactory
) -> None:
    full = QUERIES[name](engine, at)
    assert isinstance(full, pd.DataFrame)
    assert len(full) > 0
    if name == "activations":
        return
    empty_file = tmp_path_factory.getbasetemp() / "empty.db"
    open_writer(f"sqlite:///{empty_file}").dispose()
    empty = QUERIES[name](open_reader(f"sqlite:///{empty_file}"), at)
    assert len(empty) == 0
    pd.testing.assert_series_equal(empty.dtypes, full.dtypes)


def test_a_scan_would_be_noticed(engine: Engine, plans: list[str]) -> None:
    reading(engine, lambda connection: connection.execute(text("SELECT count(*) FROM generation")).scalar())
    assert re.match("SCAN generation", plans[0])
