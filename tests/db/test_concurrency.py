"""A reader in a loop while a writer writes thousands of small transactions, each in its own process."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from hormesis.db.engine import open_reader, open_writer
from hormesis.db.read import latest_change, stage_runs, studies, train_points
from tests.fixtures.seeded_database import TINY
from tests.fixtures.shared_worlds import copy_database

WRITER = """
    import sys
    from hormesis.db.engine import open_writer
    from hormesis.db.schema import TrainPoint
    from hormesis.db.write import upsert, write_session
    url, arm, first, count, reopen = sys.argv[1], *map(int, sys.argv[2:])
    engine = open_writer(url)
    for step in range(first, first + count):
        row = {"arm_id": arm, "step": step, "tokens": step, "loss": 1.0, "clean_loss": None,
               "toxic_loss": None, "learning_rate": 0.1, "tokens_per_second": 1.0}
        with write_session(engine) as session:
            upsert(session, TrainPoint, [row], on=("arm_id", "step"))
        if reopen and step % reopen == 0:
            engine.dispose()
    engine.dispose()
"""


def start_writer(url: str, arm: int, first: int, *, count: int, reopen: int) -> subprocess.Popen[str]:
    arguments = [url, str(arm), str(first), str(count), str(reopen)]
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), *arguments], stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
@pytest.mark.parametrize(("count", "reopen"), [(1000, 0), (60, 3)])
def test_readers_and_a_writer_never_meet_a_lock(
    tiny_database: Path, tmp_path: Path, count: int, reopen: int
) -> None:
    """With `reopen` the writer leaves and comes back all the time, so its log comes and goes."""
    url = copy_database(tiny_database, tmp_path / "d.db")
    reader = open_reader(url)
    writer = start_writer(url, 1, 100_000, count=count, reopen=reopen)
    counts: list[int] = []
    failures: list[BaseException] = []

    def read() -> None:
        try:
            while writer.poll() is None:
                counts.append(len(stage_runs(reader, 1)))
                latest_change(reader)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    _, errors = writer.communicate(timeout=120)
    for thread in threads:
        thread.join()
    assert writer.returncode == 0, errors
    assert failures == []
    assert len(counts) > 10
    before = TINY.train_points * len(TINY.arms) * len(TINY.seeds)
    assert len(train_points(reader, 1, 1_000_000)) == before + count
    # A writer that closes while somebody reads leaves its log; the next one tidies up.
    open_writer(url).dispose()
    assert [p.name for p in tmp_path.iterdir()] == ["d.db"]


@pytest.mark.slow
def test_two_writers_take_turns(tiny_database: Path, tmp_path: Path) -> None:
    url = copy_database(tiny_database, tmp_path / "d.db")
    writers = [start_writer(url, 1, 100_000 * (i + 1), count=200, reopen=0) for i in range(2)]
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert writer.returncode == 0, errors
    before = TINY.train_points * len(TINY.arms) * len(TINY.seeds)
    assert len(train_points(open_reader(url), 1, 1_000_000)) == before + 400


def test_two_writers_may_create_the_database_together(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    code = f"from hormesis.db.engine import open_writer; open_writer({url!r}).dispose()"
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert len(studies(open_reader(url))) == 0


def test_threads_of_one_writer_share_its_engine(tiny_database: Path, tmp_path: Path) -> None:
    url = copy_database(tiny_database, tmp_path / "d.db")
    engine = open_writer(url)
    failures: list[BaseException] = []

    def read() -> None:
        try:
            for _ in range(20):
                studies(open_reader(url))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine.dispose()
    assert failures == []
