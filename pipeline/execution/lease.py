"""Leases of stages: of all processes and machines on one database, one runs a stage at a time.

A lease is a stage's row that is marked as running by a process, whose heartbeat goes on. It ends with the
stage, with the process (on its own machine that is seen at once), or when the heartbeat has stood still for
`LEASE` seconds of the looker's own clock, so that clocks of machines need not agree.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import Engine, select, update

from hormesis.db.processes import is_running
from hormesis.db.schema import StageRun, utc_now
from hormesis.db.write import insert_missing, read_session, write_session
from hormesis.pipeline.execution import provenance

LEASE = 60.0
"""Seconds after which a process that gives no sign of life has lost its stage."""
BEAT = 10.0
"""Seconds between two signs of life."""
LOOK = 1.0
"""Seconds between two looks of a process that waits for another's stage."""

StageKey: TypeAlias = tuple[int, str, str]
"""Study id, stage and subject: the natural key of `stage_run`."""
_WATCHED: dict[StageKey, tuple[object, float]] = {}
"""Of rows that others hold: what was last seen of the holder, and since when (monotonic seconds)."""


class StageHeld(Exception):
    """Another process runs the stage; one line."""


def is_free(row: StageRun) -> bool:
    """Whether nobody runs the stage of this row, or whoever did has vanished."""
    if row.status != "running":
        return True
    if row.host == provenance.host() and (row.pid == os.getpid() or not _has_process(row.pid, row.started)):
        return True
    key = (row.study_id, row.stage, row.subject)
    sign, now = (row.host, row.pid, row.heartbeat), time.monotonic()
    last_sign, since = _WATCHED.get(key, (None, now))
    if sign != last_sign:
        _WATCHED[key] = (sign, now)
        return False
    return now - since > LEASE


def is_at_work(host: str, pid: int | None, started: datetime | None, heartbeat: datetime | None) -> bool:
    """Whether the process that a running stage's row names still seems to run it; to tell, not to decide:
    heartbeats are moments of another machine's clock.
    """
    beats = heartbeat is not None and (utc_now() - heartbeat).total_seconds() < LEASE
    return beats and (host != provenance.host() or _has_process(pid, started))


def _has_process(pid: int | None, started: datetime | None) -> bool:
    """Whether this machine has the process that began a stage at this moment."""
    return pid is not None and started is not None and is_running(pid, started.timestamp())


class Lease:
    """This process's hold on a stage."""

    def __init__(self, engine: Engine, key: StageKey) -> None:
        self._engine = engine
        self._stage = dict(zip(("study_id", "stage", "subject"), key, strict=True))
        self._words = f"{key[1]} of {key[2]}"
        self._holder = {"host": provenance.host(), "pid": os.getpid()}

    def acquire(
        self,
        columns: Mapping[str, Any],
        *,
        key: str,
        finished: datetime | None,
        check: Callable[[], None],
        is_patient: bool,
    ) -> float | None:
        """Mark the row as running by this process, with `columns`; gives the working seconds that earlier
        runs spent on these inputs, None where another process has finished the stage.

        `key`: hash of the stage's inputs; `finished`: when the caller saw it finished with these, if it did.
        Where another process holds it: waits and calls `check`, which may raise, or, unless `is_patient`,
        raises StageHeld.
        """
        while True:
            try:
                return self._acquire_now(columns, key=key, finished=finished)
            except StageHeld:
                if not is_patient:
                    raise
            check()
            time.sleep(LOOK)

    def _acquire_now(
        self, columns: Mapping[str, Any], *, key: str, finished: datetime | None
    ) -> float | None:
        """One try, in one transaction, so that of two processes one sees what the other did."""
        query = select(StageRun).filter_by(**self._stage)
        with read_session(self._engine) as session:
            row = session.scalar(query)
            if row is not None and not is_free(row):
                raise StageHeld(f"another process runs {self._words}")
        with write_session(self._engine) as session:
            new_row = {**self._stage, "input_hash": key, "status": "waiting", "packages": {}}
            insert_missing(session, StageRun, [new_row], on=tuple(self._stage))
            row = session.scalars(query.with_for_update()).one()
            if not is_free(row):
                raise StageHeld(f"another process runs {self._words}")
            if (row.status, row.input_hash) == ("done", key) and row.finished != finished:
                return None
            seconds = row.seconds if row.input_hash == key else 0.0
            now = utc_now()
            state = {"input_hash": key, "started": now, "heartbeat": now, "status": "running"}
            for name, value in {**columns, **self._holder, **state, "seconds": seconds}.items():
                setattr(row, name, value)
        return seconds

    def write(self, **columns: Any) -> None:
        """Change columns of the row. Raises StageHeld where another process has taken the stage over."""
        own_row = update(StageRun).filter_by(**self._stage, **self._holder, status="running")
        with write_session(self._engine) as session:
            written = session.execute(own_row.values(**columns))
            if not written.rowcount:  # type: ignore[attr-defined]
                raise StageHeld(f"another process has taken over {self._words}")

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Give a sign of life every `BEAT` seconds while the block runs, however silent its work is."""
        is_over = threading.Event()

        def beat() -> None:
            while not is_over.wait(BEAT):
                try:
                    self.write(heartbeat=utc_now())
                except StageHeld:
                    return  # the work hears of it with its next report
                except Exception:  # e.g. a server that starts again: the lease holds for a while
                    continue

        thread = threading.Thread(target=beat, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()
