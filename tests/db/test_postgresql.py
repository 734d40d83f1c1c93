"""PostgreSQL: the same rows in the same order as SQLite, tables made once, every trouble one sentence."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest
from alembic.migration import MigrationContext
from sqlalchemy import Column, Engine, MetaData, Select, create_engine, event, inspect, select, text
from sqlalchemy.sql.elements import UnaryExpression
from sqlalchemy.sql.functions import count
from sqlalchemy.sql.operators import nulls_first_op, nulls_last_op
from sqlalchemy.sql.visitors import iterate

from hormesis.db import migrate
from hormesis.db.copy.changes import Changes
from hormesis.db.copy.database import copy_database
from hormesis.db.copy.weights import Homes
from hormesis.db.engine import DatabaseProblem, open_reader, open_writer
from hormesis.db.problems import parse_url
from hormesis.db.read import database_state, studies
from hormesis.db.schema import Base, Scorer
from hormesis.db.write import write_session
from tests.db.copy.test_database import PLACES
from tests.fixtures.database_files import make_old, url_of
from tests.fixtures.named_rows import named_rows
from tests.fixtures.postgres_server import PostgresServer
from tests.fixtures.read_queries import QUERIES, Names

pytestmark = pytest.mark.xdist_group("postgresql")


@pytest.mark.parametrize("name", QUERIES)
def test_queries_give_the_same_rows_in_the_same_order(name: str, path: Path, postgres_copy: str) -> None:
    results = []
    for url in (url_of(path), postgres_copy):
        engine = open_reader(url)
        results.append(QUERIES[name](engine, Names(engine)))
    first, second = results
    if isinstance(first, pd.DataFrame):
        places = {"path": "", "details": ""} if "path" in first else {}
        pd.testing.assert_frame_equal(first.assign(**places), second.assign(**places))
    else:
        assert repr(first) == repr(second)


@pytest.fixture(scope="module")
def statements(path: Path) -> Iterator[list[Select[Any]]]:
    """Every statement that the queries of pages execute."""
    engine, executed = open_reader(url_of(path)), list[Select[Any]]()

    def note(connection: object, statement: object, *_: object) -> None:
        executed.extend([statement] if isinstance(statement, Select) else [])

    event.listen(Engine, "before_execute", note)
    try:
        names = Names(engine)
        for query in QUERIES.values():
            query(engine, names)
    finally:
        event.remove(Engine, "before_execute", note)
    yield executed


def test_every_order_says_where_missing_values_come(statements: list[Select[Any]]) -> None:
    """SQLite puts them first and PostgreSQL last, where nobody says."""
    silent = set()
    for statement in statements:
        for part in iterate(statement):
            for clause in getattr(part, "_order_by_clauses", ()):
                modifiers = {
                    unary.modifier for unary in iterate(clause) if isinstance(unary, UnaryExpression)
                }
                is_count = any(isinstance(element, count) for element in iterate(clause))
                columns = [element for element in iterate(clause) if isinstance(element, Column)]
                may_be_missing = not is_count and any(column.nullable for column in columns)
                if may_be_missing and not modifiers & {nulls_first_op, nulls_last_op}:
                    silent.add(str(clause))
    assert statements and not silent, "; ".join(sorted(silent))


def _open(url: str, failures: Any) -> None:
    try:
        open_writer(url).dispose()
    except BaseException as error:
        failures.put(repr(error))


def test_processes_that_open_an_empty_database_make_its_tables_once(postgres: PostgresServer) -> None:
    url, context = postgres.new_database(), multiprocessing.get_context("fork")
    failures = context.Queue()
    processes = [context.Process(target=_open, args=(url, failures)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert failures.empty(), failures.get()
    assert database_state(url).kind == "ok"


def test_a_database_of_the_first_version_is_upgraded_and_keeps_its_rows(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    old, url, metadata = create_engine(make_old(tmp_path / "old.sqlite")), postgres.new_database(), MetaData()
    server = create_engine(parse_url(url))
    event.listen(metadata, "column_reflect", lambda _, __, info: info.update(type=info["type"].as_generic()))
    metadata.reflect(old)
    with old.connect() as reader, server.begin() as writer:
        for table in metadata.sorted_tables:
            table.create(writer)
            if rows := [row._asdict() for row in reader.execute(select(table))]:
                writer.execute(table.insert(), rows)
    with pytest.raises(DatabaseProblem, match="run: hormesis upgrade"):
        open_reader(url)
    open_writer(url).dispose()
    counts = {table.name: select(text("count(*)")).select_from(table) for table in metadata.sorted_tables}
    with old.connect() as before, server.connect() as after:
        for name, query in counts.items():
            assert before.scalar(query) == after.scalar(query) or name == "alembic_version", name
        tables = {name: {c["name"] for c in inspect(after).get_columns(name)} for name in counts}
        assert all(
            tables[name] >= {c.name for c in Base.metadata.tables[name].columns}
            for name in counts.keys() & Base.metadata.tables.keys()
        )
        assert MigrationContext.configure(after).get_current_revision() == migrate.head()
        collations = set(
            after.execute(
                text(
                    "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE "
                    "table_schema = 'public' AND data_type = 'character varying' AND table_name != "
                    "'alembic_version' AND collation_name IS DISTINCT FROM 'C'"
                )
            ).scalars()
        )
        assert not collations, "strings that the server orders by its own language"
    assert len(studies(open_reader(url))) == 1


def test_what_cannot_be_opened_is_one_sentence(postgres: PostgresServer) -> None:
    newer, foreign = postgres.new_database(), postgres.new_database()
    open_writer(newer).dispose()
    with psycopg.connect(newer) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with psycopg.connect(foreign) as connection:
        connection.execute("CREATE TABLE other (x int)")
    address = f"127.0.0.1:{postgres.port}"
    sentences = {
        newer: "newer version",
        foreign: "database of another program",
        postgres.url("absent"): "make it there by: createdb",
        f"postgresql://nobody:secret@{address}/postgres": "does not know this user",
        "postgresql://u:secret@127.0.0.1:1/d": "nothing answers there",
        "postgresql://u@127.0.0.1:1/d?password=secret": "nothing answers there",
        "postgresql://u:secret@nowhere.invalid/d": "host is not known",
    }
    for url, sentence in sentences.items():
        for opened in (open_reader, open_writer):
            with pytest.raises(DatabaseProblem, match=sentence) as caught:
                opened(url)
            assert "\n" not in str(caught.value) and "secret" not in str(caught.value)


def test_a_missing_driver_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    with pytest.raises(DatabaseProblem, match=r"pip install \"hormesis\[postgresql\]\"$"):
        parse_url("postgresql://u@h/driverless")


def test_a_study_copied_to_postgresql_and_back(
    tiny_database: Path, tmp_path: Path, postgres: PostgresServer
) -> None:
    url, back = postgres.new_database(), url_of(tmp_path / "back.sqlite")
    changes = Changes(Homes((tiny_database.parent,), tmp_path), texts=True)
    for added in (True, False):
        result = copy_database(url_of(tiny_database), url, [1], changes, lambda done, total: None)
        assert bool(result.added.total()) is added
    with write_session(open_writer(url)) as session:
        session.add(Scorer(name="later", revision="1"))  # its id is counted on from those given
    copy_database(url, back, [1], changes, lambda done, total: None)
    assert named_rows(back, without=PLACES) == named_rows(url_of(tiny_database), without=PLACES)
