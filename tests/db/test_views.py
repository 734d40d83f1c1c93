"""Views with names: their SQL runs on a database as it is, and gives the rows that an export writes."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pandas as pd
import pytest

from hormesis.db.engine import open_reader
from hormesis.db.read.export import export_table, selection
from hormesis.db.read.views import VIEWED, view_statements, views
from tests.fixtures.shared_worlds import copy_database


@pytest.fixture(scope="module")
def connection(tiny_database: Path) -> sqlite3.Connection:
    """A connection that can only read, with the views of the file that an export writes."""
    connection = sqlite3.connect(f"file:{tiny_database}?mode=ro", uri=True)
    connection.executescript(view_statements())
    return connection


def plain(frame: pd.DataFrame) -> list[tuple[object, ...]]:
    return list(frame.astype(object).where(frame.notna(), None).itertuples(index=False, name=None))


@pytest.mark.parametrize("name", views())
def test_a_view_has_the_rows_of_its_table(
    connection: sqlite3.Connection, tiny_database: Path, name: str
) -> None:
    table = name.removesuffix("_named")
    columns = list(selection(name).kinds)
    rows = pd.read_sql(f"SELECT * FROM {name}", connection)
    assert list(rows.columns) == columns and len(set(columns)) == len(columns)
    assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (len(rows),) and len(rows)
    exported = pd.concat(export_table(open_reader(f"sqlite:///{tiny_database}"), name, chunk=7))
    key = [column.name for column in selection(name).key]
    assert plain(exported) == plain(rows.sort_values(key))
    plan = connection.execute(
        f"EXPLAIN QUERY PLAN SELECT * FROM {name} ORDER BY {', '.join(key)} LIMIT 10"
    ).fetchall()
    assert not [step for step in plan if "TEMP B-TREE" in step[3]], "chunks would sort the whole table"


def test_names_are_those_of_the_rows_own_arm_and_condition(connection: sqlite3.Connection) -> None:
    query = """
        SELECT count(*) FROM generation_named AS named
        JOIN generation ON generation.id = named.id
        JOIN condition ON condition.id = generation.condition_id
        JOIN checkpoint ON checkpoint.id = condition.checkpoint_id
        JOIN arm ON arm.id = checkpoint.arm_id
        JOIN prompt ON prompt.id = generation.prompt_id
        WHERE named.arm = arm.name AND named.arm_share = arm.share AND named.condition = condition.key
            AND named.checkpoint = checkpoint.name AND named.prompt = prompt.text
    """
    count = connection.execute("SELECT count(*) FROM generation").fetchone()
    assert connection.execute(query).fetchone() == count
    shares = dict(connection.execute("SELECT DISTINCT arm, arm_share FROM metric_named"))
    assert shares["toxic-0-s0"] == 0.0 and shares["toxic-25-s0"] == 0.25


def test_an_imported_checkpoint_stays_and_has_no_arm(tiny_database: Path, tmp_path: Path) -> None:
    url = copy_database(tiny_database, tmp_path / "study.sqlite")
    writing = sqlite3.connect(tmp_path / "study.sqlite")
    count = writing.execute("SELECT count(*) FROM generation").fetchone()[0]
    writing.execute("UPDATE checkpoint SET arm_id = NULL WHERE name = 'toxic-25-s0'")
    writing.commit()
    writing.close()
    rows = pd.concat(export_table(open_reader(url), "generation_named"))
    assert len(rows) == count and str(rows["seed"].dtype) == "Int64"
    imported = rows[rows["checkpoint"] == "toxic-25-s0"]
    assert len(imported) and imported[["arm", "arm_share", "seed"]].isna().all(axis=None)
    fields = {field.name: field.is_nullable for field in selection("generation_named").fields}
    assert fields["seed"] and not fields["checkpoint"]


def test_every_view_is_of_a_table_and_unknown_names_are_refused() -> None:
    assert {name.removesuffix("_named") for name in views()} == set(VIEWED)
    with pytest.raises(ValueError, match=r"there is no table 'study_named'.*generation_named"):
        selection("study_named")
