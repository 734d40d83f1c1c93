"""A seeded database for the tests of reading: its file, a reader, and the names of its rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from hormesis.db.engine import open_reader
from tests.fixtures.postgres_server import DATABASE_KINDS
from tests.fixtures.read_queries import Names
from tests.fixtures.shared_worlds import copy_database


@pytest.fixture(scope="module")
def path(small_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("read") / "d.db"
    copy_database(small_database, file)
    return file


@pytest.fixture(scope="module", params=DATABASE_KINDS)
def engine(request: pytest.FixtureRequest, path: Path) -> Engine:
    url = f"sqlite:///{path}" if request.param == "sqlite" else request.getfixturevalue("postgres_copy")
    return open_reader(url)


@pytest.fixture(scope="module")
def at(engine: Engine) -> Names:
    return Names(engine)
