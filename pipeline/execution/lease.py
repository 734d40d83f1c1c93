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
from typing import Any, Literal, TypeAlias

from sqlalchemy import ColumnElement, Engine, and_, select, update
from sqlalchemy.exc import IntegrityError

from hormesis.db.engine import DatabaseProblem
from hormesis.db.processes import is_running
from hormesis.db.schema import StageRun, utc_now
from hormesis.db.write import read_session, write_session
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
    is_local = row.host == provenance.host()
    if is_local and (row.pid == os.getpid() or not is_at_work(row.host, row.pid, row.started, row.heartbeat)):
        return True
    key = (row.study_id, row.stage, row.subject)
    sign, now = (row.host, row.pid, row.heartbeat), time.monotonic()
    last_sign, since = _WATCHED.get(key, (None, now))
    if sign != last_sign:
        _WATCHED[key] = (sign, now)
        return False
    return now - since > LEASE


def is_at_work(host: str, pid: int | None, started: datetime | None, heartbeat: datetime | None) -> bool:
    """Whether the process that a running stage's row names still seems to run it; to tell, not to decide.

    Another machine's by its heartbeat, whose clock may differ.
    """
    if host == provenance.host() and pid is not None and started is not None:
        return is_running(pid, started.timestamp())
    return heartbeat is not None and (utc_now() - heartbeat).total_seconds() < LEASE


class Lease:
    """This process's hold on a stage."""

    def __init__(self, engine: Engine, key: StageKey) -> None:
        self._engine = engine
        self._columns = dict(zip(("study_id", "stage", "subject"), key, strict=True))
        self._has_key = and_(*(getattr(StageRun, name) == value for name, value in self._columns.items()))
        self._who = {"host": provenance.host(), "pid": os.getpid()}

    def acquire(
        self,
        columns: Mapping[str, Any],
        *,
        key: str,
        finished: datetime | None,
        check: Callable[[], None],
        is_patient: bool,
    ) -> bool:
        """Mark the row as running by this process, with `columns`; False where another finished the stage.

        `key`: hash of the stage's inputs; `finished`: when the caller saw it finished with these, if it did.
        Where another process holds it: waits and calls `check`, which may raise, or, unless `is_patient`,
        raises StageHeld.
        """
        while True:
            outcome = self._take(columns, key=key, finished=finished)
            if outcome != "held":
                return outcome == "taken"
            if not is_patient:
                raise StageHeld(f"{self._columns['stage']} of {self._columns['subject']} is run by another")
            check()
            time.sleep(LOOK)

    def _take(
        self, columns: Mapping[str, Any], *, key: str, finished: datetime | None
    ) -> Literal["taken", "held", "done"]:
        """One try, in one transaction, so that of two processes one sees what the other did."""
        with read_session(self._engine) as session:
            row = session.scalar(select(StageRun).where(self._has_key))
            if row is not None and not is_free(row):
                return "held"
        try:
            with write_session(self._engine) as session:
                row = session.scalar(select(StageRun).where(self._has_key).with_for_update())
                if row is None:
                    row = StageRun(**self._columns, packages={}, seconds=0.0)
                    session.add(row)
                elif not is_free(row):
                    return "held"
                elif (row.status, row.input_hash) == ("done", key) and row.finished != finished:
                    return "done"
                values = {**columns, **self._who, "status": "running", "heartbeat": utc_now()}
                for name, value in values.items():
                    setattr(row, name, value)
                session.flush()
        except IntegrityError:  # another process made the row in this moment
            return "held"
        return "taken"

    def write(self, **columns: Any) -> None:
        """Change columns of the row. Raises StageHeld where another process has taken the stage over."""
        with write_session(self._engine) as session:
            written = session.execute(update(StageRun).where(self._is_own).values(**columns))
            if not written.rowcount:  # type: ignore[attr-defined]
                raise StageHeld(f"{self._columns['stage']} of {self._columns['subject']} was taken over")

    @property
    def _is_own(self) -> ColumnElement[bool]:
        is_own = (getattr(StageRun, name) == value for name, value in self._who.items())
        return and_(self._has_key, StageRun.status == "running", *is_own)

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
                except DatabaseProblem:
                    continue  # e.g. a server that starts again; the lease holds for a while

        thread = threading.Thread(target=beat, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()
