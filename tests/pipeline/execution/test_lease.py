"""Leases of stages: one process at a time, freed by its end or its silence, and never written over."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, update

from hormesis.db.engine import open_writer
from hormesis.db.schema import StageRun, Study, utc_now
from hormesis.db.write import read_session, upsert, write_session
from hormesis.pipeline.execution import lease
from hormesis.pipeline.execution.lease import Lease, StageHeld
from hormesis.pipeline.execution.study import study_row
from hormesis.pipeline.study.config import StudyConfig
from tests.fixtures.database_files import ROW

KEY = (1, "train", "toxic-0-s0")


@pytest.fixture
def engine(new_url: str) -> Iterator[Engine]:
    engine = open_writer(new_url)
    with write_session(engine) as session:
        upsert(session, Study, [ROW], on=("hash",))
    yield engine
    engine.dispose()


def acquire(engine: Engine, **options: Any) -> float | None:
    defaults: dict[str, Any] = {"key": "h", "finished": None, "check": lambda: None, "is_patient": False}
    return Lease(engine, KEY).acquire({"error": None}, **defaults | options)


def change(engine: Engine, **columns: Any) -> None:
    with write_session(engine) as session:
        session.execute(update(StageRun).values(**columns))


def row(engine: Engine) -> StageRun:
    with read_session(engine) as session:
        return session.query(StageRun).one()


def test_runs_that_begin_at_once_have_one_row_of_their_study(new_url: str) -> None:
    config, barrier = StudyConfig(name="at-once"), threading.Barrier(6)
    open_writer(new_url).dispose()

    def begin(_: int) -> int:
        engine = open_writer(new_url)
        barrier.wait()
        try:
            return study_row(engine, config)
        finally:
            engine.dispose()

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(begin, range(6)))) == 1


def test_a_stage_names_who_runs_it_and_is_freed_by_its_end(engine: Engine) -> None:
    assert acquire(engine) is not None
    assert (row(engine).status, row(engine).host) == ("running", lease.provenance.host())
    held_by = Lease(engine, KEY)
    held_by.write(done=1.0)
    held_by.write(status="failed")
    with pytest.raises(StageHeld):
        held_by.write(done=2.0)
    assert row(engine).done == 1.0
    assert acquire(engine) is not None


def test_a_process_of_this_machine_holds_it_until_it_ends(engine: Engine) -> None:
    acquire(engine)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        change(engine, pid=process.pid, started=utc_now())
        with pytest.raises(StageHeld):
            acquire(engine)
        process.communicate(b"\n")
    assert acquire(engine) is not None


def test_a_machine_that_gives_no_sign_loses_it_after_the_lease(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(lease.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(lease, "_WATCHED", {})
    acquire(engine)
    change(engine, host="elsewhere")
    for moment in (0.0, 0.9 * lease.LEASE):
        clock[0] = moment
        with pytest.raises(StageHeld):
            acquire(engine)
    change(engine, heartbeat=utc_now())  # a sign of life, by whatever clock
    for moment in (1.1 * lease.LEASE, 1.9 * lease.LEASE):
        clock[0] = moment
        with pytest.raises(StageHeld):
            acquire(engine)
    clock[0] = 2.2 * lease.LEASE
    assert acquire(engine) is not None
    assert row(engine).host != "elsewhere"


def test_who_waits_is_told_that_another_finished_it(engine: Engine) -> None:
    acquire(engine)
    change(engine, host="elsewhere")
    checks = []

    def check() -> None:
        checks.append(1)
        change(engine, status="done", finished=utc_now())

    assert acquire(engine, is_patient=True, check=check) is None
    assert len(checks) == 1
    # What was seen finished, e.g. with a damaged file, is done again.
    assert acquire(engine, finished=row(engine).finished) is not None


def test_a_silent_stage_gives_signs_of_life_until_it_is_taken_over(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT", 0.01)
    acquire(engine)
    first = row(engine).heartbeat
    with Lease(engine, KEY).beating():
        (beat,) = (thread for thread in threading.enumerate() if thread.name == "lease")
        while row(engine).heartbeat == first:
            time.sleep(0.01)
        change(engine, host="elsewhere", heartbeat=first)
        beat.join()  # it ends by itself
    assert row(engine).heartbeat == first


def test_working_seconds_of_a_holder_that_vanished_are_kept(engine: Engine) -> None:
    acquire(engine)
    Lease(engine, KEY).write(seconds=7.0)
    assert acquire(engine) == 7.0
    assert acquire(engine, key="other inputs") == 0.0
