"""How far a study is: counts, rates and time left from stage rows. Knows processes by their ids, no pages."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from hormesis.dashboard.base.records import records
from hormesis.db.processes import is_running

SILENT_AFTER = timedelta(seconds=90)
"""A running stage that has not been heard of for this long is called silent."""


@dataclass(frozen=True)
class Progress:
    """A study's state in numbers."""

    stages: int
    done: int
    running: int
    failed: int
    silent: bool
    fraction: float
    """Of all stages known so far, running ones counted by their part."""
    is_gone: bool = False
    """Whether every running stage was run by a process of this machine that is no more."""

    @property
    def active(self) -> bool:
        """Whether something is running and gives signs of life."""
        return self.running > 0 and not self.silent and not self.is_gone

    @property
    def finished(self) -> bool:
        """Whether every stage known is done."""
        return self.stages > 0 and self.done == self.stages


def with_rates(stages: pd.DataFrame) -> pd.DataFrame:
    """Stage rows with `fraction` (0 to 1), `rate` (units per working second) and `left` (seconds, or NaN)."""
    rows = stages.copy()
    total = rows["total"].astype(float)
    done = rows["done"].astype(float)
    fraction = (done / total.where(total > 0)).clip(0, 1).fillna(0.0)
    rows["fraction"] = fraction.where(rows["status"] != "done", 1.0)
    seconds = rows["seconds"].astype(float)
    rows["rate"] = (done / seconds.where(seconds > 0)).fillna(0.0)
    rate = rows["rate"].where(rows["rate"] > 0)
    rows["left"] = ((total - done) / rate).where(rows["status"] == "running")
    return rows


def gone_stages(stages: pd.DataFrame) -> pd.DataFrame:
    """Stages marked as running whose process is gone; only this machine's processes can be looked up."""
    running = stages[stages["status"] == "running"]
    machine = platform.node()
    if not {"host", "pid", "started"} <= set(stages.columns):
        return running.iloc[:0]
    is_gone = [
        bool(machine)
        and row.host == machine
        and not pd.isna(row.pid)
        and not is_running(int(row.pid), row.started.timestamp() if not pd.isna(row.started) else 0.0)
        for row in records(running)
    ]
    return running[pd.Series(is_gone, index=running.index, dtype=bool)]


def summarise(stages: pd.DataFrame, now: datetime) -> Progress:
    """Counts over stage rows; `now` is aware, as heartbeats are."""
    if stages.empty:
        return Progress(stages=0, done=0, running=0, failed=0, silent=False, fraction=0.0)
    rows = with_rates(stages)
    running = rows[rows["status"] == "running"]
    beats = pd.to_datetime(running["heartbeat"], utc=True).dropna()
    silent = len(running) > 0 and (beats.empty or now - beats.max().to_pydatetime() > SILENT_AFTER)
    return Progress(
        stages=len(rows),
        done=int((rows["status"] == "done").sum()),
        running=len(running),
        failed=int((rows["status"] == "failed").sum()),
        silent=bool(silent),
        fraction=float(rows["fraction"].mean()),
        is_gone=len(running) > 0 and len(gone_stages(stages)) == len(running),
    )
