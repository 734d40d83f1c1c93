"""Fixtures shared by all tests: real data where it is at hand, shared worlds, a home of its own."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hormesis.dashboard.base import refresh
from hormesis.db.processes import collect_garbage_rarely
from tests.fixtures.postgres_server import DATABASE_KINDS
from tests.fixtures.shared_worlds import shared_world

if TYPE_CHECKING:
    from tests.fixtures.hub_world import HubWorld
    from tests.fixtures.postgres_server import PostgresServer
    from tests.fixtures.service_world import World

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# A run in the background of a script ignores Ctrl-C, and so would every command that its tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_finish() -> None:
    """Keep the collector from walking a million imported objects again and again while tests run."""
    gc.collect()
    gc.freeze()
    collect_garbage_rarely()


@pytest.fixture(scope="session", autouse=True)
def forked_processes() -> Iterator[None]:
    """Commands that tests start need not load their libraries anew."""
    from tests.fixtures.forked import forked_commands

    with forked_commands():
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("HORMESIS_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "probe_labelled.parquet").is_file():
        pytest.skip("the real data sets are not here; set HORMESIS_TEST_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def small_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The seeded study of five arms, to look at or to copy."""
    from tests.fixtures.seeded_database import build_file

    folder = shared_world(tmp_path_factory, "small", lambda folder: build_file(folder / "study.sqlite"))
    return folder / "study.sqlite"


@pytest.fixture(scope="session")
def tiny_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The seeded study of two arms, to look at or to copy."""
    from tests.fixtures.seeded_database import TINY, build_file

    folder = shared_world(tmp_path_factory, "tiny", lambda folder: build_file(folder / "study.sqlite", TINY))
    return folder / "study.sqlite"


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Tiny checkpoints and a database about them, to look at."""
    from tests.fixtures.service_world import shared_service_world

    return shared_service_world(tmp_path_factory)


@pytest.fixture(scope="session")
def address(world: World) -> Iterator[str]:
    """A model service on that world, one for all tests of a worker."""
    from tests.fixtures.service_world import server

    with server(world) as url:
        yield url


@pytest.fixture(scope="session")
def stand_in_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubWorld]:
    """A stand-in for the Hugging Face hub, one for all tests of a worker (`xdist_group("hub")`)."""
    from tests.fixtures.hub_world import hub_at_work

    with hub_at_work(tmp_path_factory.mktemp("hub")) as world:
        yield world


@pytest.fixture
def hub_world(stand_in_hub: HubWorld, tmp_path: Path) -> HubWorld:
    """The stand-in hub with every data set in it, and a home and caches of the test's own."""
    from tests.fixtures.hub_world import emptied

    return emptied(stand_in_hub, tmp_path / "home")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server, one for all tests of a worker."""
    from tests.fixtures.postgres_server import postgres_server

    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_copy(postgres: PostgresServer, small_database: Path) -> str:
    """The URL of a copy of the seeded study on PostgreSQL, to look at."""
    from tests.fixtures.database_files import copied_study

    return copied_study(small_database, postgres.new_database())


@pytest.fixture(params=DATABASE_KINDS)
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that is not there yet, or has no tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/d.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture(autouse=True)
def own_main() -> Iterator[None]:
    """Streamlit's AppTest leaves a page as `__main__`, which processes started later would run again."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before


@pytest.fixture(autouse=True)
def own_threads() -> Iterator[None]:
    """No test leaves torch with more threads: where cores are busy they wait for each other from then on."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch is not None else None
    yield
    assert before is None or sys.modules["torch"].get_num_threads() == before


@pytest.fixture(autouse=True)
def no_browser_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages drawn without a browser need not wait for one; those of the browser tests are other processes."""
    monkeypatch.setattr(refresh, "ANSWER_FIRST", 0.0)


@pytest.fixture
def fresh_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without a model service and without what earlier pages cached."""
    from tests.fixtures.pages import clear_caches

    monkeypatch.delenv("HORMESIS_SERVICE", raising=False)
    clear_caches()


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a database of the test's own."""
    monkeypatch.setenv("HORMESIS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HORMESIS_DB", raising=False)
    return tmp_path / "home"
